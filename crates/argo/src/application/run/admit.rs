//! May the Application do what its spec says?

use std::collections::BTreeMap;
use std::sync::Arc;

use delivery::fields::string_map;
use object::{Gvk, Value, get};

use crate::application::pass::Pass;
use crate::application::spec::Spec;
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::{Project, Signers};
use crate::sites::Site;

/// The project, the cluster, and what is wrong with the spec, its project or its destination.
pub(super) async fn faults(
    shared: &Shared,
    pass: &Pass,
    spec: &Spec,
    installation: &Installation,
) -> Result<(Project, Option<Arc<Site>>, Vec<String>), cluster::Error> {
    let mut faults = spec.faults();
    if !faults.is_empty() {
        return Ok((Project::everything(), None, faults));
    }
    let site = match shared.sites.find(&pass.context, &spec.destination).await? {
        Ok(site) if site.is_own() && !installation.settings.in_cluster => {
            faults.push(format!("cluster {:?} is disabled (cluster.inClusterEnabled)", site.server));
            None
        }
        Ok(site) => Some(site),
        Err(why) => {
            faults.push(why);
            None
        }
    };
    let gvk = names::gvk(names::APP_PROJECT);
    let home = &shared.options.namespace;
    let read = async |name: &str| match pass.context.read(&gvk, home, name, project_aspect, true).await {
        Err(error) if error.kind == cluster::ErrorKind::MissingKind => Ok(None),
        other => other,
    };
    let found = read(&spec.project).await?;
    // Argo CD makes the project `default` when it starts; without it everything is allowed just as well.
    let project = match found {
        Some(found) => Project::new(found),
        None if spec.project == "default" => Project::everything(),
        None => {
            faults.push(format!("Application referencing project {} which does not exist", spec.project));
            return Ok((Project::everything(), site, faults));
        }
    };
    let mut global = BTreeMap::new();
    for (_, name) in &installation.settings.global_projects {
        if let Some(found) = read(name).await? {
            global.insert(name.clone(), Project::new(found));
        }
    }
    let project = installation.settings.inherit(project, |name| global.get(name).cloned());
    for source in spec.sources.iter().filter(|source| !project.permits_source(source.repo_url())) {
        faults.push(format!(
            "application repo {} is not permitted in project '{}'",
            source.repo_url(),
            project.name()
        ));
    }
    let namespace = &spec.destination.namespace;
    if let Some(site) = site.as_deref().filter(|site| !permitted(&project, site, namespace)) {
        faults.push(format!(
            "application destination server '{}' and namespace '{namespace}' do not match any of the allowed \
             destinations in project '{}'",
            site.server,
            project.name()
        ));
    }
    if !project.permits_namespace(pass.namespace(), home) {
        faults.push(format!(
            "application '{}' in namespace '{}' is not permitted to use project '{}'",
            pass.name(),
            pass.namespace(),
            project.name()
        ));
    }
    Ok((project, site, faults))
}

/// Who must have signed commits, as the project says, with the keys that the installation trusts.
pub(super) async fn signers(
    shared: &Shared,
    pass: &Pass,
    project: &Project,
) -> Result<Signers, cluster::Error> {
    let mut signers = Signers::of_project(project);
    if signers.asks() {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let home = &shared.options.namespace;
        let found =
            pass.context.read(&gvk, home, "argocd-gpg-keys-cm", controller::aspect::content, true).await?;
        signers.trust(found.map(|found| string_map(&found, &["data"])).unwrap_or_default());
    }
    Ok(signers)
}

/// May a namespace of the cluster be delivered to?
fn permitted(project: &Project, site: &Site, namespace: &str) -> bool {
    project.permits_destination(&site.at(namespace))
        && (!project.only_own_clusters() || site.project == project.name())
}

/// What of a project decides: its spec, and the labels by which global projects select it.
fn project_aspect(object: Option<&Value>) -> String {
    let labels = object.and_then(|object| get(object, &["metadata", "labels"])).map(Value::to_string);
    format!("{} {}", controller::aspect::content(object), labels.unwrap_or_default())
}

//! An Application's manifests without a cluster: its sources are a checkout, and what maps serve.

use std::collections::BTreeMap;

use ::helm::Capabilities;
use object::{Value, meta};
use source::{Fetcher, Tree};
use tokio::runtime::Handle;

use super::jsonnet::Evaluator;
use super::{Failure, Input, Means, Terms, Trees, effective, env};
use crate::application::spec::{Origin, Source, Spec};
use crate::repositories::{git_references, plain};

/// Where sources come from.
pub struct Offline<'a> {
    /// Stands for every Git repository that no map serves.
    pub checkout: &'a Tree,
    /// Charts, and what maps serve.
    pub fetcher: Fetcher,
    /// On which fetches run; the caller is on none of its threads.
    pub runtime: Handle,
    /// Who evaluates Jsonnet.
    pub evaluator: &'a Evaluator,
    /// The time, for certificates.
    pub now: jiff::Timestamp,
}

impl Offline<'_> {
    /// The objects of all sources, in their order.
    ///
    /// # Errors
    /// With the line that the Application's condition would have.
    pub fn application(&self, object: &Value) -> Result<Vec<Value>, Failure> {
        let spec = Spec::of(object);
        // Where it goes does not matter here.
        if spec.sources.is_empty() {
            return Err(Failure::new("it has no source"));
        }
        let trees: Vec<Tree> =
            spec.sources.iter().map(|source| self.tree(source)).collect::<Result<_, _>>()?;
        let lent: BTreeMap<String, Tree> = spec
            .sources
            .iter()
            .zip(&trees)
            .filter(|(source, _)| !source.reference().is_empty())
            .map(|(source, tree)| (source.reference().to_owned(), tree.clone()))
            .collect();
        let mut objects = Vec::new();
        for (source, tree) in spec.sources.iter().zip(&trees).filter(|(source, _)| !source.only_lends()) {
            let trees = Trees { own: tree.clone(), lent: lent.clone() };
            objects.extend(self.source(object, &spec, source, &trees)?);
        }
        Ok(objects)
    }

    fn source(
        &self,
        object: &Value,
        spec: &Spec,
        source: &Source,
        trees: &Trees,
    ) -> Result<Vec<Value>, Failure> {
        let name = meta::name(object);
        let raw = effective(&trees.own, &source.raw, name)?;
        let env = env::of(
            name,
            &spec.destination.namespace,
            &spec.project,
            source.target_revision(),
            source.path(),
            source.repo_url(),
            source.target_revision(),
        );
        let input = Input {
            env,
            source: raw,
            name: name.to_owned(),
            namespace: spec.destination.namespace.clone(),
            capabilities: 0,
            plugins: Vec::new(),
            run_plugins: false,
            terms: Terms { schemes: vec!["https".into(), "http".into()], ..Terms::default() },
        };
        let means = Means {
            door: (self.fetcher.clone(), self.runtime.clone()),
            keys: Box::new(|_| Ok(source::Credentials::default())),
            evaluator: self.evaluator,
            now: self.now,
        };
        let (rendered, _) = super::render(trees, &input, &Capabilities::default(), means)?;
        Ok(rendered.objects)
    }

    fn tree(&self, source: &Source) -> Result<Tree, Failure> {
        let url = plain(source.repo_url());
        let failed = |error: source::Error| Failure::new(error.to_string());
        match source.origin() {
            Origin::Helm => {
                let url = if url.contains("://") { url } else { format!("oci://{url}") };
                let request = source::helm_repo::Request::new(url);
                let wanted = self.fetcher.helm_chart(&request, source.chart(), source.target_revision());
                let chart = self.runtime.block_on(wanted).map_err(failed)?;
                let tree = Tree::from_tar_gz(&chart.archive, self.fetcher.limits()).map_err(failed)?;
                tree.subtree(&chart.name).map_err(failed)
            }
            Origin::Git if self.fetcher.maps().find(&url).is_none() => Ok(self.checkout.clone()),
            Origin::Git => {
                let mut first = None;
                for reference in git_references(source.target_revision(), true) {
                    let mut request = source::git::Request::new(url.clone());
                    request.reference = reference;
                    match self.runtime.block_on(self.fetcher.git(&request)) {
                        Ok(artifact) => return Ok(artifact.tree),
                        Err(error) => first = first.or(Some(error)),
                    }
                }
                Err(first.map_or_else(|| Failure::new("nothing was fetched"), failed))
            }
            Origin::Oci => {
                let mut request = source::oci::Request::new(url);
                request.reference = crate::repositories::oci_reference(source.target_revision());
                let artifact = self.runtime.block_on(self.fetcher.oci(&request)).map_err(failed)?;
                Ok(artifact.tree)
            }
        }
    }
}

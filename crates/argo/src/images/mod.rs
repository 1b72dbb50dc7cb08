//! Argo CD Image Updater: annotations of an Application name images, newer ones are looked for in their registries and
//! written into the Application or its repository.
//!
//! [`wanted`] reads the annotations, [`tags`] asks the registry and chooses, [`change`] says what becomes of the source,
//! [`write`] brings it there. Applications are looked at every two minutes.

pub mod change;
pub mod registries;
pub mod tags;
pub mod wanted;
mod write;

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, EventNote, EventType, ListOptions};
use delivery::fields::{str_at, strings_at};
use object::{Gvk, Value, meta};
use serde_json::json;
use source::Fetcher;
use tokio_util::sync::CancellationToken;

use crate::names;
use crate::repositories::Repositories;
use change::{Change, Place};
use registries::Registries;
use wanted::Wanted;

/// How often Applications are looked at.
const EVERY: Duration = Duration::from_secs(120);
/// Who writes specs.
const MANAGER: &str = "argocd-image-updater";
/// The settings.
const SETTINGS: &str = "argocd-image-updater-config";

/// Looks for newer images for the installation in `home` until `cancel` fires.
pub fn start(cluster: &Cluster, fetcher: Fetcher, home: &str, cancel: CancellationToken) {
    let updater = Updater::new(cluster, fetcher, home);
    tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = async {
                loop {
                    updater.cycle().await;
                    tokio::time::sleep(EVERY).await;
                }
            } => {}
        }
    });
}

/// Looks for newer images.
pub struct Updater {
    cluster: Cluster,
    fetcher: Fetcher,
    repositories: Arc<Repositories>,
    home: String,
}

/// The settings of a cycle.
struct Settings {
    registries: Registries,
    commit: write::Commit,
}

impl Updater {
    /// Over the registries and repositories that `fetcher` reaches.
    pub fn new(cluster: &Cluster, fetcher: Fetcher, home: &str) -> Updater {
        Updater {
            cluster: cluster.clone(),
            repositories: Repositories::new(fetcher.clone(), home),
            fetcher,
            home: home.to_owned(),
        }
    }

    /// Looks at every Application once. What fails is logged, and tried again in the next cycle.
    pub async fn cycle(&self) {
        let gvk = names::gvk(names::APPLICATION);
        let all = match self.cluster.list(&gvk, &ListOptions::default()).await {
            Ok(all) => all,
            Err(error) => {
                tracing::debug!(%error, "no images are looked for: Applications cannot be read");
                return;
            }
        };
        let annotated: Vec<Value> =
            all.into_iter().filter(|one| meta::annotation(one, wanted::LIST).is_some()).collect();
        if annotated.is_empty() {
            return;
        }
        let settings = match self.settings().await {
            Ok(settings) => settings,
            Err(why) => {
                tracing::warn!(why, "no images are looked for: {SETTINGS} cannot be used");
                return;
            }
        };
        for application in annotated {
            let name = meta::name(&application).to_owned();
            match self.update(&application, &settings).await {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => self.tell(&application, &changes),
                Err(why) => tracing::warn!(application = name, why, "its images are not updated"),
            }
        }
    }

    async fn settings(&self) -> Result<Settings, String> {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let found = self.cluster.get(&gvk, &self.home, SETTINGS).await.map_err(|error| error.to_string())?;
        let data = |key: &str| {
            let text = found.as_ref().map(|map| str_at(map, &["data", key])).unwrap_or_default();
            text.to_owned()
        };
        Ok(Settings {
            registries: Registries::parse(&data("registries.conf"))?,
            commit: write::Commit::of(
                &data("git.user"),
                &data("git.email"),
                &data("git.commit-message-template"),
            ),
        })
    }

    /// The images of one Application.
    async fn update(&self, application: &Value, settings: &Settings) -> Result<Vec<Change>, String> {
        let place = Place::of(application)?;
        let live = strings_at(application, &["status", "summary", "images"]);
        let mut changes = Vec::new();
        for image in Wanted::all(application)? {
            let running = live.iter().find(|running| image.means(running));
            if running.is_none() && !image.force {
                tracing::debug!(image = image.name, "it is not live in the Application, and left alone");
                continue;
            }
            // One registry that does not answer must not hold the other images back.
            match self.newest(&image, settings).await {
                Ok(Some(tag)) => {
                    let before = running.map(|running| wanted::tag_of(running)).unwrap_or_default();
                    if !tag.is(&before) {
                        changes.push(Change { image, before, tag });
                    }
                }
                Ok(None) => tracing::debug!(image = image.name, "no tag of it is allowed"),
                Err(why) => tracing::warn!(image = image.name, why, "its tags are not known"),
            }
        }
        if changes.is_empty() {
            return Ok(changes);
        }
        let written = match wanted::write_back(application)? {
            wanted::WriteBack::Application => {
                write::application(&self.cluster, application, &place, &changes).await?
            }
            wanted::WriteBack::Git(git) => self.commit(application, &place, &git, &changes, settings).await?,
        };
        Ok(if written { changes } else { Vec::new() })
    }

    async fn newest(&self, image: &Wanted, settings: &Settings) -> Result<Option<tags::Tag>, String> {
        let (mut request, credentials) = settings.registries.request(&image.name)?;
        let credentials = match image.pull_secret.as_str() {
            "" => credentials,
            given => given.to_owned(),
        };
        if !credentials.is_empty() {
            request.credentials = registries::credentials(&self.cluster, &credentials, &request.url).await?;
        }
        tags::newest(&self.fetcher, &request, image).await
    }

    async fn commit(
        &self,
        application: &Value,
        place: &Place,
        git: &wanted::Git,
        changes: &[Change],
        settings: &Settings,
    ) -> Result<bool, String> {
        let url = match git.repository.as_str() {
            "" => str_at(&place.source, &["repoURL"]),
            other => other,
        };
        let credentials = match &git.secret {
            Some((namespace, name)) => {
                let gvk = Gvk::new("", "v1", "Secret");
                let found =
                    self.cluster.get(&gvk, namespace, name).await.map_err(|error| error.to_string())?;
                let found = found.ok_or_else(|| format!("the Secret {namespace}/{name} is not there"))?;
                self.repositories.open_secret(&found).await?
            }
            None => {
                let project = str_at(application, &["spec", "project"]);
                self.repositories.credentials(&self.cluster, url, project).await?
            }
        };
        let job = write::Job { application, place, git, changes, url, credentials, commit: &settings.commit };
        write::commit(&self.fetcher, &job, jiff::Timestamp::now()).await
    }

    fn tell(&self, application: &Value, changes: &[Change]) {
        let lines: Vec<String> = changes.iter().map(Change::line).collect();
        tracing::info!(application = meta::name(application), "{}", lines.join("; "));
        let metadata = application.get("metadata").cloned().unwrap_or_default();
        let about = json!({"apiVersion": meta::api_version(application), "kind": names::APPLICATION, "metadata": {
            "name": metadata.get("name"), "namespace": metadata.get("namespace"), "uid": metadata.get("uid"),
        }});
        self.cluster.record(EventNote {
            about,
            event_type: EventType::Normal,
            reason: "ImagesUpdated".to_owned(),
            message: lines.join("; "),
            component: "ArgocdImageUpdater".to_owned(),
            annotations: Vec::new(),
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
    }
}

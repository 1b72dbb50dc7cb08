//! The settings of an installation that decide what Applications come to, from `argocd-cm`.

use controller::{Context, aspect};
use delivery::fields::{str_at, string_map};
use object::{Gvk, Value};

use crate::health::Judge;
use crate::names;
use crate::tracking::{Method, Tracking};

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Installation {
    /// How objects are tracked.
    pub tracking: Tracking,
    /// `kustomize.buildOptions`.
    pub build_options: String,
    /// The installation's health checks.
    pub judge: Judge,
}

/// The ConfigMap with the settings.
const SETTINGS: &str = "argocd-cm";

impl Installation {
    /// Reads the settings in the namespace `home`; whoever does runs again when they change.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn read(context: &Context, home: &str) -> Result<Installation, cluster::Error> {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let found = context.read(&gvk, home, SETTINGS, aspect::content, true).await?;
        Ok(found.map(|found| Installation::of(&found)).unwrap_or_default())
    }

    /// Of the ConfigMap.
    pub fn of(settings: &Value) -> Installation {
        let data = string_map(settings, &["data"]);
        let text = |name: &str| data.get(name).map(String::as_str).unwrap_or_default();
        let label = match text("application.instanceLabelKey") {
            "" => names::INSTANCE_LABEL,
            given => given,
        };
        let method = match text("application.resourceTrackingMethod") {
            "label" => Method::Label,
            "annotation+label" => Method::AnnotationAndLabel,
            _ => Method::Annotation,
        };
        let mut judge = Judge::default();
        for (name, script) in &data {
            // `resource.customizations.health.<group>_<kind>`, where `_` stands for the slash.
            let Some(kind) = name.strip_prefix("resource.customizations.health.") else { continue };
            let customization = ::health::argo::Customization {
                health: script.clone(),
                ..::health::argo::Customization::default()
            };
            judge.customizations.insert(&kind.replacen('_', "/", 1), customization);
        }
        let whole = yaml::from_str(text("resource.customizations")).unwrap_or_default();
        for (name, fields) in whole.as_object().into_iter().flatten() {
            let script = str_at(fields, &["health.lua"]);
            if !script.is_empty() {
                let customization = ::health::argo::Customization {
                    health: script.to_owned(),
                    ..::health::argo::Customization::default()
                };
                judge.customizations.insert(name, customization);
            }
        }
        Installation {
            tracking: Tracking {
                method,
                label: label.to_owned(),
                installation: text("installationID").to_owned(),
            },
            build_options: text("kustomize.buildOptions").to_owned(),
            judge,
        }
    }
}

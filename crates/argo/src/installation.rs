//! The settings of an installation as Applications use them, from `argocd-cm`.

use controller::{Context, aspect};
use object::{Gvk, Value};

use crate::health::Judge;
use crate::settings::{self, Parameters, Settings};
use crate::tracking::{Method, Tracking};

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Installation {
    /// How objects are tracked.
    pub tracking: Tracking,
    /// The installation's health checks.
    pub judge: Judge,
    /// All of them.
    pub settings: Settings,
    /// What Argo CD's programs are started with.
    pub parameters: Parameters,
}

/// The ConfigMap with the settings.
const SETTINGS: &str = "argocd-cm";
/// The ConfigMap with what Argo CD's programs are started with.
const PARAMETERS: &str = "argocd-cmd-params-cm";

impl Installation {
    /// Reads the settings in the namespace `home`; whoever does runs again when they change.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn read(context: &Context, home: &str) -> Result<Installation, cluster::Error> {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let found = context.read(&gvk, home, SETTINGS, aspect::content, true).await?;
        let parameters = context.read(&gvk, home, PARAMETERS, aspect::content, true).await?;
        let parameters = Parameters::parse(&parameters.unwrap_or_default());
        Ok(Installation { parameters, ..Installation::of(&found.unwrap_or_default()) })
    }

    /// Of the ConfigMap.
    pub fn of(object: &Value) -> Installation {
        let settings = Settings::parse(object);
        let method = match settings.tracking {
            settings::Tracking::Annotation => Method::Annotation,
            settings::Tracking::Label => Method::Label,
            settings::Tracking::AnnotationAndLabel => Method::AnnotationAndLabel,
        };
        Installation {
            tracking: Tracking {
                method,
                label: settings.instance_label.clone(),
                installation: settings.installation_id.clone(),
            },
            judge: Judge { customizations: settings.customizations.clone(), ..Judge::default() },
            settings,
            parameters: Parameters::default(),
        }
    }
}

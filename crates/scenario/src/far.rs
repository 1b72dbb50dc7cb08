//! Another cluster, reached over loopback.

use object::Value;

use crate::Site;

/// The other cluster.
pub(crate) struct Far {
    pub site: Site,
    serving: apiserver::Serving,
}

impl Far {
    pub async fn start(simulated: bool) -> Far {
        let site = Site::start(Vec::new(), &[], simulated).await;
        Far { serving: site.serve().await, site }
    }

    /// A text with what its placeholders stand for.
    pub fn named_in(&self, text: &str) -> String {
        let config = yaml::from_str(&self.serving.kubeconfig()).expect("a kubeconfig");
        text.replace("@FAR_KUBECONFIG@", &config.to_string())
    }
}

/// The same for the own cluster, which is served when that is asked for.
pub(crate) async fn own_named_in(site: &Site, text: &str) -> String {
    if !text.contains("@ADDRESS@") {
        return text.to_owned();
    }
    let serving = site.serve().await;
    let ca = Value::String(serving.ca_pem).to_string();
    text.replace("@ADDRESS@", &serving.addr.to_string()).replace("@CA@", &ca)
}

//! The cluster that a unit delivers to: the one it is in, or the one that its `spec.kubeConfig` describes.
//!
//! Units that describe the same cluster in the same way share a connection, its watches and the memory of what was
//! applied. The unit itself, its sources and what it refers to are always in the cluster that it is in.

mod identity;
mod kubeconfig;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::Cluster;
use controller::{Cause, Context, aspect};
use delivery::connect;
use object::{Gvk, Key, Value, get, meta};
use serde_json::json;
use source::cloud::Cloud;

use crate::common::{Pass, sha256, str_at, string_map};
use crate::memory::Memory;
use crate::options::{Options, Shared};
use crate::sources::secret_data;
use identity::{Account, Source, Tokens};
pub use kubeconfig::Trust;

/// For how long a cluster may leave the question unanswered whether it is there.
const PATIENCE: Duration = Duration::from_secs(15);

/// Does the unit deliver to another cluster?
pub(crate) fn has_kubeconfig(object: &Value) -> bool {
    get(object, &["spec", "kubeConfig"]).is_some_and(Value::is_object)
}

/// A cluster to deliver to.
#[derive(Clone)]
pub(crate) struct Target {
    /// A pass that looks at it.
    pub context: Context,
    /// The cluster, with the rights of the unit.
    pub cluster: Cluster,
    /// What was applied there.
    pub memory: Arc<Memory>,
    /// Is it another one than the unit's own?
    pub is_far: bool,
}

/// Why there is none.
pub(crate) enum NoTarget {
    /// The account that the unit acts as is gone: nobody may do anything in its name any more.
    NoAccount(String),
    /// What describes the cluster is not there.
    NoDescription(String, Key),
    /// What describes it cannot be used, or the cluster cannot be reached.
    Unusable(String),
}

impl NoTarget {
    /// One line.
    pub fn why(&self) -> &str {
        match self {
            NoTarget::NoAccount(why) | NoTarget::NoDescription(why, _) | NoTarget::Unusable(why) => why,
        }
    }

    /// The line, with the object that is missing.
    pub fn cause(&self) -> Cause {
        let mut cause = Cause::new(self.why());
        if let NoTarget::NoDescription(_, key) = self {
            cause.object = Some(key.clone());
        }
        cause
    }
}

/// How a cluster is described.
enum Described {
    /// By a kubeconfig.
    Kubeconfig(Value),
    /// By its address, certificate and whose tokens it takes; `who` tells the source of tokens from others.
    Tokens { cluster: Value, who: String, source: Source },
}

impl Described {
    /// The same text for the same description.
    fn digest(&self) -> String {
        sha256(match self {
            Described::Kubeconfig(config) => config.to_string(),
            Described::Tokens { cluster, who, .. } => format!("{cluster} {who}"),
        })
    }
}

/// Another cluster.
struct Far {
    place: String,
    cluster: Cluster,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct State {
    far: HashMap<String, Arc<Far>>,
    users: HashMap<Key, String>,
}

/// The other clusters that units deliver to.
#[derive(Default)]
pub struct Targets {
    state: Mutex<State>,
}

impl Targets {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster described so, from now on used by the unit of `context`.
    async fn enter(
        &self,
        context: &Context,
        options: &Options,
        described: Described,
    ) -> Result<Arc<Far>, String> {
        let digest = described.digest();
        let known = self.lock().far.get(&digest).cloned();
        let far = match known {
            Some(far) => far,
            None => Arc::new(connected(context, options, &digest, described).await?),
        };
        let far = self.lock().far.entry(digest.clone()).or_insert(far).clone();
        self.switch(context, Some(digest));
        Ok(far)
    }

    /// The unit of `context` delivers to no other cluster any more.
    pub(crate) fn leave(&self, context: &Context) {
        self.switch(context, None);
    }

    /// Connections that nobody uses are given up.
    fn switch(&self, context: &Context, to: Option<String>) {
        let mut state = self.lock();
        let unit = context.key.clone();
        let before = match &to {
            Some(digest) => state.users.insert(unit, digest.clone()),
            None => state.users.remove(&unit),
        };
        let Some(before) = before.filter(|before| to.as_ref() != Some(before)) else { return };
        if !state.users.values().any(|used| *used == before)
            && let Some(far) = state.far.remove(&before)
        {
            context.leave(&far.place);
        }
    }
}

async fn connected(
    context: &Context,
    options: &Options,
    digest: &str,
    described: Described,
) -> Result<Far, String> {
    let client = match described {
        Described::Kubeconfig(config) => connect::client(connect::config(&config).await?)?,
        Described::Tokens { cluster, source, .. } => {
            let config = connect::config(&kubeconfig::whole(cluster, json!({}))).await?;
            let (clock, last) = (context.clock().clone(), tokio::sync::Mutex::default());
            identity::client(config, Arc::new(Tokens { source, clock, last }))?
        }
    };
    let client = match &options.door {
        Some(door) => door(client),
        None => client,
    };
    Ok(Far {
        place: format!("kubeconfig {digest}"),
        cluster: connect::cluster(client),
        memory: Arc::new(options.memory()),
    })
}

/// The cluster that an object's `spec.kubeConfig` describes by a Secret, for who looks from outside the engine.
///
/// # Errors
/// With the line for people.
pub async fn connect(cluster: &Cluster, object: &Value) -> Result<Cluster, String> {
    let spec = get(object, &["spec", "kubeConfig"]).unwrap_or(&Value::Null);
    let (name, key) = (str_at(spec, &["secretRef", "name"]), str_at(spec, &["secretRef", "key"]));
    if name.is_empty() {
        return Err("its spec.kubeConfig names no Secret".into());
    }
    let namespace = object::meta::namespace(object).unwrap_or_default();
    let found = cluster.get(&object::Gvk::new("", "v1", "Secret"), namespace, name).await;
    let secret = found.map_err(|error| error.to_string())?;
    let secret = secret.ok_or_else(|| format!("Secret {namespace}/{name} is not there"))?;
    let mut data = delivery::fields::secret_data(&secret);
    let keys = if key.is_empty() { vec!["value", "value.yaml"] } else { vec![key] };
    let text = keys.iter().find_map(|key| data.remove(*key));
    let text = text.ok_or_else(|| format!("Secret {namespace}/{name} has no {}", keys.join(" or ")))?;
    let config = kubeconfig::reduced(&String::from_utf8_lossy(&text), Trust::default())?;
    Ok(connect::cluster(connect::client(connect::config(&config).await?)?))
}

/// Where the unit of a pass delivers to, with the rights it has there. Whatever this depends on wakes the unit.
///
/// # Errors
/// When the unit's own cluster cannot be asked.
pub(crate) async fn find(shared: &Shared, pass: &Pass) -> Result<Result<Target, NoTarget>, cluster::Error> {
    let default = shared.options.default_service_account.as_deref();
    let Some(spec) = get(&pass.object, &["spec", "kubeConfig"]).filter(|spec| spec.is_object()) else {
        shared.targets.leave(&pass.context);
        let found = pass.impersonated(default).await?;
        let (context, memory) = (pass.context.clone(), shared.memory.clone());
        return Ok(match found {
            Some(cluster) => Ok(Target { context, cluster, memory, is_far: false }),
            None => {
                let name = pass.account(default).unwrap_or_default();
                Err(NoTarget::NoAccount(format!("service account '{name}' not found")))
            }
        });
    };
    let described = match str_at(spec, &["configMapRef", "name"]) {
        "" => by_secret(shared, pass, spec).await?,
        name => by_config_map(shared, pass, name).await?,
    };
    let described = match described {
        Ok(described) => described,
        Err(missing) => return Ok(Err(missing)),
    };
    let far = match shared.targets.enter(&pass.context, &shared.options, described).await {
        Ok(far) => far,
        Err(why) => return Ok(Err(NoTarget::Unusable(format!("spec.kubeConfig: {why}")))),
    };
    // What is known from watches may be old: without this a cluster that is gone would look as it was.
    let asked = tokio::time::timeout(PATIENCE, far.cluster.server_version()).await;
    let trouble = match asked {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
    };
    if let Some(trouble) = trouble {
        return Ok(Err(NoTarget::Unusable(format!("the target cluster cannot be reached: {trouble}"))));
    }
    let context = pass.context.at(&far.place, &far.cluster);
    // Whether there is such an account is for that cluster to say.
    let cluster = match pass.account(default) {
        Some(name) => far.cluster.as_user(&format!("system:serviceaccount:{}:{name}", pass.namespace())),
        None => far.cluster.clone(),
    };
    Ok(Ok(Target { context, cluster, memory: far.memory.clone(), is_far: true }))
}

fn absent(pass: &Pass, kind: &str, name: &str) -> NoTarget {
    let key = Key::new("", kind, pass.namespace(), name);
    NoTarget::NoDescription(format!("{kind} '{}/{name}' of spec.kubeConfig not found", pass.namespace()), key)
}

/// `secretRef`: a kubeconfig.
async fn by_secret(
    shared: &Shared,
    pass: &Pass,
    spec: &Value,
) -> Result<Result<Described, NoTarget>, cluster::Error> {
    let name = str_at(spec, &["secretRef", "name"]);
    if name.is_empty() {
        let why = "spec.kubeConfig has neither secretRef nor configMapRef";
        return Ok(Err(NoTarget::Unusable(why.into())));
    }
    let gvk = Gvk::new("", "v1", "Secret");
    let Some(found) = pass.context.read(&gvk, pass.namespace(), name, aspect::content, true).await? else {
        return Ok(Err(absent(pass, "Secret", name)));
    };
    let mut data = secret_data(&found);
    let (text, wanted) = match str_at(spec, &["secretRef", "key"]) {
        "" => (data.remove("value").or_else(|| data.remove("value.yaml")), "value"),
        key => (data.remove(key), key),
    };
    let about = format!("KubeConfig secret '{}/{name}'", pass.namespace());
    let unusable = |why: String| Ok(Err(NoTarget::Unusable(why)));
    let Some(text) = text else {
        return unusable(format!("{about} does not contain a '{wanted}' key with a kubeconfig"));
    };
    match kubeconfig::reduced(&String::from_utf8_lossy(&text), shared.options.kubeconfigs) {
        Ok(config) => Ok(Ok(Described::Kubeconfig(config))),
        Err(why) => unusable(format!("{about}: {why}")),
    }
}

/// `configMapRef`: who gives tokens for the cluster, and where it is.
async fn by_config_map(
    shared: &Shared,
    pass: &Pass,
    name: &str,
) -> Result<Result<Described, NoTarget>, cluster::Error> {
    let gvk = Gvk::new("", "v1", "ConfigMap");
    let Some(found) = pass.context.read(&gvk, pass.namespace(), name, aspect::content, true).await? else {
        return Ok(Err(absent(pass, "ConfigMap", name)));
    };
    let data = string_map(&found, &["data"]);
    let text = |key: &str| data.get(key).map(String::as_str).unwrap_or_default();
    let unusable = |why: String| {
        Ok(Err(NoTarget::Unusable(format!("KubeConfig configmap '{}/{name}': {why}", pass.namespace()))))
    };
    match text("provider") {
        "generic" => {}
        "aws" | "azure" | "gcp" => {
            return match by_cloud(shared, pass, &data).await {
                Ok(described) => Ok(Ok(described)),
                Err(why) => unusable(why),
            };
        }
        other => return unusable(format!("provider '{other}' is none of aws, azure, gcp, generic")),
    }
    let address = text("address");
    let server = match identity::canonical(address) {
        Ok(server) => server,
        Err(why) => return unusable(why),
    };
    let cluster = endpoint(&server, text("ca.crt"));
    let audiences = match text("audiences") {
        "" => vec![address.to_owned()],
        list => match yaml::from_str(list).map(serde_json::from_value::<Vec<String>>) {
            Ok(Ok(audiences)) => audiences,
            _ => return unusable("audiences is no list of texts".into()),
        },
    };
    let account = Some(text("serviceAccountName")).filter(|name| !name.is_empty());
    let account = match account.or(shared.options.default_kubeconfig_service_account.as_deref()) {
        Some(name) => Account { namespace: pass.namespace().to_owned(), name: name.to_owned() },
        None => match Account::own() {
            Ok(account) => account,
            Err(why) => return unusable(why),
        },
    };
    let gvk = Gvk::new("", "v1", "ServiceAccount");
    let found = pass.context.read(&gvk, &account.namespace, &account.name, aspect::existence, false).await?;
    let Some(found) = found else {
        return unusable(format!("service account '{}/{}' not found", account.namespace, account.name));
    };
    tracing::debug!(account = meta::uid(&found), "signs in to another cluster");
    let who = format!("{account:?} {audiences:?}");
    let source = Source::Account { home: pass.context.cluster.clone(), account, audiences };
    Ok(Ok(Described::Tokens { cluster, who, source }))
}

/// A cluster as a kubeconfig has it.
fn endpoint(server: &str, authority: &str) -> Value {
    let mut cluster = json!({"server": server});
    if !authority.is_empty() {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(authority);
        object::set(&mut cluster, &["certificate-authority-data"], json!(encoded));
    }
    cluster
}

/// A cluster of a cloud: where it is, unless that is said, and an identity that it knows.
async fn by_cloud(
    shared: &Shared,
    pass: &Pass,
    data: &std::collections::BTreeMap<String, String>,
) -> Result<Described, String> {
    let text = |key: &str| data.get(key).map(String::as_str).unwrap_or_default();
    let provider = text("provider");
    let cloud = Cloud::of(provider).ok_or_else(|| format!("provider '{provider}' is no cloud"))?;
    let resource = text("cluster");
    let known = !text("address").is_empty() && !text("ca.crt").is_empty();
    if resource.is_empty() && (cloud == Cloud::Aws || !known) {
        return Err(format!("provider '{provider}' needs the cluster's name in 'cluster'"));
    }
    let account = crate::identity::account(shared, pass, text("serviceAccountName")).await?;
    let fetcher = shared.options.fetcher.clone();
    let (mut address, mut authority) = (text("address").to_owned(), text("ca.crt").to_owned());
    if !known {
        let described = fetcher.cluster_of(cloud, resource, account.as_ref()).await;
        let described = described.map_err(|error| format!("failed to describe the cluster: {error}"))?;
        address = if address.is_empty() { described.address } else { address };
        authority = if authority.is_empty() { described.authority } else { authority };
    }
    let cluster = endpoint(&identity::canonical(&address)?, &authority);
    let who = match &account {
        Some(account) => {
            format!("{provider} {resource} {}/{} {:?}", account.namespace, account.name, account.annotations)
        }
        None => format!("{provider} {resource}"),
    };
    Ok(Described::Tokens {
        cluster,
        who,
        source: Source::Cloud { fetcher, cloud, resource: resource.to_owned(), account },
    })
}

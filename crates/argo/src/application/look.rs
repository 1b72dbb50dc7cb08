//! What a sync would change, told without doing it: the engine runs for one Application, with a kind that only looks.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::Cluster;
use controller::{Context, Description, Engine, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::state::Difference;
use super::{Applications, run};
use crate::names;
use crate::options::{Options, Shared};

type Answer = Result<Vec<Difference>, String>;

struct Looker {
    shared: Arc<Shared>,
    applications: Applications,
    key: Key,
    revisions: Vec<String>,
    asked: Mutex<Option<oneshot::Sender<Answer>>>,
}

/// The objects of an Application that are not as they are wanted, at `revisions` in place of those of its sources when
/// there are any.
///
/// # Errors
/// With the line that the Application's condition would have.
pub async fn differences(
    cluster: &Cluster,
    options: Options,
    namespace: &str,
    name: &str,
    revisions: Vec<String>,
) -> Result<Vec<Difference>, String> {
    let (sender, answer) = oneshot::channel();
    let shared = Arc::new(Shared::new(options));
    let looker = Looker {
        applications: Applications::new(shared.clone()),
        shared,
        key: names::key(names::APPLICATION, namespace, name),
        revisions,
        asked: Mutex::new(Some(sender)),
    };
    let cancel = CancellationToken::new();
    let kinds: Vec<Arc<dyn Kind>> = vec![Arc::new(looker)];
    let _engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
    let found = answer.await;
    cancel.cancel();
    found.unwrap_or_else(|_| Err("the look at it was ended".to_owned()))
}

impl Kind for Looker {
    fn gvk(&self) -> Gvk {
        self.applications.gvk()
    }

    fn describe(&self, object: &Value) -> Description {
        self.applications.describe(object)
    }

    fn trigger(&self, object: &Value) -> String {
        self.applications.trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            if context.key != self.key {
                return Outcome::done();
            }
            let answer = run::look(&self.shared, context, object, self.revisions.clone()).await;
            let Some(answer) = answer else { return Outcome::preempted() };
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(asked) = asked {
                // Who asked may have gone away.
                let _ = asked.send(answer);
            }
            Outcome::done()
        })
    }
}

//! What others call: Receivers, and where other controllers tell their events.

use cluster::Cluster;
use delivery::doors::{Call, Door, Reply};
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::dispatch::Post;
use super::event::Event;
use super::{Options, receiver};

/// The largest body.
const MAX_BODY: usize = 3 << 20;

pub(super) struct Server {
    cluster: Cluster,
    options: Options,
    post: Mutex<Post>,
}

impl Server {
    pub(super) fn new(cluster: Cluster, options: Options) -> Server {
        let post = Mutex::new(Post::new(cluster.clone(), options.clone()));
        Server { cluster, options, post }
    }

    async fn handle(&self, call: Call) -> Reply {
        if call.path.starts_with("/hook/") {
            return receiver::handle(&self.cluster, self.options.no_cross_namespace_refs, call).await;
        }
        match serde_json::from_slice::<Event>(&call.body) {
            Ok(event) if !event.involved_object.kind.is_empty() => {
                self.post.lock().await.deliver(event).await;
                202.into()
            }
            _ => 400.into(),
        }
    }
}

impl Door for Server {
    fn takes(&self, path: &str) -> Option<usize> {
        (path == "/" || path.starts_with("/hook/")).then_some(MAX_BODY)
    }

    fn answer(&self, call: Call) -> BoxFuture<'_, Reply> {
        Box::pin(async move { self.handle(call).await })
    }
}

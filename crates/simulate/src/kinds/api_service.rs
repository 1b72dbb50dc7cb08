//! APIServices whose backend would be a pod: said to be available, and people are told.

use super::common::{condition, conditions, set_condition};
use crate::error::Result;
use crate::kind;
use crate::world::World;
use object::{Value, get, meta};
use serde_json::json;

pub(crate) async fn reconcile(world: &World, service: &Value) -> Result<()> {
    if get(service, &["spec", "service"]).is_none_or(Value::is_null)
        || meta::deletion_timestamp(service).is_some()
    {
        return Ok(());
    }
    let mut list = conditions(service);
    let text = "simulated by landfall: the backend is not asked";
    set_condition(&mut list, &world.stamp(), condition("Available", true, "Passed", text), false);
    if world.set_status(kind::API_SERVICE, service, json!({"conditions": list})).await? {
        world.notice(format!(
            "APIService/{}: its backend is simulated; the API it would add is not served",
            meta::name(service)
        ));
    }
    Ok(())
}

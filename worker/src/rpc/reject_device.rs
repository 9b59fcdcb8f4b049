//! Rejects a device: `openclaw devices reject`.

use clawdeploy_shared::rpc::RequestArguments;
use serde_json::{Value, json};

use super::{approve_device::failed, openclaw::Gateway, refusal::Refused};

pub(super) async fn run(gateway: &Gateway, arguments: RequestArguments) -> Result<Value, Refused> {
    let id = arguments.request_id.to_string();
    match gateway.ask::<Value>(&["devices", "reject", &id]).await? {
        Some(_) => Ok(json!({})),
        None => Err(failed(gateway, arguments).await?),
    }
}

//! The host port of an instance.

use clawdeploy_shared::db::port;

use crate::job::{context::JobContext, error::StepError};

/// Reserves a port, or keeps the one that the instance has.
pub(super) async fn reserve(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    let range = cx.env.config.routing.port_range;
    let reserved: Option<u16> = cx.fenced(async |conn| Ok(port::reserve(conn, id, range).await?)).await?;
    let port = reserved.ok_or_else(|| {
        let message = format!(
            "Every port from {} to {} is taken. An administrator must widen CLAWDEPLOY_PORT_RANGE or delete instances.",
            range.first, range.last
        );
        StepError::permanent("no_free_port", message)
    })?;
    cx.subnet(port).map(|_| ())
}

/// Releases the port.
pub(super) async fn release(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(port::release(conn, id).await?)).await
}

/// Releases the port because another program on the host uses it.
pub(super) async fn refuse(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(port::refuse(conn, id).await?)).await
}

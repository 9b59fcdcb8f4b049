//! An undo before a delete: to start a gateway that is deleted next would cost a minute.
//!
//! So the undo leaves the gateway stopped, and the delete's job says that it did. If the delete is cancelled before it
//! has begun, the sweep `stuck` starts the gateway.

use std::time::Duration;

use clawdeploy_shared::db::job;
use tokio::time::sleep;

use crate::job::{context::JobContext, error::StepError};

/// Delay between two looks for a delete.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a delete waits, so that the gateway is left stopped.
pub(super) async fn leaves_stopped(cx: &JobContext) -> Result<bool, StepError> {
    let id = cx.instance_id()?;
    let left: bool = cx.fenced(async |conn| Ok(job::leave_stopped(conn, id).await?)).await?;
    if left {
        cx.log("The gateway stays stopped, because the instance is to be deleted").await?;
    }
    Ok(left)
}

/// Waits for a delete. The caller then leaves the gateway stopped.
pub(super) async fn asked_for(cx: &JobContext) -> Result<(), StepError> {
    while !leaves_stopped(cx).await? {
        sleep(LOOK).await;
    }
    Ok(())
}

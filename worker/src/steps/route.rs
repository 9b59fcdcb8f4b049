//! The route of an instance at nginx.
//!
//! The rows determine the routes. These steps wait until nginx has them. No job fails because of nginx: if it is
//! missing or does not take the map, the reconciler tries again and reports it.

use clawdeploy_shared::{
    db::{port, route},
    job::JobKind,
    telemetry::chain,
};

use super::warm;
use crate::{
    job::{context::JobContext, error::StepError},
    nginx::PATIENCE,
};

/// Opens the route of a gateway that answers.
pub(super) async fn open(cx: &JobContext) -> Result<(), StepError> {
    if !cx.env.routes.are_kept() {
        return warm::end(cx).await;
    }
    let (instance, port) = cx.instance_with_port().await?;
    // The update of a stopped instance ends with a stopped one.
    if !cx.env.probe.is_ready(cx.env.runtime.address(port)).await {
        return Ok(());
    }
    route::note_ready(&mut *cx.env.db.conn().await?, &cx.lease, &instance.id).await?;
    // After that, so that it is routed all the time.
    warm::end(cx).await?;
    settle(cx).await.map(drop)
}

/// Closes the route of an instance that its status no longer routes.
pub(super) async fn close(cx: &JobContext) -> Result<(), StepError> {
    warm::end(cx).await?;
    let frees_port = matches!(cx.job.kind, JobKind::Delete | JobKind::Discard);
    if !cx.env.routes.are_kept() || settle(cx).await? || !frees_port {
        return Ok(());
    }
    // nginx may still send requests there: keep the port reserved until it has let go.
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(port::refuse(conn, id).await?)).await?;
    cx.log("The port stays reserved until nginx has removed the route").await
}

/// Whether nginx sends nothing to an instance whose route was [closed](close), or is not used.
pub(super) async fn is_closed(cx: &JobContext) -> Result<bool, StepError> {
    Ok(!cx.env.routes.are_kept() || settle(cx).await?)
}

/// Whether nginx has the current routes.
async fn settle(cx: &JobContext) -> Result<bool, StepError> {
    let applied = tokio::select! {
        applied = cx.env.routes.settle(PATIENCE) => applied,
        () = cx.told_to_stop() => {
            cx.check()?;
            return Ok(false);
        }
    };
    let Some(error) = &applied.pending else { return Ok(true) };
    tracing::warn!(job.id = %cx.job.id, error = chain(error), "The route of an instance is pending");
    cx.log(&format!("nginx does not have the route yet ({error}); the reconciler will try again")).await?;
    Ok(false)
}

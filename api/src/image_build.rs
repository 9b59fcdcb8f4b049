//! Requests builds of the OpenClaw image. Everyone who requests a build shares the open one.

use clawdeploy_shared::{
    db::{
        Conn,
        job::{self, Job, NewJob},
    },
    job::JobKind,
};
use serde_json::{Value, json};

use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::AppResult,
    middleware::RequestContext,
};

/// At most one build is open at a time.
const DEDUPE_KEY: &str = "image";

/// Queues a build, or joins the open one. The flag is true if a new one was queued.
pub(crate) async fn enqueue(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    payload: &Value,
) -> AppResult<(Job, bool)> {
    let new = NewJob {
        requested_by: Some(who.user.id),
        payload: payload.clone(),
        dedupe_key: Some(DEDUPE_KEY),
        request_id: Some(&context.request_id),
        ..NewJob::new(JobKind::RebuildImage)
    };
    let (job, made) = job::insert_or_join(conn, &new).await?;
    let detail = json!({ "jobId": job.id, "joined": !made, "payload": payload });
    Entry::new("image.rebuild", Target::Image).detail(detail).by(conn, who, context).await?;
    Ok((job, made))
}

//! Writes the entries about a job's steps and reads those of earlier attempts.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{
        DbError,
        job_event::{self, NewJobEvent},
    },
    job::JobEventKind,
};

use crate::job::context::JobContext;

/// Names of the steps that have an entry of this kind, from any attempt since the job was last accepted.
pub(super) async fn entries(cx: &JobContext, kind: JobEventKind) -> Result<HashSet<String>, DbError> {
    let events = job_event::list(&mut *cx.env.db.conn().await?, cx.job.id, 0, i64::MAX).await?;
    // A job that an administrator retried starts over.
    let starts_at = events.iter().rposition(|e| e.kind == JobEventKind::Accepted).unwrap_or(0);
    Ok(events.into_iter().skip(starts_at).filter(|e| e.kind == kind).filter_map(|e| e.step).collect())
}

/// Makes an entry about a step.
pub(super) fn event<'a>(
    cx: &JobContext,
    kind: JobEventKind,
    step: &'a str,
    message: &'a str,
    progress: Option<i16>,
) -> NewJobEvent<'a> {
    NewJobEvent { step: Some(step), progress, ..NewJobEvent::new(cx.job.id, cx.lease.attempt, kind, message) }
}

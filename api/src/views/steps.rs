//! The steps of a job, derived from its events.
//!
//! A worker records an event when a step starts and when it ends. If the job returns to its queue, because of a retry,
//! a shutdown or a lost lease, its unfinished steps are pending again. A step that is still running when the job ends
//! gets the result of the job.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::job_event::JobEvent,
    job::{JobEventKind, JobStatus},
    text_enum,
};
use serde::Serialize;
use utoipa::ToSchema;

text_enum!(
    /// Status of a step.
    StepStatus {
        /// To be run again; the last attempt did not complete.
        Pending = "pending",
        Running = "running",
        Done = "done",
        Failed = "failed",
        Undone = "undone",
    }
);

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub name: String,
    pub status: StepStatus,
    /// Start of its last attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// Duration of its last attempt, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// The steps of a job with this status, in the order in which they first started.
pub(super) fn steps(events: &[JobEvent], status: JobStatus) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for event in events {
        match event.kind {
            JobEventKind::StepStarted => put(&mut steps, event, StepStatus::Running),
            JobEventKind::StepDone => put(&mut steps, event, StepStatus::Done),
            JobEventKind::StepFailed => put(&mut steps, event, StepStatus::Failed),
            JobEventKind::StepUndone => put(&mut steps, event, StepStatus::Undone),
            JobEventKind::Retry | JobEventKind::HandedBack | JobEventKind::LeaseLost => {
                again(&mut steps, |status| matches!(status, StepStatus::Running | StepStatus::Failed));
            }
            // After a retry by an administrator, every step is pending again.
            JobEventKind::Accepted => again(&mut steps, |_| true),
            JobEventKind::Claimed
            | JobEventKind::Log
            | JobEventKind::CancelRequested
            | JobEventKind::Finished
            | JobEventKind::Unknown => {}
        }
    }
    let end = match status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => return steps,
        JobStatus::Succeeded => StepStatus::Done,
        JobStatus::Failed => StepStatus::Failed,
        JobStatus::Cancelled => StepStatus::Undone,
    };
    for step in &mut steps {
        if step.status == StepStatus::Running {
            step.status = end;
        }
    }
    steps
}

fn put(steps: &mut Vec<Step>, event: &JobEvent, status: StepStatus) {
    let Some(name) = &event.step else { return };
    let index = steps.iter().position(|step| step.name == *name).unwrap_or_else(|| {
        steps.push(Step { name: name.clone(), status, started_at: None, duration_ms: None });
        steps.len() - 1
    });
    let step = &mut steps[index];
    step.status = status;
    match status {
        StepStatus::Running => (step.started_at, step.duration_ms) = (Some(event.created_at), None),
        // The duration of the undo is not that of the step.
        StepStatus::Undone => {}
        _ => step.duration_ms = event.duration_ms,
    }
}

fn again(steps: &mut [Step], which: impl Fn(StepStatus) -> bool) {
    for step in steps.iter_mut().filter(|step| which(step.status)) {
        step.status = StepStatus::Pending;
    }
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::ids::JobId;

    use super::*;

    fn events_of(entries: &[(JobEventKind, Option<&str>)]) -> Vec<JobEvent> {
        let event = |(id, (kind, step)): (i64, &(JobEventKind, Option<&str>))| JobEvent {
            id,
            job_id: JobId::generate(),
            attempt: 1,
            kind: *kind,
            step: step.map(str::to_owned),
            message: String::new(),
            progress: None,
            duration_ms: (*kind == JobEventKind::StepDone).then_some(id * 10),
            created_at: DateTime::from_timestamp(id, 0).unwrap(),
        };
        (1..).zip(entries).map(event).collect()
    }

    fn told(entries: &[(JobEventKind, Option<&str>)], status: JobStatus) -> String {
        let steps = steps(&events_of(entries), status);
        steps.iter().map(|s| format!("{} {}", s.name, s.status)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn events_give_the_steps() {
        use JobEventKind::*;
        use JobStatus::{Cancelled, Failed, Queued, Running, Succeeded};
        let begun = [
            (Accepted, None),
            (Claimed, None),
            (StepStarted, Some("a")),
            (StepDone, Some("a")),
            (StepStarted, Some("b")),
        ];
        let then = |more: &[(JobEventKind, Option<&'static str>)], status| told(&[&begun, more].concat(), status);

        assert_eq!(told(&begun[..2], Running), "");
        assert_eq!(then(&[], Running), "a done, b running");
        assert_eq!(then(&[(StepFailed, Some("b"))], Running), "a done, b failed");
        assert_eq!(then(&[(StepFailed, Some("b")), (Retry, None)], Queued), "a done, b pending");
        assert_eq!(then(&[(LeaseLost, None)], Queued), "a done, b pending");
        assert_eq!(then(&[(HandedBack, None), (StepStarted, Some("b"))], Running), "a done, b running");
        assert_eq!(then(&[(StepDone, Some("b")), (Finished, None)], Succeeded), "a done, b done");
        assert_eq!(then(&[(Finished, None)], Failed), "a done, b failed");
        assert_eq!(then(&[(StepUndone, Some("a")), (Finished, None)], Cancelled), "a undone, b undone");
        assert_eq!(then(&[(Finished, None), (Accepted, None)], Queued), "a pending, b pending");
    }

    #[test]
    fn a_step_tells_when_its_last_try_began_and_how_long_it_took() {
        use JobEventKind::{Retry, StepDone, StepFailed, StepStarted};
        let a = Some("a");
        let events = events_of(&[(StepStarted, a), (StepFailed, a), (Retry, None), (StepStarted, a), (StepDone, a)]);
        let [step] = &steps(&events, JobStatus::Running)[..] else { panic!("one step") };
        assert_eq!((step.started_at, step.duration_ms), (DateTime::from_timestamp(4, 0), Some(50)));
    }
}

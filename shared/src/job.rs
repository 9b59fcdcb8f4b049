//! Job kinds, their queues and their retries, as data in one place.

use std::time::Duration;

use crate::text_enum;

text_enum!(
    /// Where a job waits. Builds have their own queue, so that a start never waits behind a ten-minute build. Rollouts
    /// have one because they wait for jobs of both other queues. The warm pool has one, so that nobody waits behind it.
    Queue {
        Lifecycle = "lifecycle",
        Builds = "builds",
        Rollouts = "rollouts",
        Warm = "warm",
    } else Unknown
);

text_enum!(
    /// What a job does.
    JobKind {
        Provision = "provision",
        Start = "start",
        Stop = "stop",
        Restart = "restart",
        Delete = "delete",
        RebuildImage = "rebuild_image",
        /// Change to another image, with a snapshot.
        Update = "update",
        /// Return to the state before the last update.
        Rollback = "rollback",
        /// Change to new settings, with a snapshot.
        ApplySettings = "recreate",
        /// Update every instance, in waves.
        UpdateAll = "update_all",
        /// Restore an instance whose files were kept.
        Restore = "restore",
        /// Make an instance for the warm pool.
        WarmUp = "warm_up",
        /// Remove an instance from the warm pool.
        Discard = "discard",
        /// Do nothing, to measure a queue or check that it is served.
        Noop = "noop",
    } else Unknown
);

text_enum!(
    /// Status of a job. A retry is `queued` again, with a later `runAt`.
    JobStatus {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    } else Unknown
);

text_enum!(
    /// The only way a job can still end, once its steps are being undone.
    UndoOutcome {
        Failed = "failed",
        Cancelled = "cancelled",
    } else Unknown
);

text_enum!(
    /// What a job event records.
    JobEventKind {
        Accepted = "accepted",
        Claimed = "claimed",
        StepStarted = "step_started",
        StepDone = "step_done",
        StepFailed = "step_failed",
        StepUndone = "step_undone",
        Log = "log",
        Retry = "retry",
        HandedBack = "handed_back",
        LeaseLost = "lease_lost",
        CancelRequested = "cancel_requested",
        Finished = "finished",
    } else Unknown
);

/// A job under which this many workers vanished is taken for the cause and fails.
pub const MAX_CRASHES: i32 = 3;

/// How often and when an automatic retry is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySchedule {
    /// Delay before the n-th retry, in seconds. After the last one the job fails.
    pub delays_seconds: &'static [u32],
}

impl RetrySchedule {
    /// Delay before the next attempt after `failures` failed ones. `None`: there is none.
    ///
    /// `jitter` in `0.0..1.0` spreads jobs that failed together over the second half of the delay.
    pub fn delay(self, failures: u32, jitter: f64) -> Option<Duration> {
        let nth = usize::try_from(failures.checked_sub(1)?).ok()?;
        let seconds = f64::from(*self.delays_seconds.get(nth)?);
        Some(Duration::from_secs_f64(seconds * (0.5 + jitter.clamp(0.0, 1.0) / 2.0)))
    }
}

impl JobKind {
    pub fn queue(self) -> Queue {
        match self {
            Self::RebuildImage => Queue::Builds,
            Self::UpdateAll => Queue::Rollouts,
            Self::WarmUp | Self::Discard => Queue::Warm,
            _ => Queue::Lifecycle,
        }
    }

    /// Whether the job replaces the container of an instance and keeps a snapshot.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Update | Self::Rollback | Self::ApplySettings)
    }

    /// Retries for errors that may pass, such as a restarting engine or a port that is briefly taken.
    pub fn retries(self) -> RetrySchedule {
        let delays_seconds: &[u32] = match self {
            // A person waits for these, so they fail within a minute.
            Self::Provision | Self::Start | Self::Restart | Self::Restore => &[1, 2, 5, 10, 20],
            // The gateway is down in the meantime, so an error that does not pass quickly is rolled back.
            Self::Update | Self::Rollback | Self::ApplySettings => &[1, 2, 4, 8],
            Self::UpdateAll => &[1, 2, 5, 10, 20, 30, 60],
            Self::Stop => &[1, 2, 5, 10, 20, 30],
            // If a delete fails, all that a person can do is to repeat it, so it is retried for about ten minutes.
            Self::Delete | Self::Discard => &[1, 2, 5, 10, 20, 30, 60, 60, 120, 300],
            Self::RebuildImage | Self::WarmUp | Self::Noop => &[5, 30],
            // Never claimed.
            Self::Unknown => &[],
        };
        RetrySchedule { delays_seconds }
    }
}

impl JobStatus {
    /// Whether the job has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl From<UndoOutcome> for JobStatus {
    fn from(end: UndoOutcome) -> Self {
        match end {
            UndoOutcome::Failed => Self::Failed,
            UndoOutcome::Cancelled => Self::Cancelled,
            UndoOutcome::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_up_at_last() {
        for kind in JobKind::ALL {
            let retries = kind.retries();
            let tries = u32::try_from(retries.delays_seconds.len()).unwrap();
            assert!(retries.delay(tries, 0.5).is_some(), "{kind}");
            assert_eq!(retries.delay(tries + 1, 0.5), None, "{kind}");
        }
    }

    #[test]
    fn jitter_stays_within_the_second_half() {
        let schedule = RetrySchedule { delays_seconds: &[10] };
        assert_eq!(schedule.delay(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(schedule.delay(1, 1.0), Some(Duration::from_secs(10)));
        assert_eq!(schedule.delay(0, 1.0), None);
    }
}

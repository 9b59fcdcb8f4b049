//! Queues as the API returns them to administrators.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        Conn, DbError, queue_pause,
        queue_stats::{self, QueueCount, QueueMinute, QueueThroughput},
        worker,
    },
    job::{JobKind, Queue},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::job::serving;

const MINUTES: usize = 60;

/// A queue with its jobs, workers and recent statistics.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    pub queue: Queue,
    /// Number of live workers that take jobs from it.
    workers: usize,
    /// Time since which it is paused; null: it is not paused.
    paused_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    total: Counts,
    /// Jobs that ended in the last hour.
    last_hour: LastHour,
    /// Jobs that ended in each minute of the last hour; the latest minute is last.
    minutes: Vec<Minute>,
    /// The same for each kind of job. Kinds without open or recently ended jobs are missing.
    kinds: Vec<KindView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindView {
    kind: JobKind,
    #[serde(flatten)]
    counts: Counts,
    last_hour: LastHour,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Number of jobs that are due and not claimed.
    waiting: i64,
    /// Number of jobs that wait for their next attempt.
    delayed: i64,
    running: i64,
    /// Number of jobs that failed in the last 24 hours.
    failed_last_day: i64,
    /// Waiting time of the oldest due job.
    oldest_waiting_seconds: Option<f64>,
}

/// Jobs that ended in the last hour, and their durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastHour {
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    /// Time from acceptance to the first claim; null: no job was claimed.
    wait_seconds: Option<Percentiles>,
    /// Time from the first claim to the end, including waits between attempts; null: no job was claimed.
    run_seconds: Option<Percentiles>,
}

/// Jobs that ended in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Minute {
    succeeded: i64,
    failed: i64,
    cancelled: i64,
}

/// 50th, 95th and 99th percentile, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// The views of all queues.
pub(crate) async fn views(conn: &mut Conn) -> Result<Vec<QueueView>, DbError> {
    let counts = queue_stats::counts(conn).await?;
    let ended = queue_stats::last_hour(conn).await?;
    let by_minute = queue_stats::minutes(conn).await?;
    let workers = worker::list(conn).await?;
    let pauses = queue_pause::list(conn).await?;
    let view = |queue: Queue| {
        let kinds = kinds(queue, &counts, &ended);
        QueueView {
            queue,
            workers: serving(&workers, queue).len(),
            paused_at: pauses.iter().find(|(paused, _)| *paused == queue).map(|(_, at)| *at),
            total: kinds.iter().fold(Counts::default(), |sum, kind| sum.and(kind.counts)),
            last_hour: ended
                .iter()
                .find(|e| e.queue == queue && e.kind.is_none())
                .map(LastHour::from)
                .unwrap_or_default(),
            minutes: minutes(queue, &by_minute),
            kinds,
        }
    };
    Ok(Queue::ALL.iter().copied().map(view).collect())
}

fn kinds(queue: Queue, counts: &[QueueCount], ended: &[QueueThroughput]) -> Vec<KindView> {
    let mut kinds: BTreeMap<JobKind, (Counts, LastHour)> = BTreeMap::new();
    for count in counts.iter().filter(|count| count.queue == queue) {
        kinds.entry(count.kind).or_default().0 = count.into();
    }
    for ended in ended.iter().filter(|ended| ended.queue == queue) {
        if let Some(kind) = ended.kind {
            kinds.entry(kind).or_default().1 = ended.into();
        }
    }
    kinds.into_iter().map(|(kind, (counts, last_hour))| KindView { kind, counts, last_hour }).collect()
}

/// The last hour of a queue, minute by minute.
fn minutes(queue: Queue, ended: &[QueueMinute]) -> Vec<Minute> {
    let mut minutes = vec![Minute::default(); MINUTES];
    for ended in ended.iter().filter(|ended| ended.queue == queue) {
        let ago = usize::try_from(ended.minutes_ago).unwrap_or(MINUTES);
        if let Some(minute) = MINUTES.checked_sub(ago + 1).and_then(|at| minutes.get_mut(at)) {
            *minute = Minute { succeeded: ended.succeeded, failed: ended.failed, cancelled: ended.cancelled };
        }
    }
    minutes
}

impl From<&QueueCount> for Counts {
    fn from(count: &QueueCount) -> Self {
        Self {
            waiting: count.waiting,
            delayed: count.delayed,
            running: count.running,
            failed_last_day: count.failed_last_day,
            oldest_waiting_seconds: count.oldest_waiting_seconds,
        }
    }
}

impl Counts {
    fn and(self, other: Self) -> Self {
        let oldest = self.oldest_waiting_seconds.into_iter().chain(other.oldest_waiting_seconds).reduce(f64::max);
        Self {
            waiting: self.waiting + other.waiting,
            delayed: self.delayed + other.delayed,
            running: self.running + other.running,
            failed_last_day: self.failed_last_day + other.failed_last_day,
            oldest_waiting_seconds: oldest,
        }
    }
}

impl From<&QueueThroughput> for LastHour {
    fn from(ended: &QueueThroughput) -> Self {
        let percentiles = |p50: Option<f64>, p95: Option<f64>, p99: Option<f64>| {
            p50.zip(p95).zip(p99).map(|((p50, p95), p99)| Percentiles { p50, p95, p99 })
        };
        Self {
            succeeded: ended.succeeded,
            failed: ended.failed,
            cancelled: ended.cancelled,
            wait_seconds: percentiles(ended.wait_p50, ended.wait_p95, ended.wait_p99),
            run_seconds: percentiles(ended.run_p50, ended.run_p95, ended.run_p99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_sixty_minutes_and_the_last_is_the_one_under_way() {
        let ended =
            |queue, minutes_ago, succeeded| QueueMinute { queue, minutes_ago, succeeded, failed: 1, cancelled: 0 };
        let all = [
            ended(Queue::Lifecycle, 0, 5),
            ended(Queue::Lifecycle, 59, 7),
            // After a slow query, a job may have ended an hour ago.
            ended(Queue::Lifecycle, 60, 9),
            ended(Queue::Builds, 3, 1),
        ];
        let minutes = minutes(Queue::Lifecycle, &all);
        assert_eq!((minutes.len(), minutes[0].succeeded, minutes[59].succeeded), (60, 7, 5));
        assert_eq!(minutes.iter().map(|minute| minute.failed).sum::<i64>(), 2);
        assert_eq!(minutes[56], Minute::default());
    }

    #[test]
    fn a_kind_shows_if_any_is_open_or_ended() {
        let (queue, none) = (Queue::Lifecycle, None);
        let open = QueueCount {
            queue,
            kind: JobKind::Stop,
            waiting: 2,
            delayed: 0,
            running: 1,
            failed_last_day: 0,
            oldest_waiting_seconds: Some(4.0),
        };
        let other = QueueCount { queue: Queue::Builds, kind: JobKind::RebuildImage, ..open.clone() };
        let ended = QueueThroughput {
            queue,
            kind: Some(JobKind::Start),
            succeeded: 3,
            failed: 0,
            cancelled: 0,
            wait_p50: Some(0.1),
            wait_p95: Some(0.2),
            wait_p99: Some(0.3),
            run_p50: none,
            run_p95: none,
            run_p99: none,
        };
        let total = QueueThroughput { kind: None, ..ended.clone() };
        let kinds = kinds(queue, &[open, other], &[total, ended]);
        let [start, stop] = &kinds[..] else { panic!("{kinds:?}") };
        assert_eq!((start.kind, start.counts, start.last_hour.succeeded), (JobKind::Start, Counts::default(), 3));
        assert_eq!(start.last_hour.wait_seconds, Some(Percentiles { p50: 0.1, p95: 0.2, p99: 0.3 }));
        assert_eq!(start.last_hour.run_seconds, None);
        assert_eq!((stop.kind, stop.counts.waiting, stop.last_hour), (JobKind::Stop, 2, LastHour::default()));
    }
}

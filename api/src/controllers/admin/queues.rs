use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        queue_pause,
        queue_stats::{self, QueueCount},
        worker,
    },
    job::{JobKind, Queue},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Admin, controllers::jobs::serving, error::AppResult, extract::Json, page::Page, state::AppState};

/// What waits in a queue and who serves it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    queue: Queue,
    /// Workers that are alive and take jobs from it.
    workers: usize,
    /// Since when nothing new is taken from it; null: it is not paused.
    paused_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    total: Counts,
    /// The same by kind, for kinds that have any.
    kinds: Vec<KindCounts>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KindCounts {
    kind: JobKind,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Due, and not begun.
    waiting: i64,
    /// To be tried again later.
    delayed: i64,
    running: i64,
    /// Failed in the last 24 hours.
    failed_last_day: i64,
    /// How long the oldest one that is due has waited.
    oldest_waiting_seconds: Option<f64>,
}

/// The queues, what waits in them and who serves them
#[utoipa::path(get, path = "/api/admin/queues", tag = "admin", responses((status = OK, body = Page<QueueView>)))]
pub async fn list_queues(app: AppState, _: Admin) -> AppResult<Json<Page<QueueView>>> {
    let mut conn = app.db.conn().await?;
    let counts = queue_stats::counts(&mut conn).await?;
    let workers = worker::list(&mut conn).await?;
    let pauses = queue_pause::list(&mut conn).await?;
    let view = |queue: Queue| {
        let kinds: Vec<KindCounts> = counts.iter().filter(|count| count.queue == queue).map(KindCounts::from).collect();
        let total = kinds.iter().fold(Counts::default(), |sum, kind| sum.and(kind.counts));
        let paused_at = pauses.iter().find(|(paused, _)| *paused == queue).map(|(_, at)| *at);
        QueueView { queue, workers: serving(&workers, queue).len(), paused_at, total, kinds }
    };
    Ok(Json(Page::whole(Queue::ALL.iter().copied().map(view).collect())))
}

impl From<&QueueCount> for KindCounts {
    fn from(count: &QueueCount) -> Self {
        let counts = Counts {
            waiting: count.waiting,
            delayed: count.delayed,
            running: count.running,
            failed_last_day: count.failed_last_day,
            oldest_waiting_seconds: count.oldest_waiting_seconds,
        };
        Self { kind: count.kind, counts }
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

use std::time::Duration;

use chrono::{DateTime, Utc};
use clawdeploy_shared::db::{
    Scope,
    sweep::{self, Sweep, SweepName},
    worker,
};
use tokio::time::{Instant, sleep};

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    page::Page,
    state::AppState,
};

/// Interval between checks whether the sweeps have run.
const POLL: Duration = Duration::from_millis(200);

/// Time limit for the sweeps. Shorter than the time limit of a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the reconciler now
///
/// The reconciler compares the database with the Docker engine and the disk, and repairs or reports each difference.
/// The response is sent when every sweep has run, and contains the findings. After 15 s, the response is 504 with the
/// finished sweeps (`sweeps`); the others continue. If no worker is available, the response is 503 at once.
#[utoipa::path(post, path = "/api/admin/reconcile", tag = "admin", responses((status = OK, body = Page<Sweep>)))]
pub async fn run_reconciler(app: AppState, Admin(who): Admin, context: RequestContext) -> AppResult<Json<Page<Sweep>>> {
    let requested_at = request(&app, who, context).await?;
    Ok(Json(Page::whole(wait(&app, requested_at).await?)))
}

async fn request(app: &AppState, who: Principal, context: RequestContext) -> AppResult<DateTime<Utc>> {
    app.transaction(Scope::Everything, async move |conn| {
        let works = |(worker, alive): &(worker::Worker, bool)| *alive && !worker.draining && !worker.stands_by();
        if !worker::list(conn).await?.iter().any(works) {
            let detail = "No worker is available: none is alive, or all are standing by. See GET /api/admin/workers.";
            return Err(AppError::new(ErrorCode::NoWorker, detail));
        }
        let requested_at = sweep::request(conn).await?;
        Entry::new("reconcile.request", Target::Reconciler).by(conn, &who, &context).await?;
        Ok(requested_at)
    })
    .await
}

/// Waits until every sweep has run. The sweeps also run if the request is dropped in the meantime.
async fn wait(app: &AppState, requested_at: DateTime<Utc>) -> AppResult<Vec<Sweep>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let sweeps = sweep::list(&mut *app.db.conn().await?).await?;
        let missing = missing(&sweeps, requested_at);
        if missing.is_empty() {
            return Ok(sweeps);
        }
        if Instant::now() >= until || app.shutdown.is_cancelled() {
            return Err(unfinished(sweeps, &missing, requested_at));
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
}

fn missing(sweeps: &[Sweep], requested_at: DateTime<Utc>) -> Vec<SweepName> {
    let has_run = |name| sweeps.iter().any(|sweep| sweep.name == name && sweep.has_run_since(requested_at));
    SweepName::pass().filter(|name| !has_run(*name)).collect()
}

fn unfinished(sweeps: Vec<Sweep>, missing: &[SweepName], requested_at: DateTime<Utc>) -> AppError {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let detail = format!(
        "Some sweeps did not finish in time: {}. They continue; see GET /api/admin/reconcile.",
        names.join(", ")
    );
    let done = sweeps.into_iter().filter(|sweep| sweep.has_run_since(requested_at)).collect();
    AppError::reconcile_unfinished(detail, done)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;

    fn sweep(name: SweepName, ran_at: Option<DateTime<Utc>>) -> Sweep {
        Sweep {
            name,
            requested_at: None,
            ran_at,
            duration_ms: None,
            worker: None,
            checked: 0,
            findings: Value::Array(Vec::new()),
            error: None,
            repaired_at: None,
            repairs: Value::Array(Vec::new()),
        }
    }

    #[test]
    fn what_ran_before_the_request_is_not_what_was_asked_for() {
        let at = Utc::now();
        let (before, after) = (at - TimeDelta::seconds(1), at + TimeDelta::seconds(1));
        let mut sweeps: Vec<_> = SweepName::pass().map(|name| sweep(name, Some(after))).collect();
        assert_eq!(missing(&sweeps, at), []);
        sweeps[0].ran_at = Some(before);
        sweeps[2].ran_at = None;
        let gone = sweeps.pop().unwrap().name;
        let late = missing(&sweeps, at);
        assert_eq!(late, [SweepName::Drift, SweepName::Doorbells, gone]);

        let problem = serde_json::to_value(unfinished(sweeps, &late, at).problem("r")).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(504), &json!("reconcile_unfinished")));
        let to_come = format!("did not finish in time: drift, doorbells, {gone}.");
        assert!(problem["detail"].as_str().unwrap().contains(&to_come), "{problem}");
        assert_eq!(problem["sweeps"].as_array().map(Vec::len), Some(SweepName::pass().count() - 3));
    }
}

//! What operators and load balancers ask. Neither needs a token, and neither tells where anything is.

use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        DbError,
        firewall::{self, FirewallState},
        worker,
    },
    telemetry::chain,
    text_enum,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{extract::Json, state::AppState};

text_enum!(
    /// Health of a part.
    Health {
        Ok = "ok",
        /// Requests are answered, but something does not work as it should.
        Degraded = "degraded",
        Down = "down",
    }
);

text_enum!(
    /// How the instances' firewall is.
    FirewallHealth {
        Ok = "ok",
        /// Instances can reach something that is to be closed to them.
        Degraded = "degraded",
        Down = "down",
        /// Switched off by a setting.
        Off = "off",
        /// It could not be tried, or not for some minutes.
        Unknown = "unknown",
    }
);

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    status: Health,
}

/// Whether requests can be served, and what each part does.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    status: Health,
    postgres: Health,
    /// Without it jobs begin a second later, found by the workers' own sweep.
    redis: Health,
    workers: WorkersHealth,
    /// Degraded: instances can reach something that is to be closed to them.
    firewall: FirewallHealth,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WorkersHealth {
    /// Degraded: no worker is alive and jobs wait; a worker cannot reach its Docker engine; or a worker is standing by.
    status: Health,
    /// How many are alive.
    alive: usize,
    /// How many of those are standing by, because their database, data directory and engine do not belong together.
    standby: usize,
}

/// Liveness: the process answers
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = OK, body = Alive)))]
pub async fn healthz() -> Json<Alive> {
    Json(Alive { status: Health::Ok })
}

/// Readiness: whether requests can be served
///
/// The answer is still 200 without Redis or workers: requests are accepted, and their jobs wait.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = OK, body = Readiness), (status = SERVICE_UNAVAILABLE, body = Readiness)),
)]
pub async fn readyz(app: AppState) -> (StatusCode, Json<Readiness>) {
    let (workers, redis, firewall) = tokio::join!(workers(&app), app.doorbell.ping(), firewall(&app));
    let (postgres, workers) = match workers {
        Ok(workers) => (Health::Ok, workers),
        Err(error) => {
            tracing::warn!(error = chain(&error), "Postgres is not ready");
            (Health::Down, WorkersHealth { status: Health::Degraded, alive: 0, standby: 0 })
        }
    };
    let redis = redis.map_or_else(
        |error| {
            tracing::warn!(error = chain(&error), "Redis is not ready");
            Health::Down
        },
        |()| Health::Ok,
    );
    let open = matches!(firewall, FirewallHealth::Degraded | FirewallHealth::Down);
    let status = match (postgres, redis, workers.status) {
        (Health::Ok, Health::Ok, Health::Ok) if !open => Health::Ok,
        (Health::Ok, ..) => Health::Degraded,
        _ => Health::Down,
    };
    let code = if status == Health::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Readiness { status, postgres, redis, workers, firewall }))
}

async fn workers(app: &AppState) -> Result<WorkersHealth, DbError> {
    app.db.ping().await?;
    let mut conn = app.db.conn().await?;
    let all = worker::list(&mut conn).await?;
    let alive: Vec<_> = all.into_iter().filter(|(_, alive)| *alive).map(|(worker, _)| worker).collect();
    let standby = alive.iter().filter(|worker| worker.stands_by()).count();
    let good = !alive.is_empty() && standby == 0 && alive.iter().all(|worker| worker.docker_error.is_none());
    Ok(WorkersHealth { status: if good { Health::Ok } else { Health::Degraded }, alive: alive.len(), standby })
}

/// What cannot be read is not known; that Postgres is away is said beside it.
async fn firewall(app: &AppState) -> FirewallHealth {
    let read: Result<_, DbError> = async { Ok(firewall::current(&mut *app.db.conn().await?).await?.state) }.await;
    match read {
        Ok(FirewallState::Ok) => FirewallHealth::Ok,
        Ok(FirewallState::Open) => FirewallHealth::Degraded,
        Ok(FirewallState::Off) => FirewallHealth::Off,
        Ok(FirewallState::Unknown) | Err(_) => FirewallHealth::Unknown,
    }
}

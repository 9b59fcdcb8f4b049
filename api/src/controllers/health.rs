//! Health checks for operators and load balancers. They need no token and reveal no addresses.

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
    /// Health of a component.
    Health {
        Ok = "ok",
        /// Requests are served, but something does not work correctly.
        Degraded = "degraded",
        Down = "down",
    }
);

text_enum!(
    /// Health of the instances' firewall.
    FirewallHealth {
        Ok = "ok",
        /// Instances can reach something that must be blocked.
        Degraded = "degraded",
        Down = "down",
        /// A setting disables the firewall.
        Off = "off",
        /// The firewall could not be tested, or was not tested recently.
        Unknown = "unknown",
    }
);

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    status: Health,
}

/// Whether requests can be served, and the health of each component.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    status: Health,
    postgres: Health,
    /// Without Redis, jobs start up to a second later, because workers find them by polling.
    redis: Health,
    workers: WorkersHealth,
    /// Degraded: instances can reach something that must be blocked.
    firewall: FirewallHealth,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WorkersHealth {
    /// Degraded: no worker is alive, a worker cannot reach its Docker engine, or a worker is standing by.
    status: Health,
    /// Number of workers that are alive.
    alive: usize,
    /// Number of those that are standing by, because their database, data directory and engine do not belong together.
    standby: usize,
}

/// Reports that the process is alive
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = OK, body = Alive)))]
pub async fn healthz() -> Json<Alive> {
    Json(Alive { status: Health::Ok })
}

/// Reports whether requests can be served
///
/// The response is 503 only without Postgres. Without Redis or workers it is still 200: requests are accepted, and
/// their jobs wait.
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

/// `Unknown` if the state cannot be read: the health of Postgres is reported separately.
async fn firewall(app: &AppState) -> FirewallHealth {
    let read: Result<_, DbError> = async { Ok(firewall::current(&mut *app.db.conn().await?).await?.state) }.await;
    match read {
        Ok(FirewallState::Ok) => FirewallHealth::Ok,
        Ok(FirewallState::Open) => FirewallHealth::Degraded,
        Ok(FirewallState::Off) => FirewallHealth::Off,
        Ok(FirewallState::Unknown) | Err(_) => FirewallHealth::Unknown,
    }
}

//! Startup and shutdown of the server.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use axum::{extract::connect_info::IntoMakeServiceWithConnectInfo, serve::ListenerExt as _};
use clawdeploy_shared::{
    config::Routing,
    db::{Db, DbError, setup},
    token::{session_token, token_hash},
};
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{config::ApiConfig, domains, router::build_app, state::AppState};

/// How long to wait for Postgres at startup.
const DATABASE_WAIT: Duration = Duration::from_secs(30);

/// Time limit for open requests and changes during a shutdown.
const GRACE: Duration = Duration::from_secs(25);

/// Serves until SIGTERM or SIGINT. Redis need not be available.
pub async fn serve(config: ApiConfig) -> anyhow::Result<()> {
    clawdeploy_shared::metrics::serve(&config.metrics)
        .context("cannot serve metrics; each process needs a CLAWDEPLOY_METRICS_LISTEN of its own")?;
    let state = AppState::new(&config)?;
    listen_for_signals(state.shutdown.clone())?;
    tokio::select! {
        migrated = migrate_when_up(&state.db, DATABASE_WAIT) => migrated?,
        () = state.shutdown.cancelled() => return Ok(()),
    }
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let url = config.public_url.unwrap_or_else(|| format!("http://{address}"));
    tracing::info!(%address, url, "Serving; the documentation is at {url}/api/docs/");
    announce_setup(&state.db, &url).await?;
    if state.routing.routing == Routing::Nginx
        && let Some(warning) = domains::warning(&url, &state.routing.base_domain)
    {
        tracing::warn!("{warning}");
    }
    run(state, listener).await
}

/// If there is no account yet, logs the token that creates the first administrator.
async fn announce_setup(db: &Db, url: &str) -> anyhow::Result<()> {
    let mut conn = db.conn().await?;
    if setup::is_required(&mut conn).await? {
        let token = session_token();
        setup::allow(&mut conn, &token_hash(token.expose_secret())).await?;
        let token = token.expose_secret();
        tracing::warn!(
            token,
            "There is no account yet. Use this token once to create the first administrator at {url}/setup"
        );
    }
    Ok(())
}

fn listen_for_signals(asked_to_end: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("Shutting down; finishing open requests");
        asked_to_end.cancel();
    });
    Ok(())
}

/// Serves on `listener` until [`App::shutdown`](crate::state::App::shutdown) is cancelled and open requests and changes
/// have ended.
pub async fn run(state: AppState, listener: TcpListener) -> anyhow::Result<()> {
    let service: IntoMakeServiceWithConnectInfo<_, SocketAddr> =
        build_app(state.clone()).into_make_service_with_connect_info();
    // Otherwise each event of a stream waits for the acknowledgement of the previous one.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let shutdown = state.shutdown.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let grace_is_over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let finish = async {
        server.await.context("the server failed")?;
        state.changes.close();
        state.changes.wait().await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = finish => done.inspect(|()| tracing::info!("Stopped")),
        () = grace_is_over => {
            tracing::warn!(grace_seconds = GRACE.as_secs(), "Shut down with requests still open");
            Ok(())
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("address {address} is already in use; set CLAWDEPLOY_LISTEN to another one")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}; set CLAWDEPLOY_LISTEN")),
    }
}

/// Migrates the schema as soon as Postgres is available.
pub(crate) async fn migrate_when_up(db: &Db, patience: Duration) -> anyhow::Result<()> {
    db.migrate_when_up(patience).await.map_err(|error| match error {
        DbError::Unreachable(_) | DbError::Timeout => {
            let hint = "check that it runs and that CLAWDEPLOY_DATABASE_URL is right";
            let waited = format!("Postgres could not be reached for {} s; {hint}", patience.as_secs());
            anyhow::Error::new(error).context(waited)
        }
        other => anyhow::Error::new(other).context("cannot bring the database up to date"),
    })
}

//! Instances at their own addresses, through a real nginx.

mod faults;
mod hold;
mod pages;
mod sockets;

use clawdeploy_tests::{Builder, TestEnv, nginx::Nginx};

/// An installation behind nginx.
pub(crate) async fn behind(builder: Builder) -> (TestEnv, Nginx) {
    let mut nginx = Nginx::prepare().await;
    let builder = nginx.settings().into_iter().fold(builder, |builder, (name, value)| builder.set(name, &value));
    let env = builder.build().await;
    nginx.start(&env).await;
    (env, nginx)
}

/// Latest findings of the sweep `routes`.
async fn report(env: &TestEnv) -> String {
    let rows = env.rows("SELECT findings FROM sweeps WHERE name = 'routes'").await;
    rows.first().map(|row| row["findings"].to_string()).unwrap_or_default()
}

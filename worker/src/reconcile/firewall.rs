//! Tests the instances' firewall from an instance's position.
//!
//! The worker may not read firewall rules, and existing rules need not be in force. So a small container in the last
//! /29 of the instances' pool tries to connect, once per [`firewall_interval`](crate::config::InstanceArgs):
//!
//! - to two listeners of the worker's, on the host's addresses of the probe's network and of another one: nobody else
//!   sends packets there, and the container must not get through (chain `INPUT`);
//! - to an address in another network of the pool: only the firewall rejects that at once. Docker drops it silently,
//!   and nobody has the address (`FORWARD`, `DOCKER-USER`);
//! - to a cloud's metadata address, which must not answer.
//!
//! What is open is reported as `firewall_open` and waits for `deploy/firewall.sh watch` or a person. What could not be
//! tested is reported as `firewall_unknown`. Between two probes the last result stands.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clawdeploy_shared::{
    db::{
        firewall::{self, Firewall, FirewallState},
        sweep::SweepReport,
    },
    ports::ProbePlace,
    telemetry::chain,
};
use tokio::net::TcpListener;

use super::{SweepError, SweepResult};
use crate::{config::Switch, env::Env, runtime::ProbeSpec};

/// Exits with [`RAN`] plus the bits of what is open.
const SCRIPT: &str = include_str!("firewall.js");
/// Exit code of a completed probe. The lowest bits say what it reached.
const RAN: i64 = 64;
/// It takes two and a half seconds; more on a busy machine.
const PROBE_LIMIT: Duration = Duration::from_secs(12);
const METADATA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// The meaning of the exit code's bits.
const OPEN: [(i64, &str); 3] =
    [(1, "this machine"), (2, "other instances and private networks"), (4, "the metadata address 169.254.169.254")];

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let settings = &env.config.instances;
    if settings.firewall == Switch::Off {
        firewall::record(&mut *env.db.conn().await?, &env.worker, FirewallState::Off, None).await?;
        return Ok(SweepReport::of(0));
    }
    let before = firewall::recent(&mut *env.db.conn().await?, settings.firewall_interval).await?;
    let now = match before {
        Some(recent) if recent.state != FirewallState::Off => recent,
        _ => probe_and_keep(env).await?,
    };
    Ok(report(&now))
}

fn report(now: &Firewall) -> SweepReport {
    let mut report = SweepReport::of(1);
    let message = now.message.clone().unwrap_or_default();
    match now.state {
        FirewallState::Open => report.reported("firewall_open", "firewall", message),
        FirewallState::Unknown => report.watching("firewall_unknown", "firewall", message),
        FirewallState::Ok | FirewallState::Off => {}
    }
    report
}

async fn probe_and_keep(env: &Env) -> Result<Firewall, SweepError> {
    let (state, message) = probe(env).await?;
    let mut conn = env.db.conn().await?;
    let before = firewall::current(&mut conn).await?.state;
    firewall::record(&mut conn, &env.worker, state, message.as_deref()).await?;
    if state != before {
        let message = message.as_deref().unwrap_or_default();
        match state {
            FirewallState::Open => tracing::error!(message, "The instances' firewall is open"),
            FirewallState::Unknown => tracing::warn!(message, "Could not test the instances' firewall"),
            FirewallState::Ok | FirewallState::Off => tracing::info!("The instances' firewall works"),
        }
    }
    Ok(Firewall { state, checked_at: None, message })
}

async fn probe(env: &Env) -> Result<(FirewallState, Option<String>), SweepError> {
    match try_twice(env).await {
        Ok(code) => Ok(judge(code)),
        Err(Failure::Sweep(error)) if error.is_hopeless() => Err(error),
        Err(Failure::Sweep(error)) => {
            Ok((FirewallState::Unknown, Some(format!("The probe could not run: {}.", chain(&error)))))
        }
        Err(Failure::Reason(reason)) => Ok((FirewallState::Unknown, Some(reason))),
    }
}

enum Failure {
    Sweep(SweepError),
    /// A message for people.
    Reason(String),
}

impl<E: Into<SweepError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Sweep(error.into())
    }
}

/// While the engine creates a network, its own rules briefly precede ours. So a result counts as open only if it is so
/// twice.
async fn try_twice(env: &Env) -> Result<i64, Failure> {
    let first = try_probe(env).await?;
    if first <= RAN {
        return Ok(first);
    }
    let second = try_probe(env).await?;
    Ok(if second < RAN { second } else { first & second })
}

async fn try_probe(env: &Env) -> Result<i64, Failure> {
    let settings = &env.config.instances;
    let Some(place) = settings.network_pool.probe_place(env.config.routing.port_range) else {
        return Err(Failure::Reason(
            "CLAWDEPLOY_NETWORK_POOL has no addresses left for the probe: the ports of CLAWDEPLOY_PORT_RANGE take \
             all of them. Set a larger pool or a smaller port range."
                .to_owned(),
        ));
    };
    let image = &env.config.image.image;
    let Some(image_id) = env.runtime.image_id(image).await? else {
        return Err(Failure::Reason(format!("There is no image {image} to run the probe with. Build it first.")));
    };
    env.runtime.ensure_probe_networks(&place).await?;
    let (here, beside) = (listen(place.home.gateway()).await?, listen(place.neighbour.gateway()).await?);
    // Nothing is ever accepted: the kernel completes the handshake of whoever gets through.
    let command = command(&place, address(&here)?, address(&beside)?);
    let code = env.runtime.run_probe(&ProbeSpec { image_id, command, limit: PROBE_LIMIT }).await?;
    drop((here, beside));
    Ok(code)
}

async fn listen(gateway: Ipv4Addr) -> Result<TcpListener, Failure> {
    TcpListener::bind((gateway, 0)).await.map_err(|error| {
        Failure::Reason(format!(
            "The worker cannot listen on {gateway}, the host's address on the probe's network ({error}). It has to \
             run in the network namespace of the Docker engine's host."
        ))
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::Reason(format!("The probe's listener has no address: {error}.")))
}

fn command(place: &ProbePlace, here: SocketAddr, beside: SocketAddr) -> Vec<String> {
    let forwarded = SocketAddr::from((place.neighbour.container(), 80));
    let targets = [here, beside, forwarded, METADATA].map(|target| target.to_string());
    ["node", "-e", SCRIPT].map(str::to_owned).into_iter().chain(targets).collect()
}

fn judge(code: i64) -> (FirewallState, Option<String>) {
    let Some(open) = code.checked_sub(RAN).filter(|open| (0..8).contains(open)) else {
        let message = format!(
            "The probe exited with code {code} before it tried anything. It needs `node` in the instances' image."
        );
        return (FirewallState::Unknown, Some(message));
    };
    let reached: Vec<_> = OPEN.iter().filter(|(bit, _)| open & bit != 0).map(|(_, what)| *what).collect();
    if reached.is_empty() {
        return (FirewallState::Ok, None);
    }
    let message = format!(
        "Instances can reach {}. On the host, `clawdeploy-firewall check` (deploy/firewall.sh) shows what is \
         missing and `clawdeploy-firewall apply` restores it. `clawdeploy-firewall.service` does that by itself: \
         check whether it runs.",
        reached.join(", ")
    );
    (FirewallState::Open, Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_says_what_is_open() {
        assert_eq!(judge(64), (FirewallState::Ok, None));
        for code in [-1, 0, 1, 63, 72, 125, 127, 137] {
            assert_eq!(judge(code).0, FirewallState::Unknown, "{code}");
        }
        let (state, message) = judge(67);
        assert_eq!(state, FirewallState::Open);
        let message = message.unwrap();
        assert!(message.contains("this machine, other instances and private networks."), "{message}");
        assert!(!message.contains("metadata"), "{message}");
        assert!(judge(68).1.unwrap().contains("metadata"));
    }
}

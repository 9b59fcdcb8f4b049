//! Waits until the gateway answers, and explains why if it does not.

use std::time::Duration;

use clawdeploy_shared::job::JobKind;
use tokio::time::Instant;

use super::{
    boot::{self, Patience},
    container, warm,
};
use crate::{
    job::{context::JobContext, error::StepError},
    runtime::{GatewayState, GatewayStatus, Reference},
};

/// Delay between two requests to the gateway.
const POLL: Duration = Duration::from_millis(100);

/// Delay between two inspections of the container.
const LOOK: Duration = Duration::from_secs(1);

/// OpenClaw's exit code for a configuration or state that it refuses. A retry cannot help.
const EXIT_CONFIG: i64 = 78;

/// A gateway that exits this often during its start will not recover.
const MAX_RESTARTS: i64 = 2;

/// The limit while Docker has just started it once more: the previous exit code is not known while it runs. Later
/// inspections tell.
const MAX_RESTARTS_UNTOLD: i64 = 5;

/// Code for a gateway that did not answer in time because many others were booting.
pub(super) const SLOW: &str = "gateway_slow";

/// Lines of the gateway's log that a failure shows.
const LAST_WORDS: usize = 12;

/// Attempts that may run out of time because other gateways boot too, before the job fails. Each is several times as
/// long as usual.
const SLOW_TRIES: i32 = 3;

pub(super) async fn wait(cx: &JobContext) -> Result<(), StepError> {
    let waited = wait_in_place(cx).await;
    match &waited {
        Ok(()) => boot::leave(cx).await?,
        Err(StepError::LeaseLost) => {}
        // The failure matters more than releasing the slot a little later.
        Err(_) => drop(boot::leave(cx).await),
    }
    waited
}

async fn wait_in_place(cx: &JobContext) -> Result<(), StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let container_id = container::of(&instance)?;
    let gateway = cx.env.runtime.address(port);
    let began = Instant::now();
    let mut patience = Patience::new(cx.env.config.instances.ready_within);
    let mut next_look = began;
    let mut ended = false;
    // A command in the container costs CPU, and nobody waits for it.
    let poll = if cx.job.kind == JobKind::WarmUp { LOOK } else { POLL };
    let restarts_before = cx.env.runtime.state(&container_id).await?.map_or(0, |s| s.restart_count);
    loop {
        cx.check()?;
        let ready = match cx.job.kind {
            JobKind::WarmUp => warm::has_started(cx, &container_id).await?,
            _ => cx.env.probe.is_ready(gateway).await,
        };
        if ready {
            break;
        }
        if Instant::now() >= next_look {
            next_look = Instant::now() + LOOK;
            let seen = hopeless(cx.env.runtime.state(&container_id).await?, restarts_before);
            // A container exits before it is removed: look again to tell a removal from a gateway that exited by
            // itself.
            let sure = ended || !matches!(seen, Some(("gateway_exited", _)));
            ended = seen.is_some();
            if let Some((code, reason)) = seen.filter(|_| sure) {
                return Err(failed(cx, &container_id, code, &reason).await);
            }
        }
        if !patience.lasts(&cx.env).await? {
            return Err(too_late(cx, &container_id, &patience).await);
        }
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = cx.told_to_stop() => {}
        }
    }
    cx.env.runtime.set_cpu(&container_id, instance.cpu_millis).await?;
    cx.log(&format!("The gateway answered after {:.1} s", began.elapsed().as_secs_f64())).await
}

/// The failure of a gateway that took too long. If others booted too, a retry may succeed.
async fn too_late(cx: &JobContext, container_id: &Reference, patience: &Patience) -> StepError {
    let waited = patience.elapsed().as_secs();
    if !patience.was_slowed() {
        let reason = format!("The gateway did not answer within {waited} s.");
        return failed(cx, container_id, "gateway_not_ready", &reason).await;
    }
    let reason = format!("The gateway did not answer within {waited} s, while many others were booting.");
    match failed(cx, container_id, SLOW, &reason).await {
        StepError::Permanent(failure) if cx.job.failures + 1 < SLOW_TRIES => StepError::Transient(failure),
        other => other,
    }
}

/// A code and a sentence if waiting longer cannot help.
fn hopeless(state: Option<GatewayState>, restarts_before: i64) -> Option<(&'static str, String)> {
    let Some(state) = state else {
        return Some(("container_gone", "The container was removed while its gateway started.".into()));
    };
    let restarts = state.restart_count - restarts_before;
    let ended = matches!(state.status, GatewayStatus::Exited | GatewayStatus::Restarting | GatewayStatus::Dead);
    let code = state.exit_code.unwrap_or_default();
    if state.status == GatewayStatus::Paused {
        return Some(("container_paused", "The container was paused while its gateway started.".into()));
    }
    let enough = if state.exit_code.is_some() { MAX_RESTARTS } else { MAX_RESTARTS_UNTOLD };
    if restarts >= enough || (ended && (code == EXIT_CONFIG || state.status != GatewayStatus::Restarting)) {
        let killed = if state.oom_killed { ", out of memory" } else { "" };
        let reason = match state.exit_code {
            Some(code) => format!("The gateway exited during its start (exit code {code}{killed})."),
            None => format!("The gateway exited {restarts} times during its start."),
        };
        return Some(("gateway_exited", reason));
    }
    None
}

/// A failure that ends with the gateway's last output.
async fn failed(cx: &JobContext, container_id: &Reference, code: &'static str, reason: &str) -> StepError {
    let secrets = match cx.instance().await.and_then(|(instance, _)| cx.secrets(&instance)) {
        Ok(secrets) => secrets,
        Err(error) => return error,
    };
    let message = match cx.env.runtime.tail(container_id, LAST_WORDS, &secrets.known()).await {
        Ok(words) if words.is_empty() => format!("{reason} It printed nothing."),
        Ok(words) => format!("{reason} Its last output:\n{}", words.join("\n")),
        // The reason holds without the output.
        Err(error) => format!("{reason} Its last output could not be read: {error}."),
    };
    StepError::permanent(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: GatewayStatus, exit_code: i64, restart_count: i64) -> GatewayState {
        GatewayState {
            status,
            exit_code: Some(exit_code),
            oom_killed: false,
            restart_count,
            started_at: None,
            image_id: String::new(),
            cpu_millis: 1000,
            error: None,
        }
    }

    #[test]
    fn a_gateway_gets_a_second_chance_but_not_for_a_bad_configuration() {
        assert_eq!(hopeless(Some(state(GatewayStatus::Running, 0, 0)), 0), None);
        assert_eq!(hopeless(Some(state(GatewayStatus::Restarting, 1, 1)), 0), None);
        assert!(hopeless(Some(state(GatewayStatus::Restarting, 1, 2)), 0).is_some());
        assert!(hopeless(Some(state(GatewayStatus::Restarting, EXIT_CONFIG, 1)), 0).is_some());
        assert!(hopeless(Some(state(GatewayStatus::Exited, 0, 0)), 0).is_some());
        assert_eq!(hopeless(None, 0).map(|(code, _)| code), Some("container_gone"));
        let paused = hopeless(Some(state(GatewayStatus::Paused, 0, 0)), 0);
        assert_eq!(paused.map(|(code, _)| code), Some("container_paused"));
    }

    #[test]
    fn a_code_that_is_not_known_is_waited_for_and_then_not_told() {
        let again = |restarts| GatewayState { exit_code: None, ..state(GatewayStatus::Running, 0, restarts) };
        assert_eq!(hopeless(Some(again(MAX_RESTARTS)), 0), None);
        let (code, reason) = hopeless(Some(again(MAX_RESTARTS_UNTOLD)), 0).unwrap();
        assert_eq!((code, reason.as_str()), ("gateway_exited", "The gateway exited 5 times during its start."));
    }

    #[test]
    fn restarts_of_an_earlier_life_do_not_count() {
        assert_eq!(hopeless(Some(state(GatewayStatus::Running, 0, 7)), 6), None);
    }
}

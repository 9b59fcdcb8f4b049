//! Lets instances that nobody uses fall asleep, and wakes those whose schedule is due.
//!
//! Every worker takes some of the instances that are due to be looked at ([`sleep::take_due`]) and asks their gateways
//! over their WebSockets. An instance is idle while no browser, no app and no terminal is connected, no channel runs,
//! nothing was said for a while, and its own schedule is not due soon. After its minutes of that, the gateway is asked
//! to begin nothing new, which it refuses while an agent is at work, and a job freezes it. Another one stops it later, or
//! as soon as its memory is needed.
//!
//! A gateway that does not answer, or not as expected, stays awake.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        DbError, Scope, frozen, instance,
        sleep::{self, Due, Waker, Waking},
        worker,
    },
    ids::InstanceId,
    job::JobKind,
    rpc::PairingRequestId,
    sleep::WokenBy,
    telemetry::chain,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use crate::{
    env::Env,
    gateway_rpc::{Failure, Link, activity::Activity, attempts::Attempts},
    rounds::Rounds,
    runtime::Reference,
};

/// Gateways that are asked at once.
const AT_ONCE: usize = 8;

/// Instances that are taken in one round. The rest is taken by other workers, or in the next round.
const TAKEN: i64 = 64;

/// Time limit for one instance, including a command that pairs our device.
const LIMIT: Duration = Duration::from_mins(1);

/// Time limit of the command that pairs our device.
const PAIR_LIMIT: Duration = Duration::from_secs(40);

/// How long before its schedule is due an instance is woken: it has to boot.
const AHEAD_SECONDS: f64 = 60.0;

/// How much later an instance is tried again that could not be woken now, in seconds.
const AGAIN_SECONDS: f64 = 300.0;

/// Sleeping instances that are woken by their schedules in one round. The boots take turns anyway.
const WOKEN: i64 = 32;

/// Frozen gateways that are stopped in one round. It thaws them, so they need some CPU.
const STOPPED: i64 = 16;

/// An instance whose schedule is due within this time stays awake: it would hardly sleep.
const SOON: TimeDelta = TimeDelta::minutes(10);

/// Why an instance could not be looked at.
#[derive(Debug, thiserror::Error)]
enum SleepError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("the gateway did not answer")]
    Gateway(#[from] Failure),
    #[error("it took longer than {} s", LIMIT.as_secs())]
    TooSlow,
}

/// Looks at instances until the worker drains.
pub async fn run(env: Env) {
    // Apart, because a gateway may take long to answer, and a schedule does not wait.
    tokio::join!(watch_schedules(&env), watch_idle(&env));
}

/// Wakes what is due, keeps awake what was not put to sleep in time, and stops what was frozen for long enough.
async fn watch_schedules(env: &Env) {
    let mut rounds = Rounds::new(env.config.engine.reconcile, env.draining.clone(), env.identity.clone());
    while rounds.next().await {
        if let Err(error) = wake_due(env).await {
            tracing::warn!(error = chain(&error), "Could not wake the instances whose schedule is due");
        }
        let withdrawn = async { sleep::withdraw_late(&mut *env.db.conn().await?).await };
        match withdrawn.await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "Instances stay awake: they could not be stopped in time"),
            Err(error) => tracing::warn!(error = chain(&error), "Could not withdraw late jobs"),
        }
        if let Err(error) = stop_frozen(env).await {
            tracing::warn!(error = chain(&error), "Could not stop frozen gateways");
        }
    }
}

/// Looks at the instances that may fall asleep.
async fn watch_idle(env: &Env) {
    let attempts = Attempts::default();
    let mut rounds = Rounds::new(env.config.engine.reconcile, env.draining.clone(), env.identity.clone());
    while rounds.next().await {
        let due = async { sleep::take_due(&mut *env.db.conn().await?, env.config.sleep, TAKEN).await };
        match due.await {
            Ok(due) => look_at(env, &attempts, due).await,
            Err(error) => tracing::warn!(error = chain(&error), "Could not read which instances may fall asleep"),
        }
    }
}

async fn look_at(env: &Env, attempts: &Attempts, due: Vec<Due>) {
    let looks = stream::iter(due).for_each_concurrent(AT_ONCE, async |due| {
        let looked = timeout(LIMIT, look(env, attempts, &due)).await.unwrap_or(Err(SleepError::TooSlow));
        let Err(error) = looked else { return };
        tracing::debug!(instance = %due.id, error = chain(&error), "Could not see whether an instance is idle; it stays awake");
        if matches!(error, SleepError::Gateway(_) | SleepError::TooSlow)
            && let Err(error) = note(env, &due.id, false).await
        {
            tracing::warn!(instance = %due.id, error = chain(&error), "Could not record that an instance is awake");
        }
    });
    looks.await;
}

async fn note(env: &Env, id: &InstanceId, idle: bool) -> Result<(), DbError> {
    sleep::note_idle(&mut *env.db.conn().await?, id, idle).await
}

/// Looks at one instance, and lets it fall asleep if it has been idle for long enough.
async fn look(env: &Env, attempts: &Attempts, due: &Due) -> Result<(), SleepError> {
    let mut conn = env.db.conn().await?;
    let found = instance::find(&mut conn, Scope::Everything, &due.id).await?;
    let terminal = sleep::has_terminal(&mut conn, &due.id).await?;
    drop(conn);
    let Some((row, Some(port))) = found else { return Ok(()) };
    let Some(link) = Link::to(env, &row, port) else { return Ok(()) };
    if terminal {
        return Ok(note(env, &due.id, false).await?);
    }
    if !attempts.may_ask(&due.id, Instant::now()) {
        return Ok(());
    }
    let activity = match link.activity().await {
        Err(Failure::NotPaired(request)) if attempts.may_pair(&due.id, Instant::now()) => {
            if let Some(container) = Reference::of(&row) {
                pair(env, &container, &request).await;
            }
            link.activity().await
        }
        other => other,
    };
    let activity = activity.inspect_err(|_| attempts.failed(&due.id, Instant::now()))?;
    // Without an owner's wish, it would miss messages.
    let activity = Activity { channels: activity.channels && row.sleep_minutes.is_none(), ..activity };
    if !is_idle(&activity, due.minutes, Utc::now()) {
        return Ok(note(env, &due.id, false).await?);
    }
    if due.idle_seconds.is_none_or(|seconds| seconds < f64::from(due.minutes) * 60.0) {
        return Ok(note(env, &due.id, true).await?);
    }
    let Some(suspension) = link.suspend().await? else {
        tracing::debug!(instance = %due.id, "The gateway is at work; it stays awake");
        return Ok(note(env, &due.id, false).await?);
    };
    let asleep = async {
        let mut conn = env.db.conn().await?;
        // Workers of before take a frozen gateway for one that something else has paused.
        let freezes = env.config.sleep.frozen_minutes > 0
            && !worker::other_versions(&mut conn, env!("CARGO_PKG_VERSION")).await?;
        let suspension = freezes.then_some(suspension.id());
        sleep::fall_asleep(&mut conn, &due.id, activity.next_run, suspension).await
    };
    let asleep = asleep.await;
    match asleep {
        Ok(Some(job)) => {
            tracing::info!(instance = %due.id, job.id = %job.id, wake_at = ?activity.next_run, "An idle instance falls asleep");
            env.doorbell.ring(JobKind::Stop.queue(), job.id);
            Ok(())
        }
        // Somebody needs it after all. If this fails, the suspension ends by itself.
        Ok(None) => {
            link.resume(suspension).await?;
            Ok(note(env, &due.id, false).await?)
        }
        // The job may have been queued all the same, so the gateway is to begin nothing until the suspension ends by itself.
        Err(error) => Err(error.into()),
    }
}

/// Whether a gateway is idle, as far as it says.
fn is_idle(activity: &Activity, minutes: i32, now: DateTime<Utc>) -> bool {
    let quiet = activity.last_turn.is_none_or(|at| now - at >= TimeDelta::minutes(i64::from(minutes)));
    let soon = activity.next_run.is_some_and(|at| at - now < SOON);
    !activity.connected && !activity.channels && quiet && !soon
}

/// Has OpenClaw approve our device.
async fn pair(env: &Env, container: &Reference, request: &PairingRequestId) {
    let request = request.to_string();
    let command = ["openclaw", "devices", "approve", &request, "--json"];
    // Whether it succeeded shows when the gateway is asked again.
    if let Err(error) = env.runtime.exec(container, &command, PAIR_LIMIT).await {
        tracing::debug!(error = chain(&error), "Could not pair with a gateway");
    }
}

/// Wakes the instances whose schedule is due.
async fn wake_due(env: &Env) -> Result<(), DbError> {
    let due = sleep::to_wake(&mut *env.db.conn().await?, AHEAD_SECONDS, WOKEN).await?;
    for id in due {
        let waker = Waker { by: WokenBy::Schedule, person: None, request_id: None };
        let woken =
            env.db.write(Scope::Everything, async |conn| sleep::wake(conn, &id, waker, &env.config.capacity).await);
        match woken.await? {
            Waking::Begun(job) => {
                tracing::info!(instance = %id, job.id = %job.id, "An instance wakes because its schedule is due");
                env.doorbell.ring(job.queue, job.id);
            }
            Waking::Full { free_mb, memory_mb } => {
                tracing::warn!(instance = %id, free_mb, memory_mb, "The schedule of a sleeping instance is due, but the host has no memory left for it");
                postpone(env, &id).await?;
            }
            Waking::Vulnerable => {
                tracing::warn!(instance = %id, "The schedule of a sleeping instance is due, but its version of OpenClaw may not be started");
                postpone(env, &id).await?;
            }
            Waking::Underway(_) | Waking::NotAsleep => {}
        }
    }
    Ok(())
}

/// Stops gateways that were frozen for long enough, or whose memory is needed.
async fn stop_frozen(env: &Env) -> Result<(), DbError> {
    let minutes = i32::from(env.config.sleep.frozen_minutes);
    let due = frozen::due(&mut *env.db.conn().await?, minutes, &env.config.capacity, STOPPED).await?;
    for id in due {
        let queued = async { frozen::stop(&mut *env.db.conn().await?, &id).await };
        match queued.await {
            Ok(Some(job)) => {
                tracing::info!(instance = %id, job.id = %job.id, "A frozen gateway is stopped");
                env.doorbell.ring(job.queue, job.id);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(instance = %id, error = chain(&error), "Could not stop a frozen gateway"),
        }
    }
    Ok(())
}

/// Has the schedule of an instance wait, so that it does not keep others from waking.
async fn postpone(env: &Env, id: &InstanceId) -> Result<(), DbError> {
    sleep::postpone(&mut *env.db.conn().await?, id, AGAIN_SECONDS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_an_instance_awake() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let idle = |activity| is_idle(&activity, 30, now);
        let at = |minutes| Some(now + TimeDelta::minutes(minutes));
        assert!(idle(Activity::default()));
        assert!(idle(Activity { last_turn: at(-30), next_run: at(10), ..Activity::default() }));
        assert!(!idle(Activity { last_turn: at(-29), ..Activity::default() }));
        assert!(!idle(Activity { next_run: at(9), ..Activity::default() }));
        assert!(!idle(Activity { next_run: at(-1), ..Activity::default() }), "it is overdue");
        assert!(!idle(Activity { connected: true, ..Activity::default() }));
        assert!(!idle(Activity { channels: true, ..Activity::default() }));
    }
}

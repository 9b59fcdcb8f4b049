//! The breaker for gateways that crash again and again.
//!
//! A gateway loops when its container's first process ended at least five times within ten minutes, and the engine's
//! policy has started the container again at least five times in a row since somebody last did. The container is then
//! stopped and its instance is in `error`, `gateway_crash_loop`, with the last words of the gateway, until somebody
//! starts it.
//!
//! A stop or restart that somebody asked for, whether here or with `docker`, never counts: a stopped container is not
//! started by the policy, and one that was started by hand has a restart count that begins at zero again. Neither does
//! anything that came before the end of the instance's newest job, because jobs judge a start that fails by themselves.
//! (Here alone a time of Docker's is compared with one of the database's.)
//!
//! Ends are counted from Docker's events, in the memory of each worker. For what a worker did not hear, because it was
//! started later or the stream was cut, the container's restart count serves: the gateway loops as well when that rose by
//! five within ten minutes of looks. Whichever worker counts to five first stops the container; a second one finds
//! nothing left to do.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        Conn, DbError, Scope,
        instance::{self, Fault, Instance},
        job::{self, JobFilter},
    },
    ids::InstanceId,
    instance::InstanceStatus,
};
use diesel_async::AsyncConnection as _;

use super::SweepError;
use crate::{
    env::Env,
    job::secrets::Secrets,
    runtime::{GatewayState, GatewayStatus, InstanceAction, InstanceEvent, KILLED, Reference},
};

/// Code of the error.
pub(super) const CODE: &str = "gateway_crash_loop";

/// So many ends …
const LIMIT: usize = 5;

/// … within this time make a loop.
const WINDOW: TimeDelta = TimeDelta::minutes(10);

/// What a gateway that happens to run gets to end.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Lines of the gateway's log that the error shows.
const LAST_WORDS: usize = 12;

/// How the gateways have ended lately, by the id of their container. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Deaths(Arc<Mutex<HashMap<Reference, Life>>>);

/// The last ten minutes of one container.
#[derive(Debug, Default)]
struct Life {
    deaths: VecDeque<DateTime<Utc>>,
    exit_code: Option<i64>,
    /// When the kernel last killed a process of it for memory.
    out_of_memory: Option<DateTime<Utc>>,
    /// The last look at the restart count: when, and what it was.
    look: Option<(DateTime<Utc>, i64)>,
    /// By how much it rose, and after which time.
    rises: VecDeque<(DateTime<Utc>, usize)>,
}

impl Life {
    fn forget_before(&mut self, then: DateTime<Utc>) {
        while self.deaths.front().is_some_and(|at| *at < then) {
            self.deaths.pop_front();
        }
        while self.rises.front().is_some_and(|(after, _)| *after < then) {
            self.rises.pop_front();
        }
        self.out_of_memory = self.out_of_memory.filter(|at| *at >= then);
    }
}

impl Deaths {
    fn with<R>(&self, container: &Reference, f: impl FnOnce(&mut Life) -> R) -> R {
        // A panic while the lock was held leaves nothing half done that matters.
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(lives.entry(container.clone()).or_default())
    }

    /// Takes in what Docker told.
    pub(super) fn note(&self, event: &InstanceEvent) {
        match event.action {
            InstanceAction::Die => self.with(&event.gateway, |life| {
                life.deaths.push_back(event.at);
                life.exit_code = event.exit_code;
                life.forget_before(event.at - WINDOW);
            }),
            InstanceAction::Oom => self.with(&event.gateway, |life| life.out_of_memory = Some(event.at)),
            InstanceAction::Destroy => self.forget(&event.gateway),
            _ => {}
        }
    }

    /// Takes in a look at the container.
    fn look(&self, container: &Reference, restart_count: i64, at: DateTime<Utc>) {
        self.with(container, |life| {
            if let Some((before, count)) = life.look {
                // It begins again at zero when somebody starts the container.
                let rise = usize::try_from(restart_count - count).unwrap_or(0);
                if rise > 0 {
                    life.rises.push_back((before, rise));
                }
            }
            life.look = Some((at, restart_count));
            life.forget_before(at - WINDOW);
        });
    }

    /// Whether the gateway loops at the last look, counting only what came after `since`.
    fn is_loop(&self, container: &Reference, since: Option<DateTime<Utc>>) -> bool {
        let counts = |at: DateTime<Utc>| since.is_none_or(|since| at > since);
        self.with(container, |life| {
            let restarts = life.look.map_or(0, |(_, count)| usize::try_from(count).unwrap_or(0));
            let told = life.deaths.iter().filter(|at| counts(**at)).count();
            let risen: usize = life.rises.iter().filter(|(after, _)| counts(*after)).map(|(_, rise)| rise).sum();
            told.max(risen) >= LIMIT && restarts >= LIMIT
        })
    }

    fn exit_code(&self, container: &Reference) -> Option<i64> {
        self.with(container, |life| life.exit_code)
    }

    /// Whether the kernel has killed a process of it for memory lately.
    fn out_of_memory(&self, container: &Reference) -> bool {
        self.with(container, |life| life.out_of_memory.is_some())
    }

    fn forget(&self, container: &Reference) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

/// Stops the gateway of an instance that has no open job if it loops, and says so in the row. True: it did.
pub(super) async fn break_loop(
    env: &Env,
    deaths: &Deaths,
    instance: &Instance,
    state: &GatewayState,
) -> Result<bool, SweepError> {
    let Some(container) = &Reference::of(instance) else { return Ok(false) };
    let id = &instance.id;
    deaths.look(container, state.restart_count, Utc::now());
    let goes_on = matches!(state.status, GatewayStatus::Restarting | GatewayStatus::Running);
    if !goes_on || !deaths.is_loop(container, None) {
        return Ok(false);
    }
    let newest = newest_job(&mut *env.db.conn().await?, id).await?;
    if newest.as_ref().is_some_and(|job| !job.status.is_terminal())
        || !deaths.is_loop(container, newest.and_then(|job| job.finished_at))
    {
        return Ok(false);
    }
    let exit_code = state.exit_code.or_else(|| deaths.exit_code(container));
    // The engine's own word is gone as soon as it starts the container again, and is never said of a gateway that dies
    // within moments of its start: the engine begins to watch for it only then.
    let out_of_memory = state.oom_killed || (exit_code == Some(KILLED) && deaths.out_of_memory(container));
    let message = message(exit_code, out_of_memory, last_words(env, instance, container).await);
    // Stopped first and said after: the other way round, a look in between would find a gateway that runs, and say that.
    env.runtime.stop(container, STOP_GRACE).await?;
    deaths.forget(container);
    say(env, instance, Fault { code: CODE, message: &message }).await
}

/// Says in the row of an instance that has no open job why its gateway was stopped.
pub(super) async fn say(env: &Env, instance: &Instance, fault: Fault<'_>) -> Result<bool, SweepError> {
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        let now = instance::find_for_update(conn, Scope::Everything, &instance.id).await?;
        let same = now.is_some_and(|now| now.container_id == instance.container_id);
        if !same || !job::open_on(conn, &instance.id).await?.is_empty() {
            return Ok(false);
        }
        Ok(instance::set_status(conn, &instance.id, InstanceStatus::Error, Some(fault)).await?)
    })
    .await
}

pub(super) async fn newest_job(conn: &mut Conn, instance: &InstanceId) -> Result<Option<job::Job>, DbError> {
    let filter = JobFilter { instance: Some(instance.clone()), ..JobFilter::default() };
    Ok(job::list(conn, Scope::Everything, &filter, 1).await?.pop())
}

fn message(exit_code: Option<i64>, out_of_memory: bool, last_words: Result<Vec<String>, String>) -> String {
    let killed = if out_of_memory { ", out of memory" } else { "" };
    let code = exit_code.map(|code| format!(" (last with exit code {code}{killed})")).unwrap_or_default();
    let last = match last_words {
        Ok(words) if words.is_empty() => "It printed nothing.".to_owned(),
        Ok(words) => format!("Its last output:\n{}", words.join("\n")),
        // That it was stopped stands without them, and silence would be another finding.
        Err(why) => format!("Its last output could not be read: {why}."),
    };
    format!(
        "The gateway exited {LIMIT} times within {} minutes{code}, so it was stopped. Look at its log, fix the \
         configuration, then start it. {last}",
        WINDOW.num_minutes()
    )
}

/// The end of the gateway's log, without the instance's secrets, or why it cannot be read.
async fn last_words(env: &Env, instance: &Instance, container: &Reference) -> Result<Vec<String>, String> {
    // Not known, they cannot be taken out of it.
    let secrets = Secrets::open(&env.sealer, instance).map_err(|error| error.to_string())?;
    env.runtime.tail(container, LAST_WORDS, &secrets.known()).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;

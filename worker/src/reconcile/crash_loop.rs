//! The breaker for gateways that keep crashing.
//!
//! A gateway is in a crash loop when its container exited at least five times within ten minutes and the engine's
//! restart policy has started it at least five times in a row since it was last started otherwise. The breaker then
//! stops the container and sets the instance to `error`, `gateway_crash_loop`, with the gateway's last output, until
//! somebody starts it.
//!
//! A requested stop or restart, here or with `docker`, never counts: the policy does not start a stopped container, and
//! a start by hand resets the restart count. Exits from before the end of the instance's newest job do not count
//! either, because jobs judge failed starts themselves. (Only here is one of Docker's times compared with one of the
//! database's.)
//!
//! Exits are counted from Docker's events in the memory of each worker. For events that a worker missed, because it
//! started later or the stream was interrupted, the restart count serves: a rise of five within ten minutes of
//! observations also counts as a loop. The first worker to count five stops the container. A second one finds nothing
//! left to do.
//!
//! The restart count is only in an inspection, and a pass inspects only what the list of containers gives a reason to.
//! A gateway that crashes unheard gives one after each restart: it is `restarting`, or it has been up for less time than
//! has passed since it was last inspected. If it was never inspected by this worker, being up for less than ten minutes
//! is reason enough: nothing older can be a loop. For a container that gives no reason, the count seen last still holds,
//! so the next rise is dated from the pass before it, as if each pass had inspected it.

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

/// This many exits …
const LIMIT: usize = 5;

/// … within this time make a loop.
const WINDOW: TimeDelta = TimeDelta::minutes(10);

/// How long a running gateway gets to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Lines of the gateway's log that the error shows.
const LAST_WORDS: usize = 12;

/// Recent exits by container id. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Deaths(Arc<Mutex<HashMap<Reference, Life>>>);

/// The last ten minutes of one container.
#[derive(Debug, Default)]
struct Life {
    deaths: VecDeque<DateTime<Utc>>,
    exit_code: Option<i64>,
    /// When the kernel last killed one of its processes for lack of memory.
    out_of_memory: Option<DateTime<Utc>>,
    /// The last observation of the restart count: time and value.
    look: Option<(DateTime<Utc>, i64)>,
    /// Rises of the count, each with its time.
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
        // A panic under the lock leaves nothing inconsistent that matters.
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(lives.entry(container.clone()).or_default())
    }

    /// Records an event of Docker's.
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

    /// Records an observation of the container.
    pub(super) fn look(&self, container: &Reference, restart_count: i64, at: DateTime<Utc>) {
        self.with(container, |life| {
            if let Some((before, count)) = life.look {
                // The count restarts at zero when somebody starts the container.
                let rise = usize::try_from(restart_count - count).unwrap_or(0);
                if rise > 0 {
                    life.rises.push_back((before, rise));
                }
            }
            life.look = Some((at, restart_count));
            life.forget_before(at - WINDOW);
        });
    }

    /// Whether a running container may have been started since it was last looked at, given the latest time at which it
    /// can have been. One that was not looked at yet counts if that was within the window. If not, its restart count is
    /// still the one seen last.
    pub(super) fn was_restarted(&self, container: &Reference, started: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = lives.get_mut(container).and_then(|life| life.look.as_mut());
        match look {
            None => started > now - WINDOW,
            Some((at, _)) if started > *at => true,
            Some((at, _)) => {
                *at = now;
                false
            }
        }
    }

    /// Whether the gateway is in a crash loop, counting only exits after `since`.
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

    /// Whether the kernel recently killed one of its processes for lack of memory.
    fn out_of_memory(&self, container: &Reference) -> bool {
        self.with(container, |life| life.out_of_memory.is_some())
    }

    fn forget(&self, container: &Reference) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

/// Stops the gateway of an instance without an open job if it is in a crash loop, and records that in the row. True: it
/// did.
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
    // The engine's own flag disappears at the next start, and is never set for a gateway that dies within moments: the
    // engine only then begins to watch for it.
    let out_of_memory = state.oom_killed || (exit_code == Some(KILLED) && deaths.out_of_memory(container));
    let message = message(exit_code, out_of_memory, last_words(env, instance, container).await);
    // Stopped first and recorded after: otherwise an observation in between would see a running gateway and record
    // that.
    env.runtime.stop(container, STOP_GRACE).await?;
    deaths.forget(container);
    say(env, instance, Fault { code: CODE, message: &message }).await
}

/// Records in the row of an instance without an open job why its gateway was stopped.
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
        // The reason holds without the output.
        Err(why) => format!("Its last output could not be read: {why}."),
    };
    format!(
        "The gateway exited {LIMIT} times within {} minutes{code}, so it was stopped. Look at its log, fix the \
         configuration, then start it. {last}",
        WINDOW.num_minutes()
    )
}

/// The end of the gateway's log, with the instance's secrets masked, or why it cannot be read.
async fn last_words(env: &Env, instance: &Instance, container: &Reference) -> Result<Vec<String>, String> {
    // Secrets that cannot be decrypted cannot be masked.
    let secrets = Secrets::open(&env.sealer, instance).map_err(|error| error.to_string())?;
    env.runtime.tail(container, LAST_WORDS, &secrets.known()).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;

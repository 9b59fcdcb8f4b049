//! Keeps nginx's routes: `{id}.{base domain}` leads to `127.0.0.1:{port}`.
//!
//! The map is always rendered as a whole from the rows. Whoever changes a status only asks for a look, and one query
//! decides what is routed (`shared/src/db/route.rs`). One task of the process does this:
//!
//! 1. It waits until the last reload, by any worker, is long enough ago. Requests in the meantime are merged.
//! 2. It reads the rows under a number, the generation, and sets aside what cannot be routed ([`map`]).
//! 3. If the file would change, it has nginx test it. If nginx rejects it, the bad lines are found by bisection and set
//!    aside too: one bad row never blocks the others.
//! 4. It puts the file in place ([`mod@file`]) unless a later generation is already there.
//! 5. It asks nginx for its generation, has it reload if that is older, and asks until it is current.
//!
//! After a reload, old nginx workers live until their last WebSocket ends. To limit their number, reloads become rarer
//! the more of them wait, and nginx ends them after `worker_shutdown_timeout`. A job waits [`PATIENCE`] for its route,
//! so the pause between two reloads stays well below that, however many old workers there are.
//!
//! If nginx is down, hangs or refuses, nothing fails: the reconciler tries again and reports why.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clawdeploy_shared::{
    config::Routing,
    db::{Db, DbError, route},
    http::ClientError,
    ports::PortRange,
    telemetry::chain,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, spawn_blocking},
    time::{sleep, timeout},
};

use self::{
    bisect::Bisection,
    file::{MapFile, Published},
    map::{Route, SetAside},
    program::{CommandError, Inquiry},
};
use crate::{
    config::{CommandLine, WorkerConfig},
    core_tasks::{CoreTask, CoreTasks},
    identity::Identity,
    kill_point::kill_point,
};

mod bisect;
mod file;
pub mod map;
pub mod program;

/// Readings given up because another worker was faster.
const TRIES: usize = 5;

/// The number of old nginx workers at which the time between two reloads doubles, and doubles again with each further
/// such number.
const OLD_WORKERS: usize = 16;

/// A reload requested this recently may still be under way.
const LATELY: Duration = Duration::from_secs(2);

/// How long a job waits until nginx has its route.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Longest time between two reloads. With the time that nginx gets for taking up a map it is less than [`PATIENCE`]:
/// otherwise every job would wait in vain and every route be reported as pending. It also bounds the old workers:
/// `worker_shutdown_timeout` divided by this, times `worker_processes`.
const MAX_INTERVAL: Duration = Duration::from_secs(8);

/// Age from which a candidate belongs to a dead worker.
const STALE: Duration = Duration::from_mins(10);

/// Why nginx does not have the map yet.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("this worker stands by")]
    StandsBy,
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("could not read or write the map")]
    File(#[from] std::io::Error),
    #[error("nginx could not test the map")]
    Trial(#[source] CommandError),
    #[error("could not tell nginx to reload")]
    Reload(#[source] CommandError),
    #[error("nginx was told to reload but still does not have the map; see its error log")]
    NotTakenUp,
    #[error("other workers keep writing the map")]
    Outrun,
    #[error("the worker panicked")]
    Panicked(#[from] JoinError),
    #[error("nginx did not have the map in time")]
    TooSlow,
}

/// The result of one look at the routes.
#[derive(Debug, Default)]
pub struct Applied {
    /// Number of routed instances.
    pub routed: usize,
    pub set_aside: Vec<SetAside>,
    /// Whether the file was replaced.
    pub changed: bool,
    /// Whether nginx was told to reload.
    pub reloaded: bool,
    /// Why nginx does not have it. `None`: it does.
    pub pending: Option<RouteError>,
}

type Ask = Option<oneshot::Sender<Arc<Applied>>>;

/// The routes of this installation. Clones share their state.
#[derive(Debug, Clone)]
pub struct Routes(Option<mpsc::UnboundedSender<Ask>>);

impl Routes {
    /// Starts to maintain nginx's map, if nginx routes instances at all.
    pub fn start(config: &WorkerConfig, db: Db, identity: Identity, core: &mut CoreTasks) -> Result<Self, ClientError> {
        if config.routing.routing == Routing::Direct {
            return Ok(Self(None));
        }
        let args = &config.nginx;
        let writer = MapWriter {
            db,
            identity,
            range: config.routing.port_range,
            file: MapFile::new(&args.nginx_map),
            program: args.nginx_program.clone(),
            reload: args.nginx_reload.clone(),
            interval: args.nginx_interval,
            inquiry: Inquiry::new(args.nginx_probe)?,
        };
        let (asks, asked) = mpsc::unbounded_channel();
        core.spawn(CoreTask::Routes, writer.run(asked));
        Ok(Self(Some(asks)))
    }

    /// Whether nginx routes at all.
    pub fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Announces a possible change.
    pub fn nudge(&self) {
        if let Some(asks) = &self.0 {
            let _ = asks.send(None);
        }
    }

    /// Updates the routes once, starting after this call, and returns the result.
    pub async fn settle(&self, within: Duration) -> Arc<Applied> {
        let Some(asks) = &self.0 else { return Arc::default() };
        let (answer, answered) = oneshot::channel();
        let _ = asks.send(Some(answer));
        match timeout(within, answered).await {
            Ok(Ok(applied)) => applied,
            _ => Arc::new(Applied { pending: Some(RouteError::TooSlow), ..Applied::default() }),
        }
    }
}

#[derive(Debug, Clone)]
struct MapWriter {
    db: Db,
    identity: Identity,
    range: PortRange,
    file: MapFile,
    program: PathBuf,
    reload: CommandLine,
    interval: Duration,
    inquiry: Inquiry,
}

impl MapWriter {
    async fn run(self, mut asked: mpsc::UnboundedReceiver<Ask>) {
        while let Some(first) = asked.recv().await {
            self.pause().await;
            let mut waiting = vec![first];
            while let Ok(more) = asked.try_recv() {
                waiting.push(more);
            }
            // A task of its own, so that a panic does not end the routing.
            let applied = tokio::spawn(self.clone().apply()).await;
            let applied = applied.unwrap_or_else(|bug| Applied { pending: Some(bug.into()), ..Applied::default() });
            tell(&applied);
            let applied = Arc::new(applied);
            for answer in waiting.into_iter().flatten() {
                let _ = answer.send(Arc::clone(&applied));
            }
        }
    }

    /// Waits until nginx may be told to reload again.
    async fn pause(&self) {
        let (file, interval) = (self.file.clone(), self.interval);
        let wait = spawn_blocking(move || {
            let since = file.since_reload()?;
            interval_with(interval, program::old_workers()).checked_sub(since)
        });
        if let Ok(Some(wait)) = wait.await {
            sleep(wait).await;
        }
    }

    async fn apply(self) -> Applied {
        let mut applied = Applied::default();
        applied.pending = self.bring_about(&mut applied).await.err();
        applied
    }

    async fn bring_about(&self, applied: &mut Applied) -> Result<(), RouteError> {
        if !self.identity.belongs() {
            return Err(RouteError::StandsBy);
        }
        let generation = self.write(applied).await?;
        if self.inquiry.generation().await.is_some_and(|now| now >= generation) {
            return Ok(());
        }
        // Another worker has put it in place and is having nginx reload it.
        let lately = self.on_disk(|file| Ok(file.since_reload())).await?.is_some_and(|since| since < LATELY);
        if !applied.changed && lately && self.inquiry.has_taken_up(generation).await {
            return Ok(());
        }
        self.on_disk(MapFile::note_reload).await?;
        applied.reloaded = true;
        kill_point("nginx", "reload", "before");
        program::reload(&self.reload).await.map_err(RouteError::Reload)?;
        kill_point("nginx", "reload", "after");
        if self.inquiry.has_taken_up(generation).await { Ok(()) } else { Err(RouteError::NotTakenUp) }
    }

    /// Brings the file up to date and returns its generation.
    async fn write(&self, applied: &mut Applied) -> Result<i64, RouteError> {
        let mut known = self.on_disk(MapFile::known).await?;
        for _ in 0..TRIES {
            let reading = route::read(&mut *self.db.conn().await?, known).await?;
            let (routes, set_aside) = map::sort_out(reading.rows, self.range);
            (applied.routed, applied.set_aside) = (routes.len(), set_aside);
            let present = self.on_disk(MapFile::text).await?;
            let written = map::generation(&present);
            let candidate = if map::render(written, &routes) == present {
                None
            } else {
                let (routes, refused) = self.accepted(routes, reading.generation).await?;
                applied.routed = routes.len();
                applied.set_aside.extend(refused);
                let text = map::render(reading.generation, &routes);
                // The same rows are rejected each time, so the rest may equal the current file.
                (map::render(written, &routes) != present).then_some(text)
            };
            let generation = if candidate.is_some() { reading.generation } else { written };
            applied.changed |= candidate.is_some();
            let published = self.on_disk(move |file| {
                let candidate = candidate.map(|text| file.candidate(&text)).transpose()?;
                file.tidy(STALE)?;
                file.publish(reading.generation, candidate.as_ref())
            });
            match published.await? {
                Published::Yes => return Ok(generation),
                Published::Superseded(later) => known = later,
            }
        }
        Err(RouteError::Outrun)
    }

    /// Splits the routes into those that nginx accepts and the others.
    async fn accepted(&self, routes: Vec<Route>, generation: i64) -> Result<(Vec<Route>, Vec<SetAside>), RouteError> {
        let whole = self.tried(&routes, generation).await;
        match whole {
            Ok(()) => return Ok((routes, Vec::new())),
            Err(error @ RouteError::Trial(CommandError::Failed { .. })) => {
                // If even an empty map is rejected, no line is at fault.
                if self.tried(&[], generation).await.is_err() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        let mut search = Bisection::new(routes);
        while let Some(candidate) = search.candidate() {
            let reason = match self.tried(&candidate, generation).await {
                Ok(()) => None,
                Err(RouteError::Trial(CommandError::Failed { words, .. })) => Some(words),
                Err(error) => return Err(error),
            };
            search.tried(reason);
        }
        let bad = search.bad.into_iter().map(|(route, words)| SetAside::new(route.id.as_str(), words)).collect();
        Ok((search.good, bad))
    }

    async fn tried(&self, routes: &[Route], generation: i64) -> Result<(), RouteError> {
        let text = map::render(generation, routes);
        let candidate = self.on_disk(move |file| file.candidate(&text)).await?;
        program::try_map(&self.program, &candidate.path).await.map_err(RouteError::Trial)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MapFile) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, RouteError> {
        let file = self.file.clone();
        Ok(spawn_blocking(move || work(&file)).await??)
    }
}

/// Time between two reloads with this many old workers.
fn interval_with(interval: Duration, old: usize) -> Duration {
    let doublings = u32::try_from(old / OLD_WORKERS).unwrap_or(u32::MAX).min(16);
    (interval * 2_u32.pow(doublings)).min(MAX_INTERVAL.max(interval))
}

fn tell(applied: &Applied) {
    for SetAside { subject, reason } in &applied.set_aside {
        tracing::warn!(subject, reason, "A row is not routed");
    }
    let routed = applied.routed;
    match &applied.pending {
        None if applied.changed || applied.reloaded => {
            tracing::info!(routed, reloaded = applied.reloaded, "nginx has the routes");
        }
        None => tracing::debug!(routed, "nginx has the routes already"),
        Some(error) => tracing::warn!(routed, error = chain(error), "nginx does not have the routes yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reloads_become_rare_while_old_workers_wait() {
        let at = |old| interval_with(Duration::from_secs(1), old).as_secs();
        assert_eq!([0, 15, 16, 32, 48, 64, 96, 1000].map(at), [1, 1, 2, 4, 8, 8, 8, 8]);
        assert_eq!(interval_with(Duration::from_secs(20), 1000).as_secs(), 20, "what is set is kept");
    }

    /// Otherwise every job waits for its route as long as it can, and goes on without it.
    #[test]
    fn a_job_outlasts_the_longest_pause() {
        let longest = (0..4096).map(|old| interval_with(Duration::from_secs(1), old)).max().unwrap();
        assert!(longest + program::TAKE_UP_LIMIT < PATIENCE, "{longest:?}");
    }
}

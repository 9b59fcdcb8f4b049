//! Tells nginx where instances are: `{id}.{base domain}` leads to `127.0.0.1:{port}`.
//!
//! The map is rendered whole, from the rows, each time: whoever changes a status only says "look", and what is routed is
//! decided in one query (`shared/src/db/route.rs`). One task does it for the process:
//!
//! 1. Waits until the last reload, of whichever worker, is long enough ago. What is asked for meanwhile rides along.
//! 2. Reads the rows under a number, the generation, and sets aside what cannot be routed ([`map`]).
//! 3. Has nginx try the file, if it differs from the one that is there. Where nginx does not accept it, the lines that are to
//!    blame are found by halving and set aside too: one bad row never blocks the others.
//! 4. Puts it in place ([`file`]), unless somebody has put a later one there.
//! 5. Asks nginx which generation it has, has it reload unless it has this one, and asks until it has.
//!
//! A reload leaves the old nginx workers alive until their last WebSocket ends. So that they do not pile up, reloads become
//! rarer while many of them wait, and nginx itself ends them after `worker_shutdown_timeout`.
//!
//! Where nginx is down, hangs or refuses, nothing fails: the reconciler tries again, and its report says why.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clawdeploy_shared::{
    config::Routing,
    db::{Db, DbError, route},
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
    identity::Identity,
    kill_point::kill_point,
};

mod bisect;
mod file;
pub mod map;
pub mod program;

/// Readings that are given up because somebody was faster.
const TRIES: usize = 5;

/// With this many old nginx workers the time between two reloads doubles, and doubles again with each more of so many.
const OLD_WORKERS: usize = 16;

/// A reload that was told so long ago may be under way still.
const LATELY: Duration = Duration::from_secs(2);

/// The longest time between two reloads.
const MAX_INTERVAL: Duration = Duration::from_mins(1);

/// After so long a candidate is one of a worker that died.
const STALE: Duration = Duration::from_mins(10);

/// Why nginx does not have the map yet.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("this worker stands by")]
    StandsBy,
    #[error("the database failed")]
    Db(#[from] DbError),
    #[error("the map could not be worked on")]
    File(#[from] std::io::Error),
    #[error("nginx cannot try the map")]
    Trial(#[source] CommandError),
    #[error("nginx could not be told to reload")]
    Reload(#[source] CommandError),
    #[error("nginx was told to reload and still does not have the map; its error log says why")]
    NotTakenUp,
    #[error("other workers write the map all the time")]
    Outrun,
    #[error("the worker met a bug")]
    Panicked(#[from] JoinError),
    #[error("nginx did not have the map in time")]
    TooSlow,
}

/// What became of one look at the routes.
#[derive(Debug, Default)]
pub struct Applied {
    /// Instances that are routed.
    pub routed: usize,
    pub set_aside: Vec<SetAside>,
    /// Whether the file was replaced.
    pub changed: bool,
    /// Whether nginx was told to reload.
    pub reloaded: bool,
    /// Why nginx does not have it; `None`: it has.
    pub pending: Option<RouteError>,
}

type Ask = Option<oneshot::Sender<Arc<Applied>>>;

/// The routes of this installation. Clones are the same.
#[derive(Debug, Clone)]
pub struct Routes(Option<mpsc::UnboundedSender<Ask>>);

impl Routes {
    /// Begins to keep nginx's map, where instances are routed by nginx at all.
    pub fn start(config: &WorkerConfig, db: Db, identity: Identity) -> Result<Self, reqwest::Error> {
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
        tokio::spawn(writer.run(asked));
        Ok(Self(Some(asks)))
    }

    /// Whether nginx routes at all.
    pub fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Says that something may have changed.
    pub fn nudge(&self) {
        if let Some(asks) = &self.0 {
            let _ = asks.send(None);
        }
    }

    /// Looks at the routes, after now, and says what became of it.
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
            // As a task of its own: nobody's routes end with a bug.
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
        // Another worker has put it there, and is having it taken up just now.
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

    /// Brings the file up to date; returns the generation that is in it.
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
                // The same rows are refused each time: what is left may be what is there.
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

    /// Those routes that nginx accepts, and the others.
    async fn accepted(&self, routes: Vec<Route>, generation: i64) -> Result<(Vec<Route>, Vec<SetAside>), RouteError> {
        let whole = self.tried(&routes, generation).await;
        match whole {
            Ok(()) => return Ok((routes, Vec::new())),
            Err(error @ RouteError::Trial(CommandError::Failed { .. })) => {
                // Where not even an empty map passes, no line is to blame.
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

/// The time between two reloads while so many old workers wait for their connections to end.
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
        assert_eq!([0, 15, 16, 32, 64, 96, 1000].map(at), [1, 1, 2, 4, 16, 60, 60]);
    }
}

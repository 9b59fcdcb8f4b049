//! Checks of single instances, side by side.
//!
//! - Whoever asks for a check does not wait for it.
//! - An instance has at most one check at a time. An event that comes during its check makes one more after it, however
//!   many come.
//! - A gateway that is slow to answer gives its slot back and is waited for apart from all others. So gateways that hang
//!   delay neither events of other instances nor a pass.
//! - When the worker drains, checks that wait end, and no more begin.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use clawdeploy_shared::ids::InstanceId;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Checks after events that run at once. Each is a few statements, one call to the engine and a probe of at most two
/// seconds.
const EVENTS_AT_ONCE: usize = 32;

/// Slow gateways waited for at once. Each costs a connection and no work.
const SLOW_AT_ONCE: usize = 256;

/// How an instance is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Row, container and gateway are looked at.
    Whole,
    /// The gateway is asked. The rest is looked at only if the answer is not the expected one.
    Ask { gateway: SocketAddr, ready: bool },
    /// Like [`Self::Whole`], of a gateway that was waited for in vain: if it is slow again, it is not ready.
    Impatient,
}

/// What came of one look.
#[derive(Debug)]
pub(super) enum Look<T> {
    /// There is nothing to tell.
    Right,
    Found(T),
    /// The gateway was ready before and is slow to answer now. It is to be waited for.
    Slow(SocketAddr),
}

/// Checks one instance.
pub(super) trait Check: Send + Sync + 'static {
    type Found: Send;

    fn look(&self, id: &InstanceId, how: How) -> impl Future<Output = Look<Self::Found>> + Send;

    /// Whether a slow gateway answers in the end.
    fn wait(&self, gateway: SocketAddr) -> impl Future<Output = bool> + Send;
}

/// What a check tells the pass that began it.
#[derive(Debug)]
pub(super) enum Told<T> {
    /// The instance was looked at, and nothing is wrong with it.
    Right(InstanceId),
    Found(InstanceId, T),
    /// Its gateway is slow. It is waited for, and [`Self::Late`] may follow.
    Slow,
    /// What was found after a wait.
    Late(InstanceId, T),
}

/// Runs checks. Clones share them.
#[derive(Debug)]
pub(super) struct Checks<C>(Arc<Inner<C>>);

impl<C> Clone for Checks<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<C> {
    check: C,
    /// Checks under way, each with what wakes it for one more.
    open: Mutex<HashMap<InstanceId, Arc<Notify>>>,
    events: Semaphore,
    slow: Semaphore,
    tasks: TaskTracker,
    draining: CancellationToken,
}

impl<C: Check> Checks<C> {
    pub(super) fn new(check: C, draining: CancellationToken) -> Self {
        let (events, slow) = (Semaphore::new(EVENTS_AT_ONCE), Semaphore::new(SLOW_AT_ONCE));
        Self(Arc::new(Inner { check, open: Mutex::default(), events, slow, tasks: TaskTracker::new(), draining }))
    }

    /// Checks an instance because of an event: now, or once more after the check under way.
    pub(super) fn ask(&self, id: &InstanceId) {
        if let Some(news) = self.enter(id) {
            self.spawn(id, How::Whole, news, None);
        }
    }

    /// Begins a check for a pass, which limits how many run at once. False: one is under way already, or the worker
    /// drains.
    pub(super) fn begin(&self, id: &InstanceId, how: How, tell: &mpsc::UnboundedSender<Told<C::Found>>) -> bool {
        let news = match self.open().entry(id.clone()) {
            Entry::Vacant(free) if !self.0.draining.is_cancelled() => Arc::clone(free.insert(Arc::default())),
            _ => return false,
        };
        self.spawn(id, how, news, Some(tell.clone()));
        true
    }

    /// Waits for the end of all checks. Called once the worker drains.
    pub(super) async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Registers a check. `None`: one is under way, and was told to look again.
    fn enter(&self, id: &InstanceId) -> Option<Arc<Notify>> {
        match self.open().entry(id.clone()) {
            Entry::Occupied(under_way) => {
                // Under the lock, so that it cannot end in between.
                under_way.get().notify_one();
                None
            }
            Entry::Vacant(free) => Some(Arc::clone(free.insert(Arc::default()))),
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Arc<Notify>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, id: &InstanceId, how: How, news: Arc<Notify>, tell: Option<mpsc::UnboundedSender<Told<C::Found>>>) {
        let run = Run { checks: self.clone(), id: id.clone(), news };
        self.0.tasks.spawn(run.finish(how, tell));
    }
}

/// The checks of one instance, one after the other.
struct Run<C: Check> {
    checks: Checks<C>,
    id: InstanceId,
    news: Arc<Notify>,
}

impl<C: Check> Drop for Run<C> {
    fn drop(&mut self) {
        // After a panic or a drain. Else it has left already, and the entry may be that of the next run.
        let mut open = self.checks.open();
        if open.get(&self.id).is_some_and(|news| Arc::ptr_eq(news, &self.news)) {
            open.remove(&self.id);
        }
    }
}

impl<C: Check> Run<C> {
    async fn finish(self, first: How, tell: Option<mpsc::UnboundedSender<Told<C::Found>>>) {
        let inner = Arc::clone(&self.checks.0);
        // The receiver lives as long as the reconciler.
        let told = |told| drop(tell.as_ref().map(|tell| tell.send(told)));
        let (mut how, mut late) = (first, false);
        loop {
            // The first look of a pass has its slot from the pass.
            let slot = if tell.is_some() && !late {
                None
            } else {
                tokio::select! {
                    biased;
                    () = inner.draining.cancelled() => return,
                    slot = inner.events.acquire() => slot.ok(),
                }
            };
            let look = inner.check.look(&self.id, how).await;
            drop(slot);
            let was_late = std::mem::replace(&mut late, true);
            how = How::Whole;
            match look {
                Look::Right if was_late => {}
                Look::Right => told(Told::Right(self.id.clone())),
                Look::Found(found) if was_late => told(Told::Late(self.id.clone(), found)),
                Look::Found(found) => told(Told::Found(self.id.clone(), found)),
                Look::Slow(gateway) => {
                    if !was_late {
                        told(Told::Slow);
                    }
                    let answers = async {
                        let _slot = inner.slow.acquire().await;
                        inner.check.wait(gateway).await
                    };
                    tokio::select! {
                        answers = answers => if !answers {
                            how = How::Impatient;
                            continue;
                        },
                        // Something has happened to it, so the wait may be pointless.
                        () = self.news.notified() => continue,
                        () = inner.draining.cancelled() => return,
                    }
                }
            }
            if !self.is_again() {
                return;
            }
        }
    }

    /// Whether an event came during the look. If not, this run ends, and the next event begins another.
    fn is_again(&self) -> bool {
        let mut open = self.checks.open();
        if self.news.notified().now_or_never().is_some() {
            return true;
        }
        open.remove(&self.id);
        false
    }
}

#[cfg(test)]
mod tests;

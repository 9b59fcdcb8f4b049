//! Listens to the doorbell of one queue, through apalis, while the worker takes jobs.
//!
//! The handler only asks the dispatcher to look and waits until there is room for one more job, so a full worker leaves
//! further rings to others. apalis stops its worker on any Redis error. A supervisor then starts a new one under a new
//! name, because the old name stays taken until its heartbeat expires.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use apalis::{layers::WorkerBuilderExt as _, prelude::BoxDynError};
use apalis_core::{
    backend::ext::{
        BackendExt as _,
        poll_strategy::{PollSnapshot, PollStrategy},
    },
    task::data::Data,
    worker::builder::WorkerBuilder,
};
use clawdeploy_shared::doorbell::{Doorbell, Ring};
use futures_util::{Stream, StreamExt as _, stream};
use rand::RngExt as _;
use tokio::{sync::watch, time::Interval};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatcher;
use crate::env::Env;
use crate::identity::Identity;

/// How often Redis is polled without a ring.
const IDLE_POLL: Duration = Duration::from_secs(1);

/// Longest delay before listening again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Listens until the worker drains.
pub async fn listen(env: Env, dispatcher: Dispatcher) {
    let (announce, announced) = watch::channel(0_u64);
    let channel = env.doorbell.wake_channel(dispatcher.queue);
    tokio::select! {
        () = forward_wakes(env.doorbell.clone(), channel, announce) => {}
        () = serve_until_drained(&env, &dispatcher, announced) => {}
    }
}

async fn serve_until_drained(env: &Env, dispatcher: &Dispatcher, announced: watch::Receiver<u64>) {
    let mut backoff = Duration::from_millis(100);
    let mut round = 0_u32;
    while !env.draining.is_cancelled() {
        // A ring that a worker takes while it stands by would be lost to the others.
        tokio::select! {
            () = env.identity.works() => {}
            () = env.draining.cancelled() => break,
        }
        let name = format!("{}-{}-{round}", env.worker, dispatcher.queue);
        round += 1;
        let started = tokio::time::Instant::now();
        let ended = serve(env, dispatcher, name, announced.clone()).await;
        if env.draining.is_cancelled() {
            break;
        }
        if !env.identity.belongs() {
            continue;
        }
        if started.elapsed() > Duration::from_secs(30) {
            backoff = Duration::from_millis(100);
        }
        tracing::warn!(queue = %dispatcher.queue, error = ?ended.err(), "Lost the doorbell; listening again");
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::select! {
            () = tokio::time::sleep(backoff.mul_f64(jitter)) => {}
            () = env.draining.cancelled() => {}
        }
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

type ServeFuture = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

// Boxed: the compiler cannot prove `Send` through the deeply nested type of an apalis worker.
fn serve(env: &Env, dispatcher: &Dispatcher, name: String, announced: watch::Receiver<u64>) -> ServeFuture {
    let backend = env.doorbell.storage(dispatcher.queue).poll_with_strategy(Wake::new(announced));
    let worker = WorkerBuilder::new(name).backend(backend).data(dispatcher.clone()).concurrency(1).build(answer);
    let (draining, identity) = (env.draining.clone(), env.identity.clone());
    Box::pin(async move {
        worker.run_until(until(draining, identity)).await?;
        Ok(())
    })
}

async fn until(draining: CancellationToken, identity: Identity) -> Result<(), std::io::Error> {
    tokio::select! {
        () = draining.cancelled() => {}
        () = identity.stands_by() => {}
    }
    Ok(())
}

/// Handles a ring. Which job it was for does not matter: the oldest due job goes first.
async fn answer(_ring: Ring, dispatcher: Data<Dispatcher>) -> Result<(), BoxDynError> {
    dispatcher.look();
    dispatcher.wait_for_room().await;
    Ok(())
}

/// Forwards messages from the wake-up channel and subscribes again whenever the subscription ends.
async fn forward_wakes(doorbell: Doorbell, channel: String, announce: watch::Sender<u64>) {
    loop {
        if let Ok(mut subscription) = doorbell.client().get_async_pubsub().await
            && subscription.subscribe(&channel).await.is_ok()
        {
            // Covers everything published before the subscription.
            announce.send_modify(|n| *n += 1);
            let mut messages = subscription.on_message();
            while messages.next().await.is_some() {
                announce.send_modify(|n| *n += 1);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Polls Redis when a ring was announced, and at intervals without one.
///
/// Both sources are polled until they are pending, since only then is this worker's waker registered with them. (The
/// intervals that come with apalis do not do so and lose wake-ups.)
struct Wake(Mutex<(Announcements, Interval)>);

type Announcements = Pin<Box<dyn Stream<Item = ()> + Send>>;

impl Wake {
    fn new(announced: watch::Receiver<u64>) -> Self {
        let announcements = stream::unfold(announced, |mut announced| async move {
            announced.changed().await.is_ok().then_some(((), announced))
        });
        let mut interval = tokio::time::interval(IDLE_POLL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self(Mutex::new((Box::pin(announcements), interval)))
    }
}

impl PollStrategy for Wake {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _snapshot: &PollSnapshot) -> Poll<Option<()>> {
        let (announcements, interval) = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        while let Poll::Ready(Some(())) = announcements.as_mut().poll_next(cx) {}
        while interval.poll_tick(cx).is_ready() {}
        Poll::Pending
    }
}

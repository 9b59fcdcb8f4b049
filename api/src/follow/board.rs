//! Questions of many, asked together.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use clawdeploy_shared::{
    db::{Db, DbError},
    metrics::FOLLOW_POLL_SECONDS,
    telemetry::chain,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Time limit of one poll, in addition to the limits of its statements.
const POLL_LIMIT: Duration = Duration::from_secs(15);
/// Delay before a task that panicked starts again.
const RESTART: Duration = Duration::from_secs(1);

/// Something to wait for.
pub trait Question: Debug + Clone + Eq + Hash + Send + Sync + 'static {
    type Answer: Debug + Send + Sync + 'static;

    /// The kind of question in logs and metrics.
    const NAME: &'static str;
    /// Minimum time between the beginnings of two polls.
    const INTERVAL: Duration;
    /// Whether those who wait go on waiting after a poll that failed. Otherwise they get [`Unanswered`].
    const OUTLIVES_ERRORS: bool = false;

    /// Those of these questions that have an answer now. The one that waits longest comes first.
    fn ask(db: &Db, waiting: &[Self]) -> impl Future<Output = Result<Vec<(Self, Self::Answer)>, DbError>> + Send;
}

/// A question that could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database could not be asked")]
pub struct Unanswered;

/// The open questions of one kind. Those who ask the same share an answer.
#[derive(Debug)]
pub struct Board<Q: Question>(Arc<State<Q>>);

#[derive(Debug)]
struct State<Q: Question> {
    open: Mutex<Open<Q>>,
    asked: Notify,
}

#[derive(Debug)]
struct Open<Q: Question> {
    questions: HashMap<Q, Waiting<Q::Answer>>,
    /// Number of questions so far.
    count: u64,
}

#[derive(Debug)]
struct Waiting<A> {
    /// Place in the order of arrival.
    place: u64,
    senders: Vec<oneshot::Sender<Answer<A>>>,
}

type Answer<A> = Result<Arc<A>, Unanswered>;

/// An answer that may be awaited, also several times until it is there. Dropping it withdraws the question.
#[derive(Debug)]
pub struct Pending<Q: Question>(oneshot::Receiver<Answer<Q::Answer>>);

impl<Q: Question> Future for Pending<Q> {
    type Output = Answer<Q::Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Unanswered)))
    }
}

impl<Q: Question> Clone for Board<Q> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Q: Question> Default for Board<Q> {
    fn default() -> Self {
        let open = Mutex::new(Open { questions: HashMap::new(), count: 0 });
        Self(Arc::new(State { open, asked: Notify::new() }))
    }
}

impl<Q: Question> Board<Q> {
    /// Starts the task that polls. It runs until the shutdown.
    pub(super) fn start(db: &Db, shutdown: &CancellationToken) -> Self {
        let board = Self::default();
        let (work, db, shutdown) = (board.clone(), db.clone(), shutdown.clone());
        tokio::spawn(async move { shutdown.run_until_cancelled(work.supervise(&db)).await });
        board
    }

    /// Asks a question. Waiting for the answer keeps nothing but a place on the board.
    pub fn ask(&self, question: Q) -> Pending<Q> {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.open();
        open.count += 1;
        let place = open.count;
        let waiting = open.questions.entry(question).or_insert_with(|| Waiting { place, senders: Vec::new() });
        waiting.senders.push(sender);
        drop(open);
        self.0.asked.notify_one();
        Pending(receiver)
    }

    /// Polls. A panic ends the questions that are open, and the task starts again.
    async fn supervise(&self, db: &Db) {
        loop {
            let (board, db) = (self.clone(), db.clone());
            let polls = AbortOnDropHandle::new(tokio::spawn(async move { board.poll(&db).await }));
            if let Err(error) = polls.await {
                tracing::error!(questions = Q::NAME, error = chain(&error), "Polling failed; ending the streams");
            }
            self.open().questions.clear();
            sleep(RESTART).await;
        }
    }

    async fn poll(&self, db: &Db) {
        let mut failed = false;
        loop {
            while self.open().questions.is_empty() {
                self.0.asked.notified().await;
            }
            let began = Instant::now();
            let waiting = self.waiting();
            if !waiting.is_empty() {
                let answers = timeout(POLL_LIMIT, Q::ask(db, &waiting)).await.unwrap_or(Err(DbError::Timeout));
                metrics::histogram!(FOLLOW_POLL_SECONDS, "of" => Q::NAME).record(began.elapsed());
                // Once for each outage.
                if let Err(error) = &answers
                    && !failed
                {
                    tracing::warn!(questions = Q::NAME, error = chain(error), "Could not poll for the streams");
                }
                failed = answers.is_err();
                match answers {
                    Ok(answers) => self.tell(answers.into_iter().map(|(asked, answer)| (asked, Ok(Arc::new(answer))))),
                    Err(_) if Q::OUTLIVES_ERRORS => {}
                    Err(_) => self.tell(waiting.into_iter().map(|asked| (asked, Err(Unanswered)))),
                }
            }
            sleep_until(began + Q::INTERVAL).await;
        }
    }

    /// The questions that somebody still waits for, in order of arrival.
    fn waiting(&self) -> Vec<Q> {
        let mut open = self.open();
        open.questions.retain(|_, waiting| {
            waiting.senders.retain(|sender| !sender.is_closed());
            !waiting.senders.is_empty()
        });
        let mut questions: Vec<_> =
            open.questions.iter().map(|(question, waiting)| (waiting.place, question)).collect();
        questions.sort_unstable_by_key(|(place, _)| *place);
        questions.into_iter().map(|(_, question)| question.clone()).collect()
    }

    fn tell(&self, answers: impl Iterator<Item = (Q, Answer<Q::Answer>)>) {
        for (question, answer) in answers {
            let waiting = self.open().questions.remove(&question);
            for sender in waiting.into_iter().flat_map(|waiting| waiting.senders) {
                // A client may have gone away.
                let _ = sender.send(answer.clone());
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open<Q>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

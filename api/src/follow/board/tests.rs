use std::sync::atomic::{AtomicUsize, Ordering};

use clawdeploy_shared::config::DatabaseArgs;

use super::*;

/// A database that no question of these tests uses.
fn no_database() -> Db {
    let database_url = "postgres://nobody@127.0.0.1:1/none".to_owned().into();
    Db::new(&DatabaseArgs { database_url, database_connections: 1 }).unwrap()
}

fn board<Q: Question>() -> Board<Q> {
    Board::start(&no_database(), &CancellationToken::new())
}

/// The number of the poll that answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Probe {
    Answered(u8),
    Open,
    Panic,
}

impl Question for Probe {
    type Answer = usize;
    const NAME: &'static str = "probes";
    const INTERVAL: Duration = Duration::from_millis(1);

    async fn ask(_: &Db, waiting: &[Self]) -> Result<Vec<(Self, usize)>, DbError> {
        static POLLS: AtomicUsize = AtomicUsize::new(0);
        assert!(!waiting.contains(&Self::Panic), "a bug");
        let poll = POLLS.fetch_add(1, Ordering::SeqCst);
        let answered = waiting.iter().filter(|probe| matches!(probe, Self::Answered(_)));
        Ok(answered.map(|probe| (probe.clone(), poll)).collect())
    }
}

#[tokio::test]
async fn many_questions_are_one_poll() {
    let board = board();
    // On the only thread, so all of them are asked before the first poll.
    let all: Vec<_> = (0..200).map(|n| board.ask(Probe::Answered(n % 100))).collect();
    let open = board.ask(Probe::Open);
    let mut polls = Vec::new();
    for pending in all {
        polls.push(pending.await.unwrap());
    }
    assert!(polls.iter().all(|poll| *poll == polls[0]), "{polls:?}");
    assert!(Arc::ptr_eq(&polls[0], &polls[100]), "the same question has one answer");
    assert_eq!(board.waiting(), [Probe::Open]);
    drop(open);
    assert_eq!(board.waiting(), [], "nobody waits for it any more");
}

#[tokio::test]
async fn those_that_wait_longest_come_first() {
    let board = Board::<Probe>::default();
    let asked: Vec<_> = (0..100).rev().map(|n| (Probe::Answered(n), board.ask(Probe::Answered(n)))).collect();
    let again = board.ask(Probe::Answered(99));
    assert_eq!(board.waiting(), asked.iter().map(|(probe, _)| probe.clone()).collect::<Vec<_>>());
    drop((asked, again));
}

#[tokio::test]
async fn a_panic_ends_what_is_open_and_the_next_question_is_answered() {
    let board = board();
    let (open, panic) = (board.ask(Probe::Open), board.ask(Probe::Panic));
    assert_eq!((open.await, panic.await), (Err(Unanswered), Err(Unanswered)));
    assert!(board.ask(Probe::Answered(0)).await.is_ok());
}

/// Fails at first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flaky<const OUTLIVES_ERRORS: bool>;

static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);

impl<const OUTLIVES_ERRORS: bool> Question for Flaky<OUTLIVES_ERRORS> {
    type Answer = ();
    const NAME: &'static str = "flaky";
    const INTERVAL: Duration = Duration::from_millis(1);
    const OUTLIVES_ERRORS: bool = OUTLIVES_ERRORS;

    async fn ask(_: &Db, waiting: &[Self]) -> Result<Vec<(Self, ())>, DbError> {
        if ATTEMPTS.fetch_add(1, Ordering::SeqCst) % 3 < 2 {
            return Err(DbError::Timeout);
        }
        Ok(waiting.iter().map(|question| (question.clone(), ())).collect())
    }
}

#[tokio::test]
async fn an_outage_ends_some_questions_and_not_others() {
    assert!(board().ask(Flaky::<true>).await.is_ok());
    assert_eq!(ATTEMPTS.swap(0, Ordering::SeqCst), 3, "it waited through two failures");
    assert_eq!(board().ask(Flaky::<false>).await, Err(Unanswered));
    assert_eq!(ATTEMPTS.load(Ordering::SeqCst), 1);
}

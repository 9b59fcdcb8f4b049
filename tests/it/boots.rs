//! Boot slots, on the tables alone: which job may boot its gateway, and in which order.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        boot::{self, Admission, Ask},
        lease::{self, Lease, LeaseError},
    },
    ids::UserId,
    job::{JobKind, JobStatus},
};

use crate::leases::{LONG, SHORT, Tables};

/// Requests of a user's job and of a system's job.
const PERSON: Ask = Ask { slots: 1, by_system: false, at_once: false };
const SYSTEM: Ask = Ask { by_system: true, ..PERSON };

/// Asks for a slot; panics if the lease is lost.
async fn ask(tables: &Tables, lease: &Lease, ask: Ask) -> Admission {
    boot::ask(&mut tables.db.conn().await.unwrap(), lease, ask).await.unwrap()
}

async fn leave(tables: &Tables, lease: &Lease) {
    boot::leave(&mut tables.db.conn().await.unwrap(), lease).await.unwrap();
}

async fn booting(tables: &Tables) -> i64 {
    boot::count(&mut tables.db.conn().await.unwrap()).await.unwrap()
}

/// Jobs on one instance each, claimed by this worker.
async fn claimed<const N: usize>(tables: &Tables, worker: &str, lease: Duration) -> [Lease; N] {
    let mut leases = Vec::new();
    for _ in 0..N {
        tables.job(&tables.instance().await, JobKind::Start).await;
        leases.push(tables.claim(worker, lease).await.unwrap());
    }
    leases.try_into().unwrap()
}

/// A claimed job of another owner.
async fn of_another(tables: &Tables) -> Lease {
    tables.job_of(UserId::generate()).await;
    tables.claim("a", LONG).await.unwrap()
}

const fn waits(booting: usize, ahead: usize) -> Admission {
    Admission::Waits { booting, ahead }
}

#[tokio::test]
async fn in_the_order_in_which_they_asked() {
    let tables = Tables::new().await;
    let [first, second, third] = claimed(&tables, "a", LONG).await;
    assert_eq!(ask(&tables, &first, PERSON).await, Admission::Admitted);
    assert_eq!(ask(&tables, &second, PERSON).await, waits(1, 0));
    assert_eq!(ask(&tables, &third, PERSON).await, waits(1, 1));
    assert_eq!(ask(&tables, &first, PERSON).await, Admission::Admitted, "it keeps its slot");
    leave(&tables, &first).await;
    assert_eq!(ask(&tables, &third, PERSON).await, waits(0, 1), "asking more often changes nothing");
    assert_eq!(ask(&tables, &second, PERSON).await, Admission::Admitted);
    assert_eq!(ask(&tables, &third, Ask { slots: 2, ..PERSON }).await, waits(1, 0), "one slot is left for others");
    assert_eq!(ask(&tables, &third, Ask { slots: 3, ..PERSON }).await, Admission::Admitted);
    assert_eq!(booting(&tables).await, 2);
}

#[tokio::test]
async fn people_come_first() {
    let tables = Tables::new().await;
    let [boots, system, person, late] = claimed(&tables, "a", LONG).await;
    assert_eq!(ask(&tables, &boots, SYSTEM).await, Admission::Admitted);
    assert_eq!(ask(&tables, &system, SYSTEM).await, waits(1, 0));
    assert_eq!(ask(&tables, &person, PERSON).await, waits(1, 0));
    assert_eq!(ask(&tables, &late, PERSON).await, waits(1, 1), "users' jobs in the order in which they asked");
    leave(&tables, &boots).await;
    assert_eq!(ask(&tables, &system, SYSTEM).await, waits(0, 2));
    assert_eq!(ask(&tables, &person, PERSON).await, Admission::Admitted);
    leave(&tables, &person).await;
    assert_eq!(ask(&tables, &late, PERSON).await, Admission::Admitted);
    leave(&tables, &late).await;
    assert_eq!(ask(&tables, &system, SYSTEM).await, Admission::Admitted);
}

/// A slot or place in the line is free as soon as the job is taken back from a lost worker.
#[tokio::test]
async fn a_worker_that_dies_holds_no_place() {
    let tables = Tables::new().await;
    let [dead, dead_too] = claimed(&tables, "dead", SHORT).await;
    assert_eq!(ask(&tables, &dead, PERSON).await, Admission::Admitted);
    assert_eq!(ask(&tables, &dead_too, PERSON).await, waits(1, 0));
    tables.run_out().await;
    let late = boot::ask(&mut tables.db.conn().await.unwrap(), &dead_too, PERSON).await;
    assert!(matches!(late, Err(LeaseError::Lost)), "{late:?}");
    assert_eq!(tables.reap().await, 2);
    assert_eq!(booting(&tables).await, 0);
    let [next] = claimed(&tables, "b", LONG).await;
    // A claim takes the oldest job, which continues with another attempt and has to ask again.
    assert_eq!((next.job, next.attempt), (dead.job, 2));
    let again = tables.claim("b", LONG).await.unwrap();
    assert_eq!(ask(&tables, &again, PERSON).await, Admission::Admitted);
    assert_eq!(ask(&tables, &next, PERSON).await, waits(1, 0), "the slot of the former attempt is gone");
    assert_ne!(again.job, next.job);
}

/// Even if the job ended without freeing its slot.
#[tokio::test]
async fn a_job_that_has_ended_holds_no_place() {
    let tables = Tables::new().await;
    let [ended, next] = claimed(&tables, "a", LONG).await;
    assert_eq!(ask(&tables, &ended, PERSON).await, Admission::Admitted);
    let mut conn = tables.db.conn().await.unwrap();
    lease::finish(&mut conn, &ended, JobStatus::Succeeded, "Done").await.unwrap();
    drop(conn);
    assert_eq!(ask(&tables, &next, PERSON).await, Admission::Admitted);
}

/// An undo does not wait, but its boot counts for others.
#[tokio::test]
async fn what_does_not_wait_counts() {
    let tables = Tables::new().await;
    let [first, at_once, waiting] = claimed(&tables, "a", LONG).await;
    assert_eq!(ask(&tables, &first, PERSON).await, Admission::Admitted);
    assert_eq!(ask(&tables, &at_once, Ask { at_once: true, ..SYSTEM }).await, Admission::Admitted);
    assert_eq!(ask(&tables, &waiting, PERSON).await, waits(2, 0));
    leave(&tables, &first).await;
    assert_eq!(ask(&tables, &waiting, PERSON).await, waits(1, 0));
}

/// A gateway that boots without a job takes a slot, as all do after a reboot of the host.
#[tokio::test]
async fn what_boots_by_itself_takes_a_place() {
    let tables = Tables::new().await;
    let [start] = claimed(&tables, "a", LONG).await;
    let (by_itself, by_job) = (tables.instance().await, tables.instance().await);
    tables.job(&by_job, JobKind::Start).await;
    tables.run(&format!("UPDATE instances SET status = 'starting' WHERE id IN ('{by_itself}', '{by_job}')")).await;
    assert_eq!(booting(&tables).await, 1, "a gateway with a job counts by its job");
    assert_eq!(ask(&tables, &start, PERSON).await, waits(1, 0));
    tables.run(&format!("UPDATE instances SET status = 'running' WHERE id = '{by_itself}'")).await;
    assert_eq!(ask(&tables, &start, PERSON).await, Admission::Admitted);
}

/// A gateway that does not become ready frees its slot after a minute, but still counts as booting.
#[tokio::test]
async fn a_place_is_not_for_ever() {
    let tables = Tables::new().await;
    let [slow, next] = claimed(&tables, "a", LONG).await;
    assert_eq!(ask(&tables, &slow, PERSON).await, Admission::Admitted);
    let aged = |seconds: u32| format!("UPDATE boots SET admitted_at = now() - interval '{seconds} seconds'");
    tables.run(&aged(50)).await;
    assert_eq!(ask(&tables, &next, PERSON).await, waits(1, 0));
    tables.run(&format!("{} WHERE admitted_at IS NOT NULL", aged(61))).await;
    assert_eq!(ask(&tables, &next, PERSON).await, Admission::Admitted);
    assert_eq!(booting(&tables).await, 2);
}

/// An owner whose gateways hang cannot keep others waiting, however many of its jobs came first.
#[tokio::test]
async fn another_owner_does_not_wait_for_gateways_that_hang() {
    const FOUR: Ask = Ask { slots: 4, ..PERSON };
    let tables = Tables::new().await;
    let hanging: [Lease; 8] = claimed(&tables, "a", LONG).await;
    for (nth, lease) in hanging.iter().enumerate() {
        let expected = if nth < 2 { Admission::Admitted } else { waits(2, nth - 2) };
        assert_eq!(ask(&tables, lease, FOUR).await, expected, "number {nth}");
    }
    let (bob, cleo, dora) = (of_another(&tables).await, of_another(&tables).await, of_another(&tables).await);
    assert_eq!(ask(&tables, &bob, FOUR).await, Admission::Admitted);
    assert_eq!(ask(&tables, &cleo, FOUR).await, Admission::Admitted);
    assert_eq!(ask(&tables, &dora, FOUR).await, waits(4, 6), "there are no more slots than that");
    leave(&tables, &bob).await;
    assert_eq!(ask(&tables, &hanging[2], FOUR).await, waits(3, 0), "its owner holds two, and one is free");
    assert_eq!(ask(&tables, &dora, FOUR).await, Admission::Admitted);
}

/// A gateway that boots by itself counts for its owner.
#[tokio::test]
async fn boots_without_a_job_count_for_their_owner() {
    let tables = Tables::new().await;
    let [start] = claimed(&tables, "a", LONG).await;
    let by_itself = tables.instance().await;
    tables.run(&format!("UPDATE instances SET status = 'starting' WHERE id = '{by_itself}'")).await;
    assert_eq!(ask(&tables, &start, Ask { slots: 2, ..PERSON }).await, waits(1, 0));
    let other = of_another(&tables).await;
    assert_eq!(ask(&tables, &other, Ask { slots: 2, ..PERSON }).await, Admission::Admitted);
}

/// Two simultaneous requests cannot both get the last slot.
#[tokio::test]
async fn the_last_place_is_given_once() {
    let tables = Tables::new().await;
    let mut leases = Vec::new();
    for _ in 0..6 {
        leases.push(of_another(&tables).await);
    }
    let asked = leases.iter().map(|lease| ask(&tables, lease, Ask { slots: 2, ..PERSON }));
    let admitted = futures_util::future::join_all(asked).await.into_iter().filter(|turn| *turn == Admission::Admitted);
    assert_eq!(admitted.count(), 2);
}

//! Which instances are looked at, fall asleep and wake, on the tables alone. `real_openclaw::sleep` has the whole.

use clawdeploy_shared::{
    capacity::CapacityArgs,
    db::{
        Scope, frozen, instance,
        instance::Instance,
        sleep::{self, Due, Waker, Waking},
    },
    ids::InstanceId,
    instance::DesiredState,
    job::JobKind,
    sleep::{SleepArgs, WokenBy},
};

use crate::leases::Tables;

const USUAL: SleepArgs = SleepArgs { sleep_minutes: 30, frozen_minutes: 60 };
const SCHEDULE: Waker<'_> = Waker { by: WokenBy::Schedule, person: None, request_id: None };

/// More memory than anybody needs.
const ROOM: CapacityArgs = CapacityArgs { memory_overcommit: 0.0, reserved_memory_mb: None };

/// A running instance.
async fn running(tables: &Tables) -> InstanceId {
    let id = tables.instance().await;
    tables.run(&format!("UPDATE instances SET status = 'running', container_id = 'c' WHERE id = '{id}'")).await;
    id
}

/// A worker tells how much memory the host has.
async fn host(tables: &Tables, memory_mb: u32) {
    tables
        .run(&format!(
            "INSERT INTO workers (id, host, pid, version, queues, concurrency, running, memory_mb) \
             VALUES ('w', 'h', 1, '0', '{{}}', 0, 0, {memory_mb})"
        ))
        .await;
}

async fn due(tables: &Tables, args: SleepArgs) -> Vec<Due> {
    sleep::take_due(&mut tables.db.conn().await.unwrap(), args, 100).await.unwrap()
}

async fn row(tables: &Tables, id: &InstanceId) -> Instance {
    instance::find(&mut tables.db.conn().await.unwrap(), Scope::Everything, id).await.unwrap().unwrap().0
}

async fn fall_asleep(tables: &Tables, id: &InstanceId) -> bool {
    sleep::fall_asleep(&mut tables.db.conn().await.unwrap(), id, None, Some("s")).await.unwrap().is_some()
}

async fn wake(tables: &Tables, id: &InstanceId, capacity: &CapacityArgs) -> Waking {
    let woken = tables.db.write(Scope::Everything, async |conn| sleep::wake(conn, id, SCHEDULE, capacity).await);
    woken.await.unwrap()
}

#[tokio::test]
async fn each_is_looked_at_when_it_may_sleep_and_not_too_often() {
    let tables = Tables::new().await;
    let (usual, own, never) = (running(&tables).await, running(&tables).await, running(&tables).await);
    let (telegram, busy, stopped) = (running(&tables).await, running(&tables).await, running(&tables).await);
    tables
        .run(&format!(
            "UPDATE instances SET sleep_minutes = 1 WHERE id = '{own}'; \
             UPDATE instances SET sleep_minutes = 0 WHERE id = '{never}'; \
             UPDATE instances SET channel = 'telegram' WHERE id = '{telegram}'; \
             UPDATE instances SET status = 'stopped', desired_state = 'stopped' WHERE id = '{stopped}'"
        ))
        .await;
    tables.job(&busy, JobKind::Restart).await;
    let taken = |found: Vec<Due>| {
        let mut taken: Vec<_> = found.into_iter().map(|one| (one.id.to_string(), one.minutes)).collect();
        taken.sort();
        taken
    };
    let (usual, own) = (usual.to_string(), own.to_string());
    let mut expected = vec![(usual.clone(), 30), (own.clone(), 1)];
    expected.sort();
    assert_eq!(taken(due(&tables, USUAL).await), expected);
    assert_eq!(taken(due(&tables, USUAL).await), vec![], "they were just looked at");
    tables.run("UPDATE idle_checks SET checked_at = now() - interval '16 seconds'").await;
    assert_eq!(taken(due(&tables, USUAL).await), vec![(own.clone(), 1)], "a quarter of a minute has passed");
    tables.run("UPDATE idle_checks SET checked_at = now() - interval '301 seconds'").await;
    // Without a usual time, only those whose owners want it.
    assert_eq!(taken(due(&tables, SleepArgs { sleep_minutes: 0, ..USUAL }).await), vec![(own, 1)]);
    assert_eq!(taken(due(&tables, USUAL).await), vec![(usual, 30)]);
}

#[tokio::test]
async fn how_long_it_has_been_idle_is_counted_from_the_first_look() {
    let tables = Tables::new().await;
    let id = running(&tables).await;
    let seconds = async || {
        tables.run("UPDATE idle_checks SET checked_at = '-infinity'").await;
        due(&tables, USUAL).await.pop().unwrap().idle_seconds
    };
    let note = async |idle| sleep::note_idle(&mut tables.db.conn().await.unwrap(), &id, idle).await.unwrap();
    due(&tables, USUAL).await;
    assert_eq!(seconds().await, None);
    note(true).await;
    tables.run("UPDATE idle_checks SET idle_since = now() - interval '1 hour'").await;
    note(true).await;
    tables.run("UPDATE instances SET status_changed_at = now() - interval '1 minute'").await;
    assert!(seconds().await.unwrap() < 3600.0, "it was started a minute ago");
    tables.run("UPDATE instances SET status_changed_at = now() - interval '2 hours'").await;
    assert!(seconds().await.unwrap() >= 3600.0);
    note(false).await;
    assert_eq!(seconds().await, None);
}

#[tokio::test]
async fn it_falls_asleep_unless_somebody_needs_it() {
    let tables = Tables::new().await;
    let id = running(&tables).await;
    tables
        .run(&format!(
            "INSERT INTO terminals (id, user_id, instance_id, worker) \
             SELECT gen_random_uuid(), owner_id, id, 'w' FROM instances WHERE id = '{id}'"
        ))
        .await;
    assert!(!fall_asleep(&tables, &id).await, "a terminal is open");
    tables.run("UPDATE terminals SET ended_at = now(), end_reason = 'exited'").await;
    let job = tables.job(&id, JobKind::Restart).await;
    assert!(!fall_asleep(&tables, &id).await, "a job is open");
    tables.run(&format!("UPDATE jobs SET status = 'succeeded', finished_at = now() WHERE id = '{job}'")).await;
    assert!(fall_asleep(&tables, &id).await);
    let asleep = row(&tables, &id).await;
    assert!(sleep::is_asleep(&asleep));
    assert!(!fall_asleep(&tables, &id).await, "it does already");
    // A person's wish ends the sleep, whatever it is.
    tables.run("UPDATE instances SET wake_at = now() + interval '1 hour'").await;
    let mut conn = tables.db.conn().await.unwrap();
    instance::set_desired_state(&mut conn, &id, DesiredState::Stopped).await.unwrap();
    let stopped = row(&tables, &id).await;
    assert!(!sleep::is_asleep(&stopped) && stopped.wake_at.is_none());
}

/// They boot in this order.
#[tokio::test]
async fn a_wake_for_somebody_comes_before_one_of_the_schedule() {
    for (by, awaited) in [(WokenBy::Address, true), (WokenBy::Schedule, false)] {
        let tables = Tables::new().await;
        let id = running(&tables).await;
        assert!(fall_asleep(&tables, &id).await);
        tables
            .run("UPDATE jobs SET status = 'succeeded', finished_at = now(); UPDATE instances SET status = 'stopped'")
            .await;
        let waker = Waker { by, ..SCHEDULE };
        let woken = tables.db.write(Scope::Everything, async |conn| sleep::wake(conn, &id, waker, &ROOM).await);
        let Waking::Begun(job) = woken.await.unwrap() else { panic!("it sleeps") };
        assert_eq!(sleep::is_awaited(&job), awaited, "{by}");
    }
}

/// The gateway's suspension would be over, and its agent perhaps at work.
#[tokio::test]
async fn a_stop_that_nobody_began_in_time_is_withdrawn() {
    let tables = Tables::new().await;
    let (late, soon) = (running(&tables).await, running(&tables).await);
    assert!(fall_asleep(&tables, &late).await);
    tables.run("UPDATE jobs SET created_at = now() - interval '91 seconds'").await;
    assert!(fall_asleep(&tables, &soon).await);
    let withdraw = async || sleep::withdraw_late(&mut tables.db.conn().await.unwrap()).await.unwrap();
    assert_eq!((withdraw().await, withdraw().await), (1, 0));
    let awake = row(&tables, &late).await;
    assert_eq!((awake.desired_state, sleep::is_asleep(&awake)), (DesiredState::Running, false));
    assert!(sleep::is_asleep(&row(&tables, &soon).await));
    // One that was begun goes on.
    tables.claim("a", crate::leases::LONG).await.unwrap();
    tables.run("UPDATE jobs SET created_at = now() - interval '91 seconds'").await;
    assert_eq!(withdraw().await, 0);
}

#[tokio::test]
async fn its_schedule_wakes_it_a_minute_ahead_and_once() {
    let tables = Tables::new().await;
    let id = running(&tables).await;
    let to_wake = async || sleep::to_wake(&mut tables.db.conn().await.unwrap(), 60.0, 10).await.unwrap();
    assert!(fall_asleep(&tables, &id).await);
    assert!(matches!(wake(&tables, &id, &ROOM).await, Waking::Underway(_)), "it is still falling asleep");
    tables
        .run("UPDATE jobs SET status = 'succeeded', finished_at = now(); UPDATE instances SET status = 'stopped'")
        .await;
    assert_eq!(to_wake().await, vec![], "nothing is scheduled");
    tables.run("UPDATE instances SET wake_at = now() + interval '1 hour'").await;
    assert_eq!(to_wake().await, vec![], "an hour is left");
    tables.run("UPDATE instances SET wake_at = now() + interval '59 seconds'").await;
    assert_eq!(to_wake().await, vec![id.clone()]);

    // The host's memory is used up, so it sleeps on.
    host(&tables, 2047).await;
    let full = CapacityArgs { memory_overcommit: 1.0, reserved_memory_mb: Some(0) };
    assert!(matches!(wake(&tables, &id, &full).await, Waking::Full { free_mb: 2047, memory_mb: 2048 }));
    // What is pending would be applied.
    let more = "UPDATE workers SET memory_mb = 4095; UPDATE instances SET pending_settings = jsonb_build_object('memoryMb', 4096, \
                'cpuMillis', 1000, 'channel', 'none', 'aiProvider', 'none')";
    tables.run(more).await;
    assert!(matches!(wake(&tables, &id, &full).await, Waking::Full { free_mb: 4095, memory_mb: 4096 }));
    tables.run("UPDATE instances SET pending_settings = NULL").await;
    assert!(sleep::is_asleep(&row(&tables, &id).await));
    sleep::postpone(&mut tables.db.conn().await.unwrap(), &id, 300.0).await.unwrap();
    assert_eq!(to_wake().await, vec![], "others come first");

    let Waking::Begun(job) = wake(&tables, &id, &ROOM).await else { panic!("it sleeps on") };
    assert_eq!((job.kind, job.requested_by), (JobKind::Start, None));
    let awake = row(&tables, &id).await;
    assert_eq!((awake.desired_state, awake.woken_by.as_deref()), (DesiredState::Running, Some("schedule")));
    assert_eq!(to_wake().await, vec![]);
    assert!(matches!(wake(&tables, &id, &ROOM).await, Waking::Underway(_)));
}

/// Which frozen gateways are stopped: those whose time is over, those that do not sleep any more, and those for which the
/// limits of all that run leave no room, the ones frozen longest first.
#[tokio::test]
async fn frozen_gateways_are_stopped_in_time() {
    let tables = Tables::new().await;
    let mut ids = Vec::new();
    for minutes in [50, 40, 30] {
        let id = running(&tables).await;
        assert!(fall_asleep(&tables, &id).await);
        tables
            .run(&format!(
                "UPDATE jobs SET status = 'succeeded', finished_at = now() WHERE instance_id = '{id}'; \
                 UPDATE instances SET status = 'stopped', memory_mb = 1000 WHERE id = '{id}'; \
                 INSERT INTO idle_checks (instance_id, frozen_since) VALUES ('{id}', now() - interval '{minutes} minutes')"
            ))
            .await;
        ids.push(id);
    }
    let due = async |minutes, capacity: &CapacityArgs| {
        frozen::due(&mut tables.db.conn().await.unwrap(), minutes, capacity, 16).await.unwrap()
    };
    assert_eq!(due(60, &ROOM).await, []);
    assert_eq!(due(45, &ROOM).await, ids[..1]);
    host(&tables, 4000).await;
    // 4 000 MiB less 1 500 for the host leave room for two.
    let tight = CapacityArgs { memory_overcommit: 1.0, reserved_memory_mb: Some(1500) };
    assert_eq!(due(60, &tight).await, ids[..1]);
    tables.run(&format!("UPDATE instances SET asleep_since = NULL WHERE id = '{}'", ids[2])).await;
    assert_eq!(due(60, &ROOM).await, ids[2..], "it is to stay stopped");

    // It is stopped once, and not at once again if that fails.
    let stop = async || frozen::stop(&mut tables.db.conn().await.unwrap(), &ids[2]).await.unwrap();
    let job = stop().await.unwrap();
    assert!(stop().await.is_none());
    assert_eq!(due(60, &ROOM).await, []);
    tables.run(&format!("UPDATE jobs SET status = 'failed', finished_at = now() WHERE id = '{}'", job.id)).await;
    assert_eq!(due(60, &ROOM).await, []);
    tables.run("UPDATE jobs SET finished_at = now() - interval '11 minutes'").await;
    assert_eq!(due(60, &ROOM).await, ids[2..]);
}

use std::net::Ipv4Addr;

use chrono::TimeDelta;

use super::*;
use crate::{
    observe,
    runtime::{GatewayState, Reference},
};

const PASS: Duration = Duration::from_secs(10);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn row(status: InstanceStatus, error: Option<&str>) -> WatchedInstance {
    let id = InstanceId::random();
    WatchedInstance::new(id.clone(), status, error, format!("container of {id}"), Some(10_000))
}

/// The container of a row, running for hours.
fn listed(row: &WatchedInstance) -> OwnedGateway {
    OwnedGateway {
        id: Reference::new(row.container_id.clone()),
        name: String::new(),
        instance: row.id.clone(),
        status: GatewayStatus::Running,
        exit_code: None,
        up: Some(Duration::from_hours(2)),
        port: row.port(),
        image_id: String::new(),
        spec: String::new(),
    }
}

fn compare(memory: &Memory, rows: &[WatchedInstance], containers: &[OwnedGateway]) -> Vec<Suspect> {
    memory.compare(Comparison { rows, containers, now: now(), period: PASS }, |port| (Ipv4Addr::LOCALHOST, port).into())
}

const STATES: [GatewayStatus; 7] = [
    GatewayStatus::Created,
    GatewayStatus::Running,
    GatewayStatus::Paused,
    GatewayStatus::Restarting,
    GatewayStatus::Removing,
    GatewayStatus::Exited,
    GatewayStatus::Dead,
];

/// What a check in detail writes must satisfy the next glance, or each pass would check it again.
#[test]
fn the_list_agrees_with_what_an_inspection_makes_of_the_row() {
    for status in STATES {
        for exit_code in [None, Some(0), Some(1), Some(78), Some(137), Some(143)] {
            for oom_killed in [false, true] {
                let state = GatewayState {
                    status,
                    exit_code: exit_code.filter(|_| matches!(status, GatewayStatus::Exited | GatewayStatus::Dead)),
                    oom_killed: oom_killed && status == GatewayStatus::Exited && exit_code == Some(137),
                    restart_count: 0,
                    started_at: None,
                    image_id: String::new(),
                    cpu_millis: 0,
                    error: None,
                };
                let seen = observe::judge(&state);
                let shown = Shown::of(state.status, state.exit_code);
                let judged = judge(seen.status, seen.fault().map(|fault| fault.code), shown);
                let want = match status {
                    GatewayStatus::Running => Judgement::AskInTurn,
                    GatewayStatus::Restarting => Judgement::Differs,
                    _ => Judgement::Agrees,
                };
                assert_eq!(judged, want, "{state:?} {shown:?}");
            }
        }
    }
}

#[test]
fn differences_are_looked_at_and_gateways_that_may_be_ready_are_asked() {
    use InstanceStatus::{Error, Running, Starting, Stopped, Stopping};
    for (status, error, shown, want) in [
        (Running, None, Shown::Gone, Judgement::Differs),
        (Running, None, Shown::Paused, Judgement::Differs),
        (Running, None, Shown::Stopped, Judgement::Differs),
        (Running, None, Shown::Failed, Judgement::Differs),
        (Starting, None, Shown::Running, Judgement::Ask),
        (Starting, None, Shown::Restarting, Judgement::Differs),
        (Starting, None, Shown::Stopped, Judgement::Differs),
        (Stopping, None, Shown::Running, Judgement::Differs),
        (Stopped, None, Shown::Running, Judgement::Differs),
        (Stopped, None, Shown::Gone, Judgement::Differs),
        (Error, Some("gateway_crash_loop"), Shown::Stopped, Judgement::Agrees),
        (Error, Some("gateway_crash_loop"), Shown::Restarting, Judgement::Differs),
        (Error, Some("not_ready"), Shown::Running, Judgement::Ask),
        (Error, Some("not_ready"), Shown::Gone, Judgement::Agrees),
        (Error, Some("instance_taken"), Shown::Running, Judgement::Agrees),
        (Error, Some("instance_taken"), Shown::Restarting, Judgement::Agrees),
        (Error, Some("container_gone"), Shown::Running, Judgement::Differs),
        (Error, Some("container_paused"), Shown::Stopped, Judgement::Differs),
        (Error, Some("gateway_exited"), Shown::Stopped, Judgement::Differs),
        (Error, None, Shown::Failed, Judgement::Agrees),
    ] {
        assert_eq!(judge(status, error, shown), want, "{status} {error:?} {shown:?}");
    }
}

#[test]
fn nothing_is_looked_at_in_detail_while_rows_and_list_agree() {
    let rows: Vec<_> = (0..1000).map(|_| row(InstanceStatus::Running, None)).collect();
    let containers: Vec<_> = rows.iter().map(listed).collect();
    let (memory, mut asked) = (Memory::default(), HashSet::new());
    for pass in 0..6 {
        let suspects = compare(&memory, &rows, &containers);
        assert!(suspects.iter().all(|suspect| !suspect.is_detailed()), "pass {pass}");
        assert_eq!(suspects.len(), 167, "a sixth in each pass of ten seconds");
        for suspect in suspects {
            memory.has_turn(&suspect);
            asked.insert(suspect.id);
        }
    }
    assert_eq!(asked.len(), rows.len(), "each is asked once a minute");
}

#[test]
fn a_small_installation_is_asked_in_every_pass() {
    let rows: Vec<_> = (0..ASKED_AT_LEAST).map(|_| row(InstanceStatus::Running, None)).collect();
    let containers: Vec<_> = rows.iter().map(listed).collect();
    let memory = Memory::default();
    for _ in 0..3 {
        let suspects = compare(&memory, &rows, &containers);
        for suspect in &suspects {
            memory.has_turn(suspect);
        }
        assert_eq!(suspects.len(), rows.len());
    }
    assert_eq!(share(100, Duration::from_mins(5)), 100, "rare passes ask all");
}

#[test]
fn what_differs_comes_before_whose_turn_it_is() {
    let rows: Vec<_> = (0..100).map(|_| row(InstanceStatus::Running, None)).collect();
    let containers: Vec<_> = rows[..99].iter().map(listed).collect();
    let suspects = compare(&Memory::default(), &rows, &containers);
    assert_eq!((&suspects[0].id, suspects[0].how), (&rows[99].id, How::Whole));
    assert!(suspects[1..].iter().all(|suspect| matches!(suspect.how, How::Ask { ready: true, .. })));
}

#[test]
fn a_difference_that_was_right_is_looked_at_again_only_in_turn_or_when_it_changes() {
    // A job failed with the code of a drift and stopped the container.
    let rows = [row(InstanceStatus::Error, Some("gateway_exited"))];
    let mut stopped = OwnedGateway { status: GatewayStatus::Exited, exit_code: Some(0), up: None, ..listed(&rows[0]) };
    let memory = Memory::default();
    let first = compare(&memory, &rows, std::slice::from_ref(&stopped)).remove(0);
    assert!(first.is_detailed() && !first.in_turn);
    memory.was_right(&first.id, first.difference.unwrap());
    let second = compare(&memory, &rows, std::slice::from_ref(&stopped)).remove(0);
    assert!(second.is_detailed() && second.in_turn);
    stopped.status = GatewayStatus::Running;
    let third = compare(&memory, &rows, &[stopped]).remove(0);
    assert!(third.is_detailed() && !third.in_turn);
}

#[test]
fn a_restart_that_no_event_told_of_is_inspected_once() {
    let rows = [row(InstanceStatus::Running, None)];
    let up = |seconds| [OwnedGateway { up: Some(Duration::from_secs(seconds)), ..listed(&rows[0]) }];
    let container = Reference::new(rows[0].container_id.clone());
    let memory = Memory::default();
    let is_detailed = |up: &[OwnedGateway]| compare(&memory, &rows, up).iter().any(Suspect::is_detailed);
    assert!(!is_detailed(&up(3600)), "nothing within ten minutes can be a loop");
    assert!(is_detailed(&up(300)), "it may be one: its restart count is not known");
    memory.deaths.look(&container, 0, now() - TimeDelta::seconds(60));
    assert!(!is_detailed(&up(300)));
    assert!(!is_detailed(&up(5)), "the pass before has seen it up");
    memory.deaths.look(&container, 0, now() - TimeDelta::seconds(60));
    assert!(is_detailed(&up(5)));
    memory.deaths.look(&container, 1, now());
    assert!(!is_detailed(&up(5)));
}

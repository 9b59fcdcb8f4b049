use std::{collections::HashSet, future::pending, net::Ipv4Addr, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::*;

/// Looks are recorded, and wait for leave if their instance is held.
#[derive(Debug, Default)]
struct Recorder {
    looks: watch::Sender<Vec<(InstanceId, How)>>,
    held: watch::Sender<HashSet<InstanceId>>,
    /// Their gateways accept connections and never answer.
    hang: HashSet<InstanceId>,
    /// Whether slow gateways answer in the end; `None`: never.
    answers: Option<bool>,
}

impl Check for Recorder {
    type Found = &'static str;

    async fn look(&self, id: &InstanceId, how: How) -> Look<Self::Found> {
        self.looks.send_modify(|looks| looks.push((id.clone(), how)));
        let _ = self.held.subscribe().wait_for(|held| !held.contains(id)).await;
        match how {
            How::Impatient => Look::Found("hangs"),
            _ if self.hang.contains(id) => Look::Slow((Ipv4Addr::LOCALHOST, 1).into()),
            _ => Look::Right,
        }
    }

    async fn wait(&self, _: SocketAddr) -> bool {
        match self.answers {
            Some(answers) => answers,
            None => pending().await,
        }
    }
}

fn ids(count: usize) -> Vec<InstanceId> {
    (0..count).map(|_| InstanceId::random()).collect()
}

fn checks(recorder: Recorder) -> Checks<Recorder> {
    Checks::new(recorder, CancellationToken::new())
}

impl Checks<Recorder> {
    fn ask_all(&self, ids: &[InstanceId]) {
        for id in ids {
            self.ask(id);
        }
    }

    fn hold(&self, ids: &[InstanceId]) {
        self.0.check.held.send_modify(|held| held.extend(ids.iter().cloned()));
    }

    fn release(&self) {
        self.0.check.held.send_modify(HashSet::clear);
    }

    fn looks(&self, id: &InstanceId) -> usize {
        self.0.check.looks.borrow().iter().filter(|(of, _)| of == id).count()
    }

    /// Waits until there were this many looks at an instance.
    async fn looked(&self, id: &InstanceId, times: usize) {
        let so = |looks: &Vec<(InstanceId, How)>| looks.iter().filter(|(of, _)| of == id).count() >= times;
        let mut looks = self.0.check.looks.subscribe();
        timeout(Duration::from_secs(10), looks.wait_for(so)).await.expect("it was not looked at").unwrap();
    }

    async fn idle(&self) {
        let idle = async {
            while !self.open().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), idle).await.expect("checks go on");
    }
}

#[tokio::test]
async fn an_event_is_handled_while_the_check_of_another_instance_hangs() {
    let (checks, ids) = (checks(Recorder::default()), ids(2));
    checks.hold(&ids[..1]);
    checks.ask(&ids[0]);
    checks.looked(&ids[0], 1).await;
    checks.ask(&ids[1]);
    checks.looked(&ids[1], 1).await;
    checks.release();
    checks.idle().await;
}

#[tokio::test]
async fn events_during_a_check_make_one_more() {
    let (checks, ids) = (checks(Recorder::default()), ids(1));
    checks.hold(&ids);
    checks.ask(&ids[0]);
    checks.looked(&ids[0], 1).await;
    for _ in 0..5 {
        checks.ask(&ids[0]);
    }
    assert_eq!(checks.looks(&ids[0]), 1, "one at a time");
    checks.release();
    checks.idle().await;
    assert_eq!(checks.looks(&ids[0]), 2);
    checks.ask(&ids[0]);
    checks.looked(&ids[0], 3).await;
}

#[tokio::test]
async fn no_more_than_the_limit_run_at_once() {
    let (checks, ids) = (checks(Recorder::default()), ids(EVENTS_AT_ONCE + 1));
    checks.hold(&ids);
    checks.ask_all(&ids);
    for id in &ids[..EVENTS_AT_ONCE] {
        checks.looked(id, 1).await;
    }
    assert_eq!(checks.looks(&ids[EVENTS_AT_ONCE]), 0);
    checks.release();
    checks.looked(&ids[EVENTS_AT_ONCE], 1).await;
}

#[tokio::test]
async fn gateways_that_hang_give_their_slots_back() {
    let hanging = ids(EVENTS_AT_ONCE);
    let checks = checks(Recorder { hang: hanging.iter().cloned().collect(), ..Recorder::default() });
    checks.ask_all(&hanging);
    let other = InstanceId::random();
    checks.ask(&other);
    checks.looked(&other, 1).await;
    // An event of one that is waited for is handled at once too.
    checks.ask(&hanging[0]);
    checks.looked(&hanging[0], 2).await;
}

#[tokio::test]
async fn a_slow_gateway_counts_as_hanging_only_after_the_wait() {
    for (answers, looks, late) in [(true, 1, None), (false, 2, Some("hangs"))] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let id = InstanceId::random();
        let hang = HashSet::from([id.clone()]);
        let checks = checks(Recorder { hang, answers: Some(answers), ..Recorder::default() });
        assert!(checks.begin(&id, How::Whole, &tell));
        assert!(matches!(told.recv().await, Some(Told::Slow)), "the pass does not wait");
        checks.idle().await;
        assert_eq!(checks.looks(&id), looks);
        match (told.try_recv().ok(), late) {
            (None, None) => {}
            (Some(Told::Late(of, found)), Some(late)) => assert_eq!((of, found), (id, late)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_pass_leaves_checks_under_way_alone() {
    let (checks, ids) = (checks(Recorder::default()), ids(1));
    let (tell, mut told) = mpsc::unbounded_channel();
    checks.hold(&ids);
    checks.ask(&ids[0]);
    assert!(!checks.begin(&ids[0], How::Whole, &tell));
    checks.release();
    checks.idle().await;
    assert_eq!(checks.looks(&ids[0]), 1);
    assert!(checks.begin(&ids[0], How::Whole, &tell));
    assert!(matches!(told.recv().await, Some(Told::Right(_))));
}

#[tokio::test]
async fn checks_that_wait_end_when_the_worker_drains() {
    let ids = ids(EVENTS_AT_ONCE + 2);
    let checks = checks(Recorder { hang: ids[..1].iter().cloned().collect(), ..Recorder::default() });
    checks.ask(&ids[0]);
    checks.looked(&ids[0], 1).await;
    checks.hold(&ids[1..]);
    checks.ask_all(&ids[1..]);
    checks.looked(&ids[1], 1).await;
    checks.0.draining.cancel();
    // A look under way may be in the middle of a change.
    checks.release();
    timeout(Duration::from_secs(10), checks.ended()).await.expect("checks go on");
    assert!(checks.open().is_empty());
    assert!(!checks.begin(&ids[0], How::Whole, &mpsc::unbounded_channel().0));
}

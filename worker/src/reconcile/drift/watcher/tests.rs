use std::{net::Ipv4Addr, sync::Mutex as StdMutex};

use chrono::Utc;
use clawdeploy_shared::{config::Routing, db::watched::WatchedInstance, http, instance::InstanceStatus};
use tokio::{net::TcpListener, sync::watch};

use super::{
    super::{
        checks::{How, Look},
        correct::ask,
    },
    *,
};
use crate::{
    probe::{Answer, Probe},
    reconcile::listing::Listing,
    runtime::{OwnedGateway, Reference, Runtime, docker::Docker},
};

#[path = "../../../../benches/support/engine.rs"]
mod engine;
use engine::FakeEngine;

const PASS: Duration = Duration::from_secs(10);

/// Asks gateways and inspects containers like the real one, without a database.
#[derive(Debug)]
struct Inspector {
    runtime: Runtime,
    probe: Probe,
    looks: Arc<watch::Sender<Vec<(InstanceId, How)>>>,
    gateways: Arc<StdMutex<HashMap<InstanceId, SocketAddr>>>,
}

impl Check for Inspector {
    type Found = Found;

    async fn look(&self, id: &InstanceId, how: How) -> Look<Found> {
        self.looks.send_modify(|looks| looks.push((id.clone(), how)));
        let gateway = self.gateways.lock().unwrap().get(id).copied();
        if let Some(look) = ask(&self.probe, how).await {
            return look;
        }
        if let Err(error) = self.runtime.state(&Reference::new(format!("container-{id}"))).await {
            return Look::Found(Err(error.into()));
        }
        match gateway {
            Some(gateway) if self.probe.ask(gateway).await == Answer::Slow => Look::Slow(gateway),
            _ => Look::Right,
        }
    }

    async fn wait(&self, gateway: SocketAddr) -> bool {
        self.probe.is_still_ready(gateway).await
    }
}

struct Scene {
    engine: FakeEngine,
    runtime: Runtime,
    rows: Vec<WatchedInstance>,
    watcher: Watcher<Inspector>,
    looks: Arc<watch::Sender<Vec<(InstanceId, How)>>>,
}

/// Gateways that answer, or hang: they accept connections and never say anything.
async fn gateway(answers: bool) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    if answers {
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(async || "")).await });
    } else {
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                held.push(connection);
            }
        });
    }
    port
}

impl Scene {
    fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let row = |port| {
            let id = InstanceId::random();
            WatchedInstance::new(id.clone(), InstanceStatus::Running, None, format!("container-{id}"), Some(port))
        };
        let rows: Vec<_> = ports.into_iter().map(row).collect();
        let listed = |row: &WatchedInstance| engine::listed(row.id.as_str(), &row.container_id, row.port());
        let engine = FakeEngine::start(&rows.iter().map(listed).collect::<Vec<_>>()).unwrap();
        let runtime = Runtime::Docker(Docker::connect(&engine.host, engine::DEPLOYMENT).unwrap());
        let address = |row: &WatchedInstance| (row.id.clone(), (Ipv4Addr::LOCALHOST, row.port().unwrap()).into());
        let gateways = Arc::new(StdMutex::new(rows.iter().map(address).collect()));
        let looks = Arc::default();
        let probe = Probe::new(http::local().unwrap().build().unwrap(), Routing::Direct);
        let inspector = Inspector { runtime: runtime.clone(), probe, looks: Arc::clone(&looks), gateways };
        let watcher = Watcher::new(Memory::default(), inspector, CancellationToken::new());
        Self { engine, runtime, rows, watcher, looks }
    }

    async fn list(&self) -> Arc<Vec<OwnedGateway>> {
        Listing::default().refresh(&self.runtime).await.unwrap()
    }

    async fn pass(&self) -> SweepReport {
        let containers = self.list().await;
        let comparison = Comparison { rows: &self.rows, containers: &containers, now: Utc::now(), period: PASS };
        self.watcher.pass(comparison, |port| (Ipv4Addr::LOCALHOST, port).into()).await.unwrap()
    }

    fn calls(&self, call: &str) -> usize {
        self.engine.calls().get(call).copied().unwrap_or_default()
    }

    /// Waits until an instance was looked at in detail.
    async fn looked_at(&self, id: &InstanceId) {
        let so = |looks: &Vec<(InstanceId, How)>| looks.iter().any(|(of, how)| of == id && *how == How::Whole);
        let mut looks = self.looks.subscribe();
        tokio::time::timeout(Duration::from_secs(10), looks.wait_for(so)).await.expect("it was not checked").unwrap();
    }
}

fn restarted(row: &WatchedInstance) -> InstanceEvent {
    InstanceEvent {
        instance: row.id.clone(),
        gateway: Reference::new(&row.container_id),
        action: InstanceAction::Start,
        exit_code: None,
        at: Utc::now(),
    }
}

#[tokio::test]
async fn a_pass_over_ten_thousand_lists_once_and_inspects_nothing() {
    let port = gateway(true).await;
    let scene = Scene::new(std::iter::repeat_n(port, 10_000));
    let report = scene.pass().await;
    assert_eq!((report.checked, report.findings), (10_000, Vec::new()));
    assert_eq!((scene.calls("list"), scene.calls("inspect"), scene.calls("other")), (1, 0, 0));
    let asked = scene.looks.borrow().len();
    assert!((1..=1667).contains(&asked), "{asked} of them were asked");
    assert!(scene.looks.borrow().iter().all(|(_, how)| matches!(how, How::Ask { ready: true, .. })));
}

#[tokio::test]
async fn a_container_that_differs_is_the_only_one_inspected() {
    let port = gateway(true).await;
    let mut scene = Scene::new(std::iter::repeat_n(port, 50));
    let other = &scene.rows[7];
    scene.rows[7] = WatchedInstance::new(other.id.clone(), InstanceStatus::Stopped, None, &other.container_id, None);
    scene.pass().await;
    assert_eq!(scene.calls("inspect"), 1);
    scene.looked_at(&scene.rows[7].id).await;
}

#[tokio::test]
async fn gateways_that_hang_fail_no_pass_and_delay_no_other() {
    let (hangs, answers) = (gateway(false).await, gateway(true).await);
    let scene = Scene::new(std::iter::repeat_n(hangs, 32).chain([answers]));
    // A pass asks that many: those that hang.
    let begun = |looks: &Vec<(InstanceId, How)>| looks.len() == 32;
    let mut looks = scene.looks.subscribe();
    let event = async {
        looks.wait_for(begun).await.unwrap();
        scene.watcher.hear(&restarted(&scene.rows[32]));
        scene.looked_at(&scene.rows[32].id).await;
    };
    let pass = scene.pass();
    tokio::pin!(pass, event);
    tokio::select! {
        biased;
        _ = &mut pass => panic!("the pass ended before the event was handled"),
        () = event => {}
    }
    let report = pass.await;
    assert_eq!((report.checked, report.findings), (33, Vec::new()), "a slow answer is no finding");
    // They are being waited for, and a pass leaves them alone.
    scene.pass().await;
    assert_eq!(scene.looks.borrow().iter().filter(|(id, _)| *id == scene.rows[0].id).count(), 1);
    assert_eq!(scene.calls("inspect"), 1, "of the one with an event");
    // Their events are handled at once.
    scene.watcher.hear(&restarted(&scene.rows[0]));
    scene.looked_at(&scene.rows[0].id).await;
}

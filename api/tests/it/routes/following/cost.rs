//! What following costs.

use std::{
    fs,
    time::{Duration, Instant},
};

use clawdeploy_tests::{database, tcp_proxy::TcpProxy};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{SOON, Site, follow, jobs, log, remove_jobs};

/// Maximum number of streams of a person.
const PER_PERSON: usize = 20;

/// Streams of several people, each of a job of its own, from an API behind a proxy.
struct Followers {
    site: Site,
    proxy: TcpProxy,
    base: String,
    jobs: Vec<String>,
    people: usize,
    /// The job of each event that was received.
    heard: mpsc::UnboundedReceiver<String>,
    hears: mpsc::UnboundedSender<String>,
    streams: JoinSet<()>,
}

impl Followers {
    async fn new() -> Self {
        let mut site = Site::new().await;
        let proxy = TcpProxy::new(&database::address()).await;
        let url = database::url_through(&site.env.database(), proxy.port());
        let base = site.env.start_another_with(&[("CLAWDEPLOY_DATABASE_URL", &url)]).await;
        let (hears, heard) = mpsc::unbounded_channel();
        Self { site, proxy, base, jobs: Vec::new(), people: 0, heard, hears, streams: JoinSet::new() }
    }

    /// One more person opens streams.
    async fn open(&mut self, count: usize) {
        self.people += 1;
        let name = format!("follower{}", self.people);
        let client = self.site.env.user(&name).await.at(&self.base);
        for job in jobs(&self.site, &name, count).await {
            let mut response = follow(&client, &job, None).await;
            let hears = self.hears.clone();
            self.jobs.push(job.clone());
            self.streams.spawn(async move {
                while let Ok(Some(piece)) = response.chunk().await {
                    // Not the pings.
                    if piece.starts_with(b"id:") {
                        let _ = hears.send(job.clone());
                    }
                }
            });
        }
    }

    /// Some events, one after the other, each as soon as the one before was received.
    async fn events(&mut self, count: usize) {
        for n in 0..count {
            let job = self.jobs[n * self.jobs.len() / count].clone();
            log(&self.site, &job, 1).await;
            let heard = async { while self.heard.recv().await.as_ref() != Some(&job) {} };
            timeout(SOON, heard).await.expect("the event");
        }
    }

    /// Round trips to Postgres during some events.
    async fn round_trips(&mut self, events: usize) -> usize {
        let before = self.proxy.packets();
        self.events(events).await;
        self.proxy.packets() - before
    }

    async fn finish(mut self) {
        self.streams.shutdown().await;
        remove_jobs(&self.site).await;
        self.site.env.finish().await;
    }
}

#[tokio::test]
async fn the_statements_do_not_grow_with_the_followers() {
    let mut followers = Followers::new().await;
    followers.open(5).await;
    let few = followers.round_trips(10).await;
    for _ in 0..5 {
        followers.open(PER_PERSON - 1).await;
    }
    let many = followers.round_trips(10).await;
    assert_eq!(followers.jobs.len(), 100);
    // A busy machine makes the events slow, and the polls more.
    assert!(many < 3 * few + 30, "{few} round trips with 5 followers, {many} with 100");
    followers.finish().await;
}

/// Clock ticks that processes whose command line contains a text have spent.
fn cpu_ticks(of: &str) -> u64 {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let matching = processes
        .filter(|path| fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(of)));
    matching.filter_map(|path| ticks(&fs::read_to_string(path.join("stat")).ok()?)).sum()
}

/// User and system time, fields 14 and 15 of `/proc/PID/stat` (proc(5)).
fn ticks(stat: &str) -> Option<u64> {
    // The second field is the name, which may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Prints the cost of a thousand open streams, as one line of `name=value`. The API and its clients share the process.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of half a minute; needs 3000 open files"]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn followers_cost() {
    let mut followers = Followers::new().await;
    for _ in 0..50 {
        followers.open(PER_PERSON).await;
    }
    followers.events(10).await;
    let database = followers.site.env.database();
    let own = || ticks(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
    let measure = || (own(), cpu_ticks(&database));
    let (began, before) = (Instant::now(), measure());
    let (mut round_trips, mut events) = (0, 0);
    while began.elapsed() < Duration::from_secs(20) {
        round_trips += followers.round_trips(5).await;
        events += 5;
    }
    let (seconds, after) = (began.elapsed().as_secs_f64(), measure());
    // Linux reports 100 ticks a second to programs.
    let percent = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    println!(
        "followers={} events_per_second={:.1} round_trips_per_second={:.1} api_and_clients_cpu_percent={:.1} \
         postgres_cpu_percent={:.1}",
        followers.jobs.len(),
        f64::from(events) / seconds,
        round_trips as f64 / seconds,
        percent(before.0, after.0),
        percent(before.1, after.1),
    );
    followers.finish().await;
}

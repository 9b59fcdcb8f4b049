//! What a pass of the sweep `drift` costs while nothing differs: `scripts/bench` makes the rows. The engine is a fake one
//! that lists a running container for each, so its own time is not in the figures.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use chrono::Utc;
use clap::Parser;
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{Db, watched},
    instance::InstanceStatus,
};
use clawdeploy_worker::{
    reconcile::drift::{Comparison, Memory, Suspect, WATCHED},
    runtime::{Runtime, docker::Docker},
};

#[path = "support/engine.rs"]
mod engine;
use engine::FakeEngine;

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// What `scripts/bench scale` passes to every part; the rows are there
    #[arg(long, hide = true)]
    jobs: Option<u64>,
    /// Seconds between two passes, as in `CLAWDEPLOY_RECONCILE_SECONDS`
    #[arg(long, default_value_t = 10.0)]
    period: f64,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// The budget of a whole pass, in milliseconds, with ten thousand instances.
const BUDGET_MS: f64 = 2000.0;

/// A line of the table of `scripts/bench scale`.
#[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
fn line(what: &str, budget_ms: Option<f64>, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (median, most) = (ms(times[times.len() / 2]), ms(times[times.len() - 1]));
    let budget = budget_ms.map(|budget| format!("{budget:.0}")).unwrap_or_default();
    let met = budget_ms.map_or("", |budget| if median <= budget { "yes" } else { "NO" });
    println!("{what:<58}{median:>12.1}{most:>12.1}{budget:>12}  {met}");
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let db = Db::new(&args.database)?;
    let mut rows = watched::list(&mut *db.conn().await?, &WATCHED).await?;
    rows.retain(|row| row.status == InstanceStatus::Running);
    anyhow::ensure!(!rows.is_empty(), "no running instance in the database has a container");
    let listed = |row: &watched::WatchedInstance| engine::listed(row.id.as_str(), &row.container_id, row.port());
    let engine = FakeEngine::start(&rows.iter().map(listed).collect::<Vec<_>>())?;
    let runtime = Runtime::Docker(Docker::connect(&engine.host, engine::DEPLOYMENT)?);
    runtime.ping().await?;

    let memory = Memory::default();
    let period = Duration::try_from_secs_f64(args.period)?;
    let [mut list, mut read, mut compared, mut whole] = [const { Vec::new() }; 4];
    let mut asked = 0;
    for _ in 0..args.rounds {
        let began = Instant::now();
        let containers = runtime.gateways().await?;
        list.push(began.elapsed());

        let at = Instant::now();
        let mut rows = watched::list(&mut *db.conn().await?, &WATCHED).await?;
        read.push(at.elapsed());

        rows.retain(|row| row.status == InstanceStatus::Running);
        let at = Instant::now();
        let comparison = Comparison { rows: &rows, containers: &containers, now: Utc::now(), period };
        let suspects = memory.compare(comparison, |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        compared.push(at.elapsed());
        whole.push(began.elapsed());
        anyhow::ensure!(!suspects.iter().any(Suspect::is_detailed), "something differs");
        asked = suspects.len();
    }
    let calls = engine.calls();
    anyhow::ensure!(!calls.contains_key("inspect"), "containers were inspected: {calls:?}");
    line("drift: containers listed and parsed", None, list);
    line("drift: rows read", None, read);
    line("drift: compared", None, compared);
    line(&format!("drift: a pass of {} instances", rows.len()), Some(BUDGET_MS), whole);
    println!("drift, per pass: 1 list of containers, 1 list of rows, 0 inspections, {asked} gateways to ask");
    Ok(())
}

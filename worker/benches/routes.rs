//! What it costs to tell nginx of many instances: `scripts/bench routes` makes the rows and the nginx, and says what the
//! figures mean.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{Db, route},
    ports::PortRange,
};
use clawdeploy_worker::{
    config::CommandLine,
    nginx::{
        map::{render, sort_out},
        program::{Inquiry, reload, try_map},
    },
};

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The map that nginx includes
    #[arg(long)]
    map: PathBuf,
    #[arg(long)]
    nginx: PathBuf,
    #[arg(long)]
    reload: CommandLine,
    #[arg(long)]
    probe: std::net::SocketAddr,
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
fn line(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
    println!("{what:<34}{:>10.1}{:>10.1}", ms(&times[times.len() / 2]), ms(&times[times.len() - 1]));
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let db = Db::new(&args.database)?;
    let inquiry = Inquiry::new(args.probe)?;
    let range = PortRange { first: 10000, last: 20000 };
    let [mut read, mut rendered, mut tried, mut taken_up] = [const { Vec::new() }; 4];
    let mut routes = 0;
    for _ in 0..args.rounds {
        let mut conn = db.conn().await?;
        let began = Instant::now();
        let reading = route::read(&mut conn, 0).await?;
        read.push(began.elapsed());

        let began = Instant::now();
        let (sorted, _) = sort_out(reading.rows, range);
        let text = render(reading.generation, &sorted);
        rendered.push(began.elapsed());
        routes = sorted.len();

        tokio::fs::write(&args.map, text).await?;
        let began = Instant::now();
        try_map(&args.nginx, &args.map).await?;
        tried.push(began.elapsed());

        let began = Instant::now();
        reload(&args.reload).await?;
        anyhow::ensure!(inquiry.has_taken_up(reading.generation).await, "nginx did not take the map up");
        taken_up.push(began.elapsed());
    }
    println!("{:<34}{:>10}{:>10}", format!("(ms, {routes} routes)"), "median", "most");
    line("rows read", read);
    line("sorted out and rendered", rendered);
    line("tried by nginx", tried);
    line("reload until all have it", taken_up);
    Ok(())
}

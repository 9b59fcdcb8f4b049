//! What queries cost in a database of ten million jobs: `scripts/bench scale` makes a Postgres of its own for it.
//!
//! Each query is planned for any value of its binds (the generic plan, with which a prepared statement may run from its
//! sixth execution on). It runs in a transaction that is rolled back, without the cost of a commit.

mod data;
mod lists;
mod queue;
mod sweeps;
mod table;

use clap::Parser;
use clawdeploy_shared::{config::DatabaseArgs, db::Db};

use self::table::Table;

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    size: data::Size,
    /// How often each query is measured
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let db = Db::new(&args.database)?;
    data::make(&db, &args.database, args.size).await?;
    let mut conn = db.conn().await?;
    let subject = data::Subject::find(&mut conn).await?;
    let mut table = Table::new(args.rounds);
    queue::measure(&mut table, &mut conn, &subject).await?;
    lists::measure(&mut table, &mut conn, &subject).await?;
    sweeps::measure(&mut table, &mut conn, &subject).await
}

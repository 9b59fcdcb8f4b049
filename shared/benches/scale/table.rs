//! Measures queries and prints what they cost, with their budgets.

use std::time::{Duration, Instant};

use clawdeploy_shared::db::{Conn, DbError};
use diesel_async::{AnsiTransactionManager, TransactionManager as _};

pub(crate) struct Table {
    rounds: usize,
}

impl Table {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { rounds }
    }

    /// Measures a query in a transaction that is rolled back. The first round fills the caches and does not count. The
    /// budget, in milliseconds, is for the median.
    pub(crate) async fn line<T>(
        &self,
        conn: &mut Conn,
        what: &str,
        budget_ms: f64,
        query: impl AsyncFn(&mut Conn) -> Result<T, DbError>,
    ) -> anyhow::Result<()> {
        let mut times = Vec::with_capacity(self.rounds);
        for round in 0..=self.rounds {
            AnsiTransactionManager::begin_transaction(conn).await?;
            let began = Instant::now();
            let done = query(conn).await.map(drop);
            let took = began.elapsed();
            AnsiTransactionManager::rollback_transaction(conn).await?;
            if let Err(error) = done {
                let why = clawdeploy_shared::telemetry::chain(&error);
                print(&format!("{what:<58}{:>36}  NO: {why}", format!("{budget_ms:.0}")));
                return Ok(());
            }
            if round > 0 {
                times.push(took);
            }
        }
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (median, most) = (ms(times[times.len() / 2]), ms(times[times.len() - 1]));
        let met = if median <= budget_ms { "yes" } else { "NO" };
        print(&format!("{what:<58}{median:>12.1}{most:>12.1}{budget_ms:>12.0}  {met}"));
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what one runs it for")]
fn print(line: &str) {
    println!("{line}");
}

//! `clawdeploy-worker adopt`: binds a database, a data directory and an engine to each other on an operator's decision.
//!
//! It prints the identities and what each side knows. It writes new identities only with `--yes` or after a
//! confirmation on a terminal. The directory gets a new id, so that a worker that uses it with another database stands
//! by.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{Db, installation, installation::Installation, worker},
    ids::InstanceId,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use tokio::time::timeout;

use crate::{
    config::InstanceArgs,
    identity::judge::{Binding, Facts, binding},
    runtime::docker::Docker,
    storage::{Mark, Storage},
};

/// Time limit for an answer of Postgres or the engine.
const WAIT: Duration = Duration::from_secs(10);
/// Most ids that are listed. Of further ones only the number is shown.
const LISTED: usize = 10;
/// The word to type as confirmation.
const WORD: &str = "adopt";

/// The worker's settings that this command needs.
#[derive(Debug, Clone, Args)]
pub struct AdoptConfig {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub instances: InstanceArgs,

    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
}

/// What was found.
struct Found {
    row: Option<Installation>,
    mark: Option<Mark>,
    facts: Facts,
    missing: Vec<InstanceId>,
    /// Workers on what the database is bound to now.
    at_work: usize,
}

/// Prints the identities and binds them to each other if that is confirmed.
pub async fn adopt(config: AdoptConfig) -> anyhow::Result<()> {
    let args = &config.instances;
    let dir = args.data_dir.display();
    // A missing directory is more likely a mistake than one to create.
    ensure!(args.data_dir.is_dir(), "{dir} is not a directory (CLAWDEPLOY_DATA_DIR)");
    let storage = Storage::open(&args.data_dir).await.with_context(|| format!("the data directory {dir}"))?;
    let docker = Docker::connect(&args.docker_host, &args.deployment)?;
    let engine = timeout(WAIT, docker.engine_id(true))
        .await
        .with_context(|| format!("the Docker engine at {} did not answer", args.docker_host))??
        .with_context(|| format!("the Docker engine at {} has no id", args.docker_host))?;
    let db = Db::new(&config.database).context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
    let found = Found::look(&db, &storage).await.context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
    found.tell(&config, &engine)?;
    if found.belongs(&engine) {
        return say("They already belong together. Nothing was changed.");
    }
    if !config.yes && !confirmed()? {
        bail!("nothing was changed; add --yes to bind them to each other");
    }
    let mark = write(&db, &storage, &engine).await?;
    say(&format!(
        "They now belong together, as installation {}. Workers on standby notice within seconds and need no restart.",
        mark.installation
    ))
}

async fn write(db: &Db, storage: &Storage, engine: &str) -> anyhow::Result<Mark> {
    db.migrate_when_up(WAIT).await.context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
    let mut conn = db.conn().await?;
    installation::ensure(&mut conn).await?;
    let written = conn.transaction::<_, anyhow::Error, _>(async |conn| {
        let mark = Mark::new(installation::lock(conn).await?.id);
        installation::adopt(conn, mark.data_dir, engine).await?;
        // Last: if this fails, nothing was written; if the commit fails, the worker stands by until the command is run
        // again.
        storage.set_mark(mark).await?;
        Ok(mark)
    });
    written.await.context("could not write the identities; run the command again")
}

impl Found {
    async fn look(db: &Db, storage: &Storage) -> anyhow::Result<Self> {
        let directories = storage.list().await?;
        let mut conn = db.conn().await?;
        // An unreadable identity counts as none, because it is replaced.
        let mark = storage.mark().await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "Could not read the data directory's identity");
            None
        });
        if !installation::has_table(&mut conn).await? {
            // A database without tables, or with an older schema that has instances all the same.
            let known = installation::known_of_any_version(&mut conn).await?;
            let (missing, both): (Vec<_>, Vec<_>) = known.iter().cloned().partition(|id| !directories.contains(id));
            let instances = i64::try_from(known.len()).unwrap_or(i64::MAX);
            let facts = Facts { instances, had_containers: false, directories, known: both };
            return Ok(Self { row: None, mark, facts, missing, at_work: 0 });
        }
        let row = installation::find(&mut conn).await?;
        let facts = Facts::gather(&mut conn, directories).await?;
        let limit = i64::try_from(LISTED).unwrap_or(i64::MAX);
        let missing = installation::without_directory(&mut conn, &facts.known, limit).await?;
        let workers = worker::list(&mut conn).await?;
        let at_work = workers.iter().filter(|(worker, alive)| *alive && !worker.stands_by()).count();
        Ok(Self { row, mark, facts, missing, at_work })
    }

    fn belongs(&self, engine: &str) -> bool {
        let bound = self.row.as_ref().and_then(|row| row.engine.as_deref());
        matches!(binding(self.row.as_ref(), self.mark.as_ref()), Binding::Bound(_)) && bound == Some(engine)
    }

    fn tell(&self, config: &AdoptConfig, engine: &str) -> anyhow::Result<()> {
        let args = &config.instances;
        let Facts { instances, directories, known, .. } = &self.facts;
        let row = self.row.as_ref();
        let id = |id: Option<String>| id.unwrap_or_else(|| "none yet".to_owned());
        let strangers: Vec<&InstanceId> = directories.iter().filter(|id| !known.contains(id)).collect();
        let gone = usize::try_from(*instances).unwrap_or(usize::MAX).saturating_sub(known.len());
        say("Database")?;
        say(&format!("  installation    {}", id(row.map(|row| row.id.to_string()))))?;
        say(&format!("  data directory  {}", id(row.and_then(|row| row.data_dir).map(|dir| dir.to_string()))))?;
        say(&format!("  Docker engine   {}", id(row.and_then(|row| row.engine.clone()))))?;
        say(&format!(
            "  instances       {instances}; {gone} of them without a directory{}",
            list(&self.missing, gone)
        ))?;
        say(&format!("Data directory {}", args.data_dir.display()))?;
        say(&format!("  installation    {}", id(self.mark.map(|mark| mark.installation.to_string()))))?;
        say(&format!("  data directory  {}", id(self.mark.map(|mark| mark.data_dir.to_string()))))?;
        let (all, unknown) = (directories.len(), strangers.len());
        say(&format!("  instances       {all}; {unknown} of them not in the database{}", list(&strangers, unknown)))?;
        say(&format!("Docker engine {}", args.docker_host))?;
        say(&format!("  id              {engine}"))?;
        if self.at_work > 0 && !self.belongs(engine) {
            say(&format!(
                "{} worker(s) use what the database is bound to now. Those with another directory or engine will stand by.",
                self.at_work
            ))?;
        }
        Ok(())
    }
}

/// Some ids, after their number.
fn list(ids: &[impl ToString], of: usize) -> String {
    let some: Vec<String> = ids.iter().take(LISTED).map(ToString::to_string).collect();
    match some.len() {
        0 => String::new(),
        shown if shown < of => format!(": {}, …", some.join(", ")),
        _ => format!(": {}", some.join(", ")),
    }
}

/// Whether a person at a terminal confirmed.
fn confirmed() -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let mut out = std::io::stdout().lock();
    write!(out, "Type {WORD} to bind them to each other: ").and_then(|()| out.flush())?;
    drop(out);
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim() == WORD)
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}

//! `secrets rotate`: seals all secrets again with the first key of the key file.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use clawdeploy_shared::{
    config::{DatabaseArgs, SecretArgs},
    db::{
        Db,
        reseal::{self, ResealError, Resealed},
    },
    ids::InstanceId,
    secret::Sealer,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;

use super::{connect, print_line};

/// Number of instance ids that are read at a time.
const BATCH: i64 = 200;

/// Number of tries for instances with an open job, and the delay before each.
const ROUNDS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Re-encrypt all secrets with the first key of the key file. Can be repeated at any time
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub async fn run(command: SecretsCommand) -> anyhow::Result<()> {
    match command {
        SecretsCommand::Rotate(args) => rotate(args).await,
    }
}

/// Result so far.
#[derive(Debug, Default)]
struct Tally {
    instances: usize,
    secrets: usize,
    unreadable: Vec<String>,
}

async fn rotate(args: Rotate) -> anyhow::Result<()> {
    let sealer = Sealer::from_file(&args.secrets.key_file).context("cannot read the key file (CLAWDEPLOY_KEY_FILE)")?;
    let db = connect(&args.database).await?;
    let mut tally = Tally::default();
    for column in reseal::COLUMNS {
        let (secrets, unreadable) = reseal::column(&mut *db.conn().await?, &sealer, column).await?;
        tally.secrets += secrets;
        tally.unreadable.extend(unreadable.into_iter().map(|row| format!("{} {row}", column.table)));
    }
    let mut busy = Vec::new();
    let mut after = None;
    loop {
        let batch = reseal::instances_after(&mut *db.conn().await?, after.as_ref(), BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.clone());
        for id in batch {
            if !reseal_one(&db, &sealer, &id, &mut tally).await? {
                busy.push(id);
            }
        }
    }
    for _ in 0..ROUNDS {
        if busy.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        for id in std::mem::take(&mut busy) {
            if !reseal_one(&db, &sealer, &id, &mut tally).await? {
                busy.push(id);
            }
        }
    }
    let mut after = None;
    loop {
        let batch = reseal::recoverable_after(&mut *db.conn().await?, after.as_ref(), BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.clone());
        for id in batch {
            reseal_recoverable(&db, &sealer, &id, &mut tally).await?;
        }
    }
    print_line(&format!(
        "{} secrets were re-encrypted, in {} instances and elsewhere.",
        tally.secrets, tally.instances
    ))?;
    ensure!(
        tally.unreadable.is_empty(),
        "no key in the file can decrypt these, so they were left unchanged: {}",
        tally.unreadable.join(", ")
    );
    ensure!(
        busy.is_empty(),
        "these instances have an open job and were left unchanged; run this again before you remove a key: {}",
        busy.iter().map(InstanceId::as_str).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// False: the instance has an open job.
async fn reseal_one(db: &Db, sealer: &Sealer, id: &InstanceId, tally: &mut Tally) -> anyhow::Result<bool> {
    let mut conn = db.conn().await?;
    let resealed = conn.transaction(async |conn| reseal::instance(conn, sealer, id).await).await;
    count(resealed, id, tally)
}

async fn reseal_recoverable(db: &Db, sealer: &Sealer, id: &InstanceId, tally: &mut Tally) -> anyhow::Result<()> {
    let mut conn = db.conn().await?;
    let resealed = conn.transaction(async |conn| reseal::recoverable(conn, sealer, id).await).await;
    count(resealed, id, tally).map(|_| ())
}

/// False: the instance has an open job.
fn count(resealed: Result<Resealed, ResealError>, id: &InstanceId, tally: &mut Tally) -> anyhow::Result<bool> {
    match resealed {
        Ok(Resealed::Busy) => return Ok(false),
        Ok(Resealed::Secrets(0) | Resealed::Gone) => {}
        Ok(Resealed::Secrets(secrets)) => {
            tally.instances += 1;
            tally.secrets += secrets;
        }
        Err(ResealError::Db(error)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(instance.id = %id, error = chain(&error), "Could not re-encrypt an instance's secrets");
            tally.unreadable.push(format!("instance {id}"));
        }
    }
    Ok(true)
}

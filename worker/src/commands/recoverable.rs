//! `recoverable`: restores instances without rows on the server itself, for example after the restore of an older
//! backup.

use std::{io::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use clawdeploy_shared::{
    config::{DatabaseArgs, SecretArgs},
    db::{
        Conn, Db, Scope,
        audit::{self, NewAuditEntry, Outcome},
        recoverable::{self, Recoverable, Restore},
        user,
    },
    ids::{InstanceId, UserId},
    secret::Sealer,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use crate::{reconcile::directories::Finder, storage::Storage};

/// How long a command waits for Postgres.
const DATABASE_WAIT: Duration = Duration::from_secs(5);

/// How long files found in the quarantine without a row are kept.
const KEEP: Duration = Duration::from_hours(7 * 24);

#[derive(Debug, Subcommand)]
pub enum RecoverableCommand {
    /// Look through the data directory and print what can be restored: id, state, owner, name, separated by tabs
    List(Place),
    /// Restore an instance; workers do it once they run
    Adopt(Adopt),
}

/// Where the installation keeps its data.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Directory that holds each instance's files
    #[arg(long, env = "CLAWDEPLOY_DATA_DIR", default_value = "/data/clawdeploy")]
    data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Adopt {
    /// Instance id, as printed by `list`
    id: InstanceId,
    /// Email of the new owner (default: the previous owner)
    #[arg(long)]
    owner: Option<String>,
    /// New name for the instance
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub async fn run(command: RecoverableCommand) -> anyhow::Result<()> {
    match command {
        RecoverableCommand::List(place) => list(&place).await,
        RecoverableCommand::Adopt(args) => adopt(args).await,
    }
}

/// Lists what is in the data directory now.
async fn look(place: &Place) -> anyhow::Result<Db> {
    let sealer = Sealer::from_file(&place.secrets.key_file).context("the key file (CLAWDEPLOY_KEY_FILE)")?;
    let db = Db::new(&place.database)?;
    db.migrate_when_up(DATABASE_WAIT).await.context("the database (CLAWDEPLOY_DATABASE_URL)")?;
    let storage = Storage::open(&place.data_dir).await.context("the data directory (CLAWDEPLOY_DATA_DIR)")?;
    Finder { db: &db, storage: &storage, sealer: &sealer, keep: KEEP }.find().await?;
    Ok(db)
}

async fn list(place: &Place) -> anyhow::Result<()> {
    let db = look(place).await?;
    let rows = recoverable::list(&mut *db.conn().await?).await?;
    let mut out = std::io::stdout().lock();
    for row in rows.iter().filter(|row| row.purge_requested_at.is_none()) {
        let (owner, name) = (row.owner_email.as_deref().unwrap_or("-"), row.name.as_deref().unwrap_or("-"));
        writeln!(out, "{}\t{}\t{owner}\t{name}", row.id, row.state).context("cannot write to standard output")?;
    }
    Ok(())
}

async fn adopt(args: Adopt) -> anyhow::Result<()> {
    let db = look(&args.place).await?;
    let mut conn = db.conn().await?;
    conn.transaction::<_, anyhow::Error, _>(async |conn| {
        let row = recoverable::lock(conn, Scope::Everything, &args.id).await?;
        let row = row.with_context(|| format!("{} cannot be restored: it is not listed", args.id))?;
        let owner = owner(conn, &row, args.owner.as_deref()).await?;
        let Some(manifest) = row.manifest() else {
            bail!(
                "only the files of {} are left; restore it in the administration UI, which gives it a new token",
                row.id
            )
        };
        let name = args.name.as_deref().or(row.name.as_deref()).unwrap_or(row.id.as_str());
        let restore = Restore { owner, name, manifest: &manifest, requested_by: None, request_id: None };
        let restored = recoverable::restore(conn, &restore).await;
        let (_, job) =
            restored.with_context(|| format!("cannot add {name}; if the name is taken, choose another with --name"))?;
        let entry = NewAuditEntry {
            actor_id: None,
            actor: "clawdeploy-worker",
            action: "instance.restore",
            target_kind: "instance",
            target_id: row.id.as_str(),
            owner_id: Some(owner),
            detail: json!({ "name": name, "was": row.state, "jobId": job.id }),
            request_id: None,
            client_ip: None,
            outcome: Outcome::Success,
        };
        audit::insert(conn, &entry).await?;
        writeln!(std::io::stdout().lock(), "{}\t{}", row.id, job.id).context("cannot write to standard output")
    })
    .await
}

/// The account that gets the instance.
async fn owner(conn: &mut Conn, row: &Recoverable, email: Option<&str>) -> anyhow::Result<UserId> {
    if let Some(email) = email {
        let found = user::find_by_email(conn, email).await?;
        return Ok(found.with_context(|| format!("no account has the e-mail address {email}"))?.0.id);
    }
    let known = match row.owner_id {
        Some(id) => user::emails(conn, &[id]).await?.into_keys().next(),
        None => None,
    };
    known.with_context(|| format!("the owner of {} has no account here; name the new owner with --owner EMAIL", row.id))
}

//! Seals values again that an older key sealed.
//!
//! Runs one transaction for each instance, with its row locked: its own columns, the pending settings, and those in its
//! snapshots. Equal sealed texts become equal new texts everywhere, because equality means unchanged. An instance with
//! an open job is postponed, since that job compares what it has read.
//!
//! Of the manifests of restorable instances only the table's copy is sealed again. The copy beside the files is a
//! fallback that a worker rewrites.
//!
//! Standalone columns are in [`COLUMNS`]. Their values are sealed one at a time, each unless it was changed in the
//! meantime. A test finds missing columns.

use std::collections::HashMap;

use diesel::{prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{
    Conn, DbError,
    instance::{self, InstanceSettings, seal_context},
    job, json,
    recoverable::Manifest,
    schema::{instances, recoverable_instances, snapshots},
};
use crate::{
    ids::{InstanceId, SnapshotId},
    secret::{SealContext, Sealer, SecretError},
};

#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("its settings cannot be read")]
    Settings(#[from] serde_json::Error),
}

impl From<diesel::result::Error> for ResealError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A column of sealed values that are not compared with others.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub table: &'static str,
    /// The column's name in the secret's [`SealContext`]. The context's row is the row's `id`.
    pub context: &'static str,
    /// The name in the table.
    pub name: &'static str,
}

/// Every such column, except those of instances.
pub const COLUMNS: [Column; 1] = [Column { table: "users", context: "totp", name: "totp_sealed" }];

/// Values read at once.
const BATCH: usize = 200;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    sealed: String,
}

/// Seals the values of a column again. Returns how many, and the rows whose value no key opens.
pub async fn column(conn: &mut Conn, sealer: &Sealer, column: Column) -> Result<(usize, Vec<String>), DbError> {
    let Column { table, context, name } = column;
    // These names come from us, never from a person.
    let select = format!(
        "SELECT id::text AS id, {name} AS sealed FROM {table} \
         WHERE id::text > $1 AND NOT starts_with({name}, $2) ORDER BY id::text LIMIT {BATCH}"
    );
    let update = format!("UPDATE {table} SET {name} = $1 WHERE id::text = $2 AND {name} = $3");
    let (mut after, mut anew, mut unreadable) = (String::new(), 0, Vec::new());
    loop {
        let query = diesel::sql_query(&select).bind::<Text, _>(&after).bind::<Text, _>(sealer.active_prefix());
        let rows: Vec<Row> = query.load(conn).await?;
        let Some(last) = rows.last() else { return Ok((anew, unreadable)) };
        after.clone_from(&last.id);
        for row in rows {
            let Ok(Some(sealed)) = sealer.reseal(&row.sealed, SealContext { table, column: context, row: &row.id })
            else {
                unreadable.push(row.id);
                continue;
            };
            let query = diesel::sql_query(&update).bind::<Text, _>(sealed);
            anew += query.bind::<Text, _>(&row.id).bind::<Text, _>(&row.sealed).execute(conn).await?;
        }
    }
}

/// The result for an instance's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resealed {
    /// How many were sealed again. Zero if the active key had sealed all of them.
    Secrets(usize),
    /// It has an open job.
    Busy,
    Gone,
}

/// The next instances in the order of their ids.
pub async fn instances_after(
    conn: &mut Conn,
    after: Option<&InstanceId>,
    limit: i64,
) -> Result<Vec<InstanceId>, DbError> {
    let mut query = instances::table.into_boxed();
    if let Some(after) = after {
        query = query.filter(instances::id.gt(after));
    }
    Ok(query.order(instances::id).limit(limit).select(instances::id).load(conn).await?)
}

/// Seals an instance's secrets again. Call it in a transaction. May be repeated.
pub async fn instance(conn: &mut Conn, sealer: &Sealer, id: &InstanceId) -> Result<Resealed, ResealError> {
    let Some(row) = instance::lock(conn, id).await? else { return Ok(Resealed::Gone) };
    if !job::open_on(conn, id).await?.is_empty() {
        return Ok(Resealed::Busy);
    }
    let mut texts = Texts { sealer, id, known: HashMap::new() };
    let gateway_token = texts.anew(&row.gateway_token_sealed, seal_context::gateway_token(id))?;
    let settings = texts.settings(row.settings())?;
    let pending = row.pending_settings.map(serde_json::from_value).transpose()?;
    let pending = pending.map(|pending| texts.settings(pending)).transpose()?;
    let kept: Vec<(SnapshotId, Value, Value)> = snapshots::table
        .filter(snapshots::instance_id.eq(id))
        .select((snapshots::id, snapshots::from_settings, snapshots::to_settings))
        .load(conn)
        .await?;
    for (snapshot, from, to) in kept {
        let (from, to) = (texts.settings(serde_json::from_value(from)?)?, texts.settings(serde_json::from_value(to)?)?);
        diesel::update(snapshots::table.find(snapshot))
            .set((snapshots::from_settings.eq(json(&from)?), snapshots::to_settings.eq(json(&to)?)))
            .execute(conn)
            .await?;
    }
    let changed = texts.known.iter().filter(|(old, new)| old != new).count();
    if changed > 0 {
        // It does not count as a change of the instance: `updated_at` stays.
        diesel::update(instances::table.find(id))
            .set((
                instances::gateway_token_sealed.eq(gateway_token),
                instances::bot_token_sealed.eq(&settings.bot_token_sealed),
                instances::api_key_sealed.eq(&settings.api_key_sealed),
                instances::env.eq(json(&settings.env_sealed)?),
                instances::pending_settings.eq(pending.as_ref().map(json).transpose()?),
            ))
            .execute(conn)
            .await?;
    }
    Ok(Resealed::Secrets(changed))
}

/// The next restorable instances, by id.
pub async fn recoverable_after(
    conn: &mut Conn,
    after: Option<&InstanceId>,
    limit: i64,
) -> Result<Vec<InstanceId>, DbError> {
    let mut query = recoverable_instances::table.filter(recoverable_instances::manifest.is_not_null()).into_boxed();
    if let Some(after) = after {
        query = query.filter(recoverable_instances::id.gt(after));
    }
    Ok(query.order(recoverable_instances::id).limit(limit).select(recoverable_instances::id).load(conn).await?)
}

/// Like [`instance()`], for a restorable one.
pub async fn recoverable(conn: &mut Conn, sealer: &Sealer, id: &InstanceId) -> Result<Resealed, ResealError> {
    let row: Option<Option<Value>> = recoverable_instances::table
        .find(id)
        .for_update()
        .select(recoverable_instances::manifest)
        .first(conn)
        .await
        .optional()?;
    let Some(value) = row.flatten() else { return Ok(Resealed::Gone) };
    let mut manifest: Manifest = serde_json::from_value(value)?;
    let mut texts = Texts { sealer, id, known: HashMap::new() };
    manifest.gateway_token_sealed = texts.anew(&manifest.gateway_token_sealed, seal_context::gateway_token(id))?;
    manifest.settings = texts.settings(manifest.settings)?;
    manifest.pending_settings = manifest.pending_settings.map(|pending| texts.settings(pending)).transpose()?;
    for snapshot in &mut manifest.snapshots {
        for column in ["from_settings", "to_settings"] {
            if let Some(value) = snapshot.get_mut(column) {
                *value = json(&texts.settings(serde_json::from_value(value.take())?)?)?;
            }
        }
    }
    let changed = texts.known.iter().filter(|(old, new)| old != new).count();
    if changed > 0 {
        diesel::update(recoverable_instances::table.find(id))
            .set(recoverable_instances::manifest.eq(json(&manifest)?))
            .execute(conn)
            .await?;
    }
    Ok(Resealed::Secrets(changed))
}

/// Sealed texts of one instance with their replacements.
struct Texts<'a> {
    sealer: &'a Sealer,
    id: &'a InstanceId,
    known: HashMap<String, String>,
}

impl Texts<'_> {
    fn anew(&mut self, sealed: &str, context: SealContext<'_>) -> Result<String, SecretError> {
        if let Some(known) = self.known.get(sealed) {
            return Ok(known.clone());
        }
        let anew = self.sealer.reseal(sealed, context)?.unwrap_or_else(|| sealed.to_owned());
        self.known.insert(sealed.to_owned(), anew.clone());
        Ok(anew)
    }

    fn settings(&mut self, mut settings: InstanceSettings) -> Result<InstanceSettings, SecretError> {
        let id = self.id;
        if let Some(sealed) = &mut settings.bot_token_sealed {
            *sealed = self.anew(sealed, seal_context::bot_token(id))?;
        }
        if let Some(sealed) = &mut settings.api_key_sealed {
            *sealed = self.anew(sealed, seal_context::api_key(id))?;
        }
        for (name, sealed) in &mut settings.env_sealed {
            *sealed = self.anew(sealed, seal_context::env(id, &seal_context::env_column(name)))?;
        }
        Ok(settings)
    }
}

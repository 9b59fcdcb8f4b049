//! Instances that can be brought back: deleted ones whose files are kept for a while, and directories that were found and that
//! the database does not know, because it was restored from an older dump, say.
//!
//! Each has a [`Manifest`]: what its row in `instances` held. The table has one copy and the instance's directory another;
//! the table's counts, the directory's is there for a database that has lost the row.
//!
//! A row goes when the instance is back ([`settle`]) or its files are removed ([`forget`]). It is hidden while an instance of
//! that id exists. Once a purge was decided ([`begin_purge`]), nothing is restored any more.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{exists, now, sql},
    prelude::*,
    sql_types::{Array, Float8, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Conn, DbError, Scope,
    instance::{Instance, InstanceSettings},
    job::{self, Job, NewJob},
    json,
    schema::{instances, recoverable_instances, users},
};
use crate::{
    ids::{InstanceId, UserId},
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
    text_enum,
};

text_enum!(
    /// Why an instance without a row is listed.
    RecoverableState {
        /// It was deleted; its files are kept until they expire.
        Deleted = "deleted",
        /// A directory that the database knows nothing of.
        Unclaimed = "unclaimed",
    }
);

/// What the manifest of this program looks like.
const VERSION: u32 = 1;

/// Rows that a list has at most.
const LIST: i64 = 1000;

/// What the row of an instance held. Secrets are sealed for that row, and so stay valid for its id only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    version: u32,
    pub id: InstanceId,
    pub name: Option<String>,
    pub owner_id: Option<UserId>,
    pub owner_email: Option<String>,
    pub gateway_token_sealed: String,
    pub settings: InstanceSettings,
    /// Settings that were accepted and not applied yet.
    pub pending_settings: Option<InstanceSettings>,
    pub image_id: Option<String>,
    pub openclaw_version: Option<String>,
    pub disk_limit_bytes: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
    /// Rows of `snapshots`: the ways back that are kept beside the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Value>,
}

impl Manifest {
    /// Of an instance as its row is now, without its snapshots.
    pub fn of(instance: &Instance, owner_email: Option<String>) -> Self {
        Self {
            version: VERSION,
            id: instance.id.clone(),
            name: Some(instance.name.clone()),
            owner_id: Some(instance.owner_id),
            owner_email,
            gateway_token_sealed: instance.gateway_token_sealed.clone(),
            settings: instance.settings(),
            // Only this program writes them.
            pending_settings: instance.pending_settings.clone().and_then(|value| serde_json::from_value(value).ok()),
            image_id: instance.image_id.clone(),
            openclaw_version: instance.openclaw_version.clone(),
            disk_limit_bytes: instance.disk_limit_bytes,
            created_at: Some(instance.created_at),
            snapshots: Vec::new(),
        }
    }

    /// Of an instance of which only its token and settings are known.
    pub fn unnamed(id: &InstanceId, gateway_token_sealed: String, settings: InstanceSettings) -> Self {
        Self {
            version: VERSION,
            id: id.clone(),
            name: None,
            owner_id: None,
            owner_email: None,
            gateway_token_sealed,
            settings,
            pending_settings: None,
            image_id: None,
            openclaw_version: None,
            disk_limit_bytes: None,
            created_at: None,
            snapshots: Vec::new(),
        }
    }

    /// Reads what [`Self::to_bytes`] has written for this id; `None` where it cannot be read.
    pub fn from_bytes(bytes: &[u8], id: &InstanceId) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|manifest: &Self| manifest.version == VERSION && manifest.id == *id)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// An instance that can be brought back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = recoverable_instances, check_for_backend(diesel::pg::Pg))]
pub struct Recoverable {
    pub id: InstanceId,
    pub state: RecoverableState,
    pub owner_id: Option<UserId>,
    pub owner_email: Option<String>,
    pub name: Option<String>,
    pub reason: String,
    /// A [`Manifest`].
    pub manifest: Option<Value>,
    pub since: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub bytes: Option<i64>,
    pub purge_requested_at: Option<DateTime<Utc>>,
}

impl Recoverable {
    /// The manifest, where there is one that can be read.
    pub fn manifest(&self) -> Option<Manifest> {
        self.manifest.clone().and_then(|value| serde_json::from_value(value).ok())
    }
}

type Boxed<'a> = recoverable_instances::BoxedQuery<'a, diesel::pg::Pg>;

/// Rows that no instance stands for.
fn listed<'a>() -> Boxed<'a> {
    let back = instances::table.filter(instances::id.eq(recoverable_instances::id));
    recoverable_instances::table.filter(diesel::dsl::not(exists(back))).into_boxed()
}

/// What a person has deleted and can still take back, newest first.
pub async fn deleted_of(conn: &mut Conn, owner: UserId) -> Result<Vec<Recoverable>, DbError> {
    Ok(listed()
        .filter(recoverable_instances::owner_id.eq(owner))
        .filter(recoverable_instances::state.eq(RecoverableState::Deleted))
        .filter(recoverable_instances::expires_at.gt(now))
        .filter(recoverable_instances::purge_requested_at.is_null())
        .order((recoverable_instances::since.desc(), recoverable_instances::id))
        .limit(LIST)
        .select(Recoverable::as_select())
        .load(conn)
        .await?)
}

/// Everything that can be brought back or is about to be removed, newest first, each with its owner's e-mail of today.
pub async fn list(conn: &mut Conn) -> Result<Vec<Recoverable>, DbError> {
    let mut rows: Vec<Recoverable> = listed()
        .order((recoverable_instances::since.desc(), recoverable_instances::id))
        .limit(LIST)
        .select(Recoverable::as_select())
        .load(conn)
        .await?;
    let owners: Vec<UserId> = rows.iter().filter_map(|row| row.owner_id).collect();
    let emails = super::user::emails(conn, &owners).await?;
    for row in &mut rows {
        let email = row.owner_id.and_then(|owner| emails.get(&owner).cloned());
        row.owner_email = email.or_else(|| row.owner_email.take());
    }
    Ok(rows)
}

/// One that can be brought back now, locked until the transaction ends, so that it is not purged meanwhile.
pub async fn lock(conn: &mut Conn, scope: Scope, id: &InstanceId) -> Result<Option<Recoverable>, DbError> {
    let found: Option<Recoverable> = recoverable_instances::table
        .find(id)
        .filter(recoverable_instances::purge_requested_at.is_null())
        .filter(recoverable_instances::expires_at.is_null().or(recoverable_instances::expires_at.gt(now)))
        .for_update()
        .select(Recoverable::as_select())
        .first(conn)
        .await
        .optional()?;
    // An owner takes back what was deleted; whose a directory is that was found, an administrator says.
    let may = |row: &Recoverable| match scope.owner() {
        Some(owner) => row.owner_id == Some(owner) && row.state == RecoverableState::Deleted,
        None => true,
    };
    // Asked after the lock was taken: whoever restores it has the lock until the instance is there.
    let back = diesel::select(exists(instances::table.find(id))).get_result::<bool>(conn).await?;
    Ok(found.filter(|row| !back && may(row)))
}

/// Whose and how an instance is brought back.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    pub owner: UserId,
    pub name: &'a str,
    pub manifest: &'a Manifest,
    pub requested_by: Option<UserId>,
    pub request_id: Option<&'a str>,
}

/// Adds the instance again, as it was, and the job that brings it up. The caller holds the row's [`lock`].
///
/// The constraint `instances_owner_name_unique` tells that the owner has another one of that name.
pub async fn restore(conn: &mut Conn, restore: &Restore<'_>) -> Result<(Instance, Job), DbError> {
    let Restore { owner, name, manifest, requested_by, request_id } = *restore;
    let settings = &manifest.settings;
    let instance: Instance = diesel::insert_into(instances::table)
        .values((
            instances::id.eq(&manifest.id),
            instances::owner_id.eq(owner),
            instances::name.eq(name),
            instances::desired_state.eq(DesiredState::Running),
            instances::status.eq(InstanceStatus::Pending),
            instances::channel.eq(settings.channel),
            instances::bot_token_sealed.eq(&settings.bot_token_sealed),
            instances::ai_provider.eq(settings.ai_provider),
            instances::api_key_sealed.eq(&settings.api_key_sealed),
            instances::gateway_token_sealed.eq(&manifest.gateway_token_sealed),
            instances::memory_mb.eq(settings.memory_mb),
            instances::cpu_millis.eq(settings.cpu_millis),
            instances::env.eq(json(&settings.env_sealed)?),
            instances::pending_settings.eq(manifest.pending_settings.as_ref().map(json).transpose()?),
            instances::image_id.eq(&manifest.image_id),
            instances::openclaw_version.eq(&manifest.openclaw_version),
            instances::disk_limit_bytes.eq(manifest.disk_limit_bytes),
            manifest.created_at.map(|at| instances::created_at.eq(at)),
        ))
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?;
    let new = NewJob { requested_by, request_id, ..NewJob::on_instance(JobKind::Restore, &manifest.id, owner) };
    let job = job::insert(conn, &new).await?;
    Ok((instance, job))
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Nullable<Jsonb>)]
    rows: Option<Value>,
}

/// The manifest of an instance as its row is now; `None`: it has none. Without its snapshots.
pub async fn manifest_of(conn: &mut Conn, id: &InstanceId) -> Result<Option<Manifest>, DbError> {
    let found: Option<Instance> =
        instances::table.find(id).select(Instance::as_select()).first(conn).await.optional()?;
    let Some(instance) = found else { return Ok(None) };
    let email: Option<String> =
        users::table.find(instance.owner_id).select(users::email).first(conn).await.optional()?;
    Ok(Some(Manifest::of(&instance, email)))
}

/// Notes that an instance's files are kept for `keep`. In the transaction that removes its row, before it does.
pub async fn keep_deleted(conn: &mut Conn, id: &InstanceId, reason: &str, keep: Duration) -> Result<(), DbError> {
    let Some(mut manifest) = manifest_of(conn, id).await? else { return Ok(()) };
    let kept: Kept = diesel::sql_query("SELECT jsonb_agg(to_jsonb(s)) AS rows FROM snapshots s WHERE instance_id = $1")
        .bind::<Text, _>(id)
        .get_result(conn)
        .await?;
    if let Some(Value::Array(rows)) = kept.rows {
        manifest.snapshots = rows;
    }
    let bytes: Option<i64> = instances::table.find(id).select(instances::disk_bytes).first(conn).await?;
    put(conn, RecoverableState::Deleted, id, Some(&manifest), reason, Some(keep), bytes).await
}

/// Notes files that were found without a row; what is listed already stays as it is.
pub async fn found(
    conn: &mut Conn,
    state: RecoverableState,
    id: &InstanceId,
    manifest: Option<&Manifest>,
    reason: &str,
    keep: Duration,
    bytes: Option<i64>,
) -> Result<(), DbError> {
    let keep = (state == RecoverableState::Deleted).then_some(keep);
    put(conn, state, id, manifest, reason, keep, bytes).await
}

async fn put(
    conn: &mut Conn,
    state: RecoverableState,
    id: &InstanceId,
    manifest: Option<&Manifest>,
    reason: &str,
    keep: Option<Duration>,
    bytes: Option<i64>,
) -> Result<(), DbError> {
    let expires = sql::<Nullable<Timestamptz>>("now() + make_interval(secs => ")
        .bind::<Nullable<Float8>, _>(keep.map(|keep| keep.as_secs_f64()))
        .sql(")");
    let values = (
        recoverable_instances::state.eq(state),
        recoverable_instances::owner_id.eq(manifest.and_then(|m| m.owner_id)),
        recoverable_instances::owner_email.eq(manifest.and_then(|m| m.owner_email.as_deref())),
        recoverable_instances::name.eq(manifest.and_then(|m| m.name.as_deref())),
        recoverable_instances::reason.eq(reason),
        recoverable_instances::manifest.eq(manifest.map(json).transpose()?),
        recoverable_instances::since.eq(now),
        recoverable_instances::expires_at.eq(expires),
        recoverable_instances::bytes.eq(bytes),
        recoverable_instances::purge_requested_at.eq(None::<DateTime<Utc>>),
    );
    // A row that is there is of an earlier life of the same instance.
    diesel::delete(recoverable_instances::table.find(id)).execute(conn).await?;
    diesel::insert_into(recoverable_instances::table)
        .values((recoverable_instances::id.eq(id), values))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// The instance is back, and its files are where they belong: its snapshots get their rows again, and what was noted here goes.
pub async fn settle(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    // The columns by name: one that came since has its default.
    diesel::sql_query(
        "INSERT INTO snapshots (id, instance_id, job_id, reason, status, was_running, from_image, from_version, \
           from_settings, to_image, to_version, to_settings, files, bytes, method, duration_ms, stopped_at, down_ms, \
           expires_at, created_at) \
         SELECT s.* FROM recoverable_instances r, jsonb_to_recordset(r.manifest->'snapshots') AS s (id uuid, \
           instance_id text, job_id uuid, reason text, status text, was_running boolean, from_image text, \
           from_version text, from_settings jsonb, to_image text, to_version text, to_settings jsonb, files bigint, \
           bytes bigint, method text, duration_ms bigint, stopped_at timestamptz, down_ms bigint, \
           expires_at timestamptz, created_at timestamptz) \
         WHERE r.id = $1 AND s.instance_id = $1 ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(id)
    .execute(conn)
    .await?;
    forget(conn, id).await
}

/// Asks for the removal of the files; when that was decided, the first time. `None`: there is no such row.
pub async fn request_purge(conn: &mut Conn, id: &InstanceId) -> Result<Option<DateTime<Utc>>, DbError> {
    Ok(diesel::update(recoverable_instances::table.find(id))
        .set(
            recoverable_instances::purge_requested_at
                .eq(sql::<Nullable<Timestamptz>>("coalesce(purge_requested_at, now())")),
        )
        .returning(recoverable_instances::purge_requested_at)
        .get_result::<Option<DateTime<Utc>>>(conn)
        .await
        .optional()?
        .flatten())
}

/// Those whose files are to be removed: they have expired, or somebody asked for it.
pub async fn to_purge(conn: &mut Conn, limit: i64) -> Result<Vec<InstanceId>, DbError> {
    Ok(listed()
        .filter(
            recoverable_instances::purge_requested_at.is_not_null().or(recoverable_instances::expires_at
                .is_not_null()
                .and(recoverable_instances::expires_at.assume_not_null().le(now))),
        )
        .order(recoverable_instances::id)
        .limit(limit)
        .select(recoverable_instances::id)
        .load(conn)
        .await?)
}

/// Decides that the files of one of [`to_purge`] go. `None`: an instance stands for it by now. To be called in a transaction.
pub async fn begin_purge(conn: &mut Conn, id: &InstanceId) -> Result<Option<Recoverable>, DbError> {
    // Whoever restores it holds this lock until the instance is there.
    let row: Option<Recoverable> = recoverable_instances::table
        .find(id)
        .for_update()
        .select(Recoverable::as_select())
        .first(conn)
        .await
        .optional()?;
    let back = diesel::select(exists(instances::table.find(id))).get_result::<bool>(conn).await?;
    if back || row.is_none() {
        return Ok(None);
    }
    request_purge(conn, id).await?;
    Ok(row)
}

/// Forgets one whose files are gone.
pub async fn forget(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::delete(recoverable_instances::table.find(id)).execute(conn).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Image {
    #[diesel(sql_type = Text)]
    image: String,
}

/// Images of whatever can be brought back now, and those of its ways back: its state may be of a version that no other can read.
pub async fn images(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let images: Vec<Image> = diesel::sql_query(
        "SELECT DISTINCT used.image FROM recoverable_instances r CROSS JOIN LATERAL ( \
           SELECT r.manifest->>'imageId' AS image \
           UNION ALL \
           SELECT unnest(ARRAY[s.from_image, s.to_image]) FROM jsonb_to_recordset( \
             CASE jsonb_typeof(r.manifest->'snapshots') WHEN 'array' THEN r.manifest->'snapshots' ELSE '[]' END \
           ) AS s (status text, from_image text, to_image text) WHERE s.status = 'kept') AS used \
         WHERE used.image IS NOT NULL AND r.purge_requested_at IS NULL \
           AND (r.expires_at IS NULL OR r.expires_at > now())",
    )
    .load(conn)
    .await?;
    Ok(images.into_iter().map(|row| row.image).collect())
}

/// What is listed, and how.
pub async fn states(conn: &mut Conn) -> Result<Vec<(InstanceId, RecoverableState)>, DbError> {
    Ok(recoverable_instances::table
        .select((recoverable_instances::id, recoverable_instances::state))
        .load(conn)
        .await?)
}

/// Those of some ids whose files are to be removed.
pub async fn purged(conn: &mut Conn, ids: &[&InstanceId]) -> Result<Vec<InstanceId>, DbError> {
    Ok(recoverable_instances::table
        .filter(recoverable_instances::id.eq_any(ids).and(recoverable_instances::purge_requested_at.is_not_null()))
        .select(recoverable_instances::id)
        .load(conn)
        .await?)
}

#[derive(QueryableByName)]
struct Shown {
    #[diesel(sql_type = Text)]
    id: InstanceId,
}

/// Those of some ids of which the last that the database knows is that they went: a delete that succeeded, or a provision that
/// failed or was cancelled.
///
/// That nothing is known of an id shows nothing: a database that was restored from an older dump knows nothing of what came
/// after it, and jobs are not kept for ever.
pub async fn shown_gone(conn: &mut Conn, ids: &[&InstanceId]) -> Result<HashSet<InstanceId>, DbError> {
    let gone: Vec<Shown> = diesel::sql_query(
        "SELECT asked.id FROM unnest($1) AS asked (id) CROSS JOIN LATERAL ( \
           SELECT kind, status FROM jobs WHERE jobs.instance_id = asked.id ORDER BY seq DESC LIMIT 1) AS last \
         WHERE (last.kind = 'delete' AND last.status = 'succeeded') \
            OR (last.kind = 'provision' AND last.status IN ('failed', 'cancelled'))",
    )
    .bind::<Array<Text>, _>(ids)
    .load(conn)
    .await?;
    Ok(gone.into_iter().map(|row| row.id).collect())
}

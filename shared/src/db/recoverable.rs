//! Instances that can be restored: deleted ones whose files are still kept, and unknown directories, for example after
//! the restore of an older database dump.
//!
//! Each has a [`Manifest`] with the content of its row in `instances`. The table holds one copy and the instance's
//! directory another. The table's copy is authoritative; the directory's serves a database that lost the row.
//!
//! A row is deleted when the instance is back ([`settle`]) or its files are removed ([`forget`]). It is hidden while an
//! instance of that id exists. After [`begin_purge`] it can no longer be restored.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

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
        /// A directory without a row in the database.
        Unclaimed = "unclaimed",
    }
);

/// Version of the manifest's format.
const VERSION: u32 = 1;

/// Most rows in a list.
const LIST: i64 = 1000;

/// The content of an instance's row. Secrets are sealed for that row, so they are valid for its id only.
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
    /// After how many idle minutes it falls asleep, if its owner has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep_minutes: Option<i32>,
    pub created_at: Option<DateTime<Utc>>,
    /// Rows of `snapshots`: those kept beside the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Value>,
}

impl Manifest {
    /// From the instance's current row, without its snapshots.
    pub fn of(instance: &Instance, owner_email: Option<String>) -> Self {
        Self {
            version: VERSION,
            id: instance.id.clone(),
            name: Some(instance.name.clone()),
            owner_id: instance.owner_id,
            owner_email,
            gateway_token_sealed: instance.gateway_token_sealed.clone(),
            settings: instance.settings(),
            // Only this program writes them.
            pending_settings: instance.pending_settings.clone().and_then(|value| serde_json::from_value(value).ok()),
            image_id: instance.image_id.clone(),
            openclaw_version: instance.openclaw_version.clone(),
            disk_limit_bytes: instance.disk_limit_bytes,
            sleep_minutes: instance.sleep_minutes,
            created_at: Some(instance.created_at),
            snapshots: Vec::new(),
        }
    }

    /// For an instance of which only token and settings are known.
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
            sleep_minutes: None,
            created_at: None,
            snapshots: Vec::new(),
        }
    }

    /// Parses the output of [`Self::to_bytes`] for this id. `None`: it cannot be parsed.
    pub fn from_bytes(bytes: &[u8], id: &InstanceId) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|manifest: &Self| manifest.version == VERSION && manifest.id == *id)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// An instance that can be restored.
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
    /// The manifest, if it exists and can be parsed.
    pub fn manifest(&self) -> Option<Manifest> {
        self.manifest.clone().and_then(|value| serde_json::from_value(value).ok())
    }
}

type Boxed<'a> = recoverable_instances::BoxedQuery<'a, diesel::pg::Pg>;

/// Rows whose id has no instance.
fn listed<'a>() -> Boxed<'a> {
    let back = instances::table.filter(instances::id.eq(recoverable_instances::id));
    recoverable_instances::table.filter(diesel::dsl::not(exists(back))).into_boxed()
}

/// The deleted instances that a person can restore, newest first.
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

/// Everything that can be restored or is about to be removed, newest first, with the current e-mail of its owner.
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

/// A restorable instance, locked until the transaction ends, so that it is not purged in the meantime.
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
    // An owner restores what was deleted. For an unknown directory, an administrator names the owner.
    let may = |row: &Recoverable| match scope.owner() {
        Some(owner) => row.owner_id == Some(owner) && row.state == RecoverableState::Deleted,
        None => true,
    };
    // Checked after taking the lock, which a restore holds until the instance exists.
    let back = diesel::select(exists(instances::table.find(id))).get_result::<bool>(conn).await?;
    Ok(found.filter(|row| !back && may(row)))
}

/// Who gets a restored instance, and how.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    pub owner: UserId,
    pub name: &'a str,
    pub manifest: &'a Manifest,
    pub requested_by: Option<UserId>,
    pub request_id: Option<&'a str>,
}

/// Inserts the instance again, as it was, and the job that starts it. The caller holds the row's [`lock`].
///
/// Violating `instances_owner_name_unique` means that the owner has another instance of that name.
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
            instances::sleep_minutes.eq(manifest.sleep_minutes),
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

/// The manifest from an instance's current row, without its snapshots. `None`: there is no instance that somebody owns.
pub async fn manifest_of(conn: &mut Conn, id: &InstanceId) -> Result<Option<Manifest>, DbError> {
    let found: Option<Instance> =
        instances::table.find(id).select(Instance::as_select()).first(conn).await.optional()?;
    let Some(instance) = found else { return Ok(None) };
    let Some(owner) = instance.owner_id else { return Ok(None) };
    let email: Option<String> = users::table.find(owner).select(users::email).first(conn).await.optional()?;
    Ok(Some(Manifest::of(&instance, email)))
}

/// The e-mail addresses of these instances' owners, for their manifests.
pub async fn owner_emails<'a>(
    conn: &mut Conn,
    instances: impl IntoIterator<Item = &'a Instance>,
) -> Result<HashMap<UserId, String>, DbError> {
    let owners: HashSet<UserId> = instances.into_iter().filter_map(|instance| instance.owner_id).collect();
    let emails: Vec<(UserId, String)> =
        users::table.filter(users::id.eq_any(owners)).select((users::id, users::email)).load(conn).await?;
    Ok(emails.into_iter().collect())
}

/// Records that an instance's files are kept for `keep`. Call it before deleting the row, in the same transaction.
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

/// Records files that were found without a row. Already listed ones stay as they are.
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
    // An existing row belongs to an earlier life of the same instance.
    diesel::delete(recoverable_instances::table.find(id)).execute(conn).await?;
    diesel::insert_into(recoverable_instances::table)
        .values((recoverable_instances::id.eq(id), values))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a restore, with the files in place: inserts the rows of its snapshots and deletes the row here.
pub async fn settle(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    // The columns are named, so that newer ones get their default.
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

/// Requests the removal of the files and returns when that was first requested. `None`: there is no such row.
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

/// Instances whose files are to be removed because they expired or somebody requested it.
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

/// Decides to remove the files of one of [`to_purge`]. `None`: it is in use by an instance by now. Call it in a
/// transaction.
pub async fn begin_purge(conn: &mut Conn, id: &InstanceId) -> Result<Option<Recoverable>, DbError> {
    // A restore holds this lock until the instance exists.
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

/// Deletes the row of an instance whose files are gone.
pub async fn forget(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::delete(recoverable_instances::table.find(id)).execute(conn).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Image {
    #[diesel(sql_type = Text)]
    image: String,
}

/// Images of everything that can be restored, including snapshots: no other version may be able to read the state.
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

/// What is listed, with its state.
pub async fn states(conn: &mut Conn) -> Result<Vec<(InstanceId, RecoverableState)>, DbError> {
    Ok(recoverable_instances::table
        .select((recoverable_instances::id, recoverable_instances::state))
        .load(conn)
        .await?)
}

/// Those of these ids whose files are to be removed.
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

/// Those of these ids whose last known job removed them: a delete that succeeded, or a provision that failed or was
/// cancelled. Likewise for the warm pool.
///
/// An unknown id proves nothing: a database restored from an older dump lacks what came after it, and jobs are not kept
/// forever.
pub async fn shown_gone(conn: &mut Conn, ids: &[&InstanceId]) -> Result<HashSet<InstanceId>, DbError> {
    let gone: Vec<Shown> = diesel::sql_query(
        "SELECT asked.id FROM unnest($1) AS asked (id) CROSS JOIN LATERAL ( \
           SELECT kind, status FROM jobs WHERE jobs.instance_id = asked.id ORDER BY seq DESC LIMIT 1) AS last \
         WHERE (last.kind = 'delete' AND last.status = 'succeeded') \
            OR (last.kind = 'discard' AND last.status = 'succeeded') \
            OR (last.kind IN ('provision', 'warm_up') AND last.status IN ('failed', 'cancelled'))",
    )
    .bind::<Array<Text>, _>(ids)
    .load(conn)
    .await?;
    Ok(gone.into_iter().map(|row| row.id).collect())
}

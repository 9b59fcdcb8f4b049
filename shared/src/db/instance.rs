//! Instances.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::limits::{Usage, peak_of, usage_of};
use super::{
    Conn, DbError, Scope, escape_like, json,
    schema::{instances, ports, users},
};
use crate::{
    ids::{InstanceId, UserId},
    instance::{AiProvider, Channel, DesiredState, InstanceStatus},
    secret::SealContext,
    text::lower,
};

mod limits;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = instances, check_for_backend(diesel::pg::Pg))]
pub struct Instance {
    pub id: InstanceId,
    /// `None`: it is in the [warm pool](super::warm_pool) and belongs to nobody.
    pub owner_id: Option<UserId>,
    pub name: String,
    pub desired_state: DesiredState,
    pub status: InstanceStatus,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub channel: Channel,
    pub bot_token_sealed: Option<String>,
    pub ai_provider: AiProvider,
    pub api_key_sealed: Option<String>,
    pub gateway_token_sealed: String,
    pub memory_mb: i32,
    pub cpu_millis: i32,
    pub container_id: Option<String>,
    pub image_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub status_changed_at: DateTime<Utc>,
    /// Version of OpenClaw in the image.
    pub openclaw_version: Option<String>,
    /// Environment variables of the owner's: names, with sealed values.
    pub env: Value,
    /// An [`InstanceSettings`] that the container does not have yet.
    pub pending_settings: Option<Value>,
    /// Size of its files at the last measurement, in bytes.
    pub disk_bytes: Option<i64>,
    /// Maximum size of its files, in bytes. `None`: there is no limit.
    pub disk_limit_bytes: Option<i64>,
    /// Whether the owner was warned that little space is left.
    pub disk_warned: bool,
    /// Idle minutes after which it falls asleep. 0: never. `None`: as the setting says.
    pub sleep_minutes: Option<i32>,
    /// When it was stopped because it was idle. See [`is_asleep`](super::sleep::is_asleep).
    pub asleep_since: Option<DateTime<Utc>>,
    /// When its schedule wakes it.
    pub wake_at: Option<DateTime<Utc>>,
    pub woken_at: Option<DateTime<Utc>>,
    /// A [`WokenBy`](crate::sleep::WokenBy), or what a newer version wrote.
    pub woken_by: Option<String>,
}

/// The settings of an instance that its owner can change. Secrets are sealed for the instance's own columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSettings {
    pub memory_mb: i32,
    pub cpu_millis: i32,
    pub channel: Channel,
    pub bot_token_sealed: Option<String>,
    pub ai_provider: AiProvider,
    pub api_key_sealed: Option<String>,
    /// Environment variables by name.
    #[serde(default)]
    pub env_sealed: BTreeMap<String, String>,
}

/// A setting that only a newer version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the instance has a {0} that this version does not know; update ClawDeploy")]
pub struct UnknownSetting(&'static str);

impl Instance {
    /// The settings of the current container.
    pub fn settings(&self) -> InstanceSettings {
        InstanceSettings {
            memory_mb: self.memory_mb,
            cpu_millis: self.cpu_millis,
            channel: self.channel,
            bot_token_sealed: self.bot_token_sealed.clone(),
            ai_provider: self.ai_provider,
            api_key_sealed: self.api_key_sealed.clone(),
            // Only this program writes them.
            env_sealed: serde_json::from_value(self.env.clone()).unwrap_or_default(),
        }
    }

    /// Like [`Self::settings`], for making a container or a snapshot. Fails on settings of a newer version, which this
    /// one would drop.
    pub fn known_settings(&self) -> Result<InstanceSettings, UnknownSetting> {
        if self.channel == Channel::Unknown {
            return Err(UnknownSetting("chat channel"));
        }
        if self.ai_provider == AiProvider::Unknown {
            return Err(UnknownSetting("model provider"));
        }
        Ok(self.settings())
    }

    /// The settings that the owner wants.
    pub fn wanted_settings(&self) -> Result<InstanceSettings, serde_json::Error> {
        match &self.pending_settings {
            Some(pending) => serde_json::from_value(pending.clone()),
            None => Ok(self.settings()),
        }
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = instances)]
pub struct NewInstance<'a> {
    pub id: &'a InstanceId,
    pub owner_id: Option<UserId>,
    pub name: &'a str,
    pub desired_state: DesiredState,
    pub status: InstanceStatus,
    pub channel: Channel,
    pub bot_token_sealed: Option<String>,
    pub ai_provider: AiProvider,
    pub api_key_sealed: Option<String>,
    pub gateway_token_sealed: String,
    pub memory_mb: i32,
    pub cpu_millis: i32,
}

/// The seal context of each secret of an instance.
pub mod seal_context {
    use super::{InstanceId, SealContext};

    pub fn bot_token(id: &InstanceId) -> SealContext<'_> {
        SealContext { table: "instances", column: "bot_token", row: id.as_str() }
    }

    pub fn api_key(id: &InstanceId) -> SealContext<'_> {
        SealContext { table: "instances", column: "api_key", row: id.as_str() }
    }

    /// `column` comes from [`env_column`].
    pub fn env<'a>(id: &'a InstanceId, column: &'a str) -> SealContext<'a> {
        SealContext { table: "instances", column, row: id.as_str() }
    }

    /// An environment variable is sealed for its name as well.
    pub fn env_column(name: &str) -> String {
        format!("env.{name}")
    }

    pub fn gateway_token(id: &InstanceId) -> SealContext<'_> {
        SealContext { table: "instances", column: "gateway_token", row: id.as_str() }
    }
}

/// Adds an instance. Violating `instances_owner_name_unique` means that the owner already has one of that name.
pub async fn insert(conn: &mut Conn, instance: &NewInstance<'_>) -> Result<Instance, DbError> {
    Ok(diesel::insert_into(instances::table)
        .values(instance)
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?)
}

type Boxed<'a> = instances::BoxedQuery<'a, diesel::pg::Pg>;

/// The instances that a scope may see, as a query to extend. Nobody sees those that belong to nobody.
fn visible<'a>(scope: Scope) -> Boxed<'a> {
    let query = instances::table.into_boxed();
    match scope {
        Scope::Owner(owner) => query.filter(instances::owner_id.eq(owner)),
        Scope::Everything => query.filter(instances::owner_id.is_not_null()),
    }
}

/// An instance and its port, if the scope may see it.
pub async fn find(conn: &mut Conn, scope: Scope, id: &InstanceId) -> Result<Option<(Instance, Option<u16>)>, DbError> {
    let found =
        visible(scope).filter(instances::id.eq(id)).select(Instance::as_select()).first(conn).await.optional()?;
    with_port(conn, found).await
}

/// An instance and its port, for a job on it. It may belong to nobody.
pub async fn find_for_job(conn: &mut Conn, id: &InstanceId) -> Result<Option<(Instance, Option<u16>)>, DbError> {
    let found = instances::table.find(id).select(Instance::as_select()).first(conn).await.optional()?;
    with_port(conn, found).await
}

async fn with_port(conn: &mut Conn, instance: Option<Instance>) -> Result<Option<(Instance, Option<u16>)>, DbError> {
    let Some(instance) = instance else { return Ok(None) };
    let port = super::port::of(conn, &instance.id).await?;
    Ok(Some((instance, port)))
}

/// Like [`find`], but locks the row until the transaction ends.
pub async fn find_for_update(conn: &mut Conn, scope: Scope, id: &InstanceId) -> Result<Option<Instance>, DbError> {
    let sees = |of| scope.owner().is_none_or(|owner| owner == of);
    Ok(lock(conn, id).await?.filter(|instance| instance.owner_id.is_some_and(sees)))
}

/// Locks an instance until the transaction ends. It may belong to nobody.
pub async fn lock(conn: &mut Conn, id: &InstanceId) -> Result<Option<Instance>, DbError> {
    Ok(instances::table.find(id).for_update().select(Instance::as_select()).first(conn).await.optional()?)
}

/// Filter for a list of instances. By default all.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// Only those in one of these. Empty: any.
    pub statuses: Vec<InstanceStatus>,
    /// Only those with this in their name, id or owner's e-mail, ignoring case.
    pub text: Option<String>,
}

/// A page of instances created before `before` (time and id of the last one seen), newest first.
pub async fn list(
    conn: &mut Conn,
    scope: Scope,
    filter: &InstanceFilter,
    before: Option<(DateTime<Utc>, InstanceId)>,
    limit: i64,
) -> Result<Vec<(Instance, Option<u16>)>, DbError> {
    let mut query = visible(scope);
    if !filter.statuses.is_empty() {
        query = query.filter(instances::status.eq_any(&filter.statuses));
    }
    if let Some(text) = &filter.text {
        let anywhere = format!("%{}%", escape_like(text));
        let owners = users::table.filter(users::email.ilike(lower(&anywhere))).select(users::id.nullable());
        let named = instances::name.ilike(anywhere.clone()).or(instances::id.ilike(anywhere));
        query = query.filter(named.or(instances::owner_id.eq_any(owners)));
    }
    if let Some((created_at, id)) = before {
        query = query.filter(
            instances::created_at.lt(created_at).or(instances::created_at.eq(created_at).and(instances::id.lt(id))),
        );
    }
    let rows: Vec<Instance> = query
        .order((instances::created_at.desc(), instances::id.desc()))
        .limit(limit)
        .select(Instance::as_select())
        .load(conn)
        .await?;
    let ids: Vec<&InstanceId> = rows.iter().map(|row| &row.id).collect();
    let held: Vec<(Option<InstanceId>, i32)> = ports::table
        .filter(ports::instance_id.eq_any(ids))
        .select((ports::instance_id, ports::port))
        .load(conn)
        .await?;
    let held: std::collections::HashMap<_, _> = held.into_iter().collect();
    let port_of = |row: &Instance| held.get(&Some(row.id.clone())).and_then(|port| u16::try_from(*port).ok());
    Ok(rows
        .into_iter()
        .map(|row| {
            let port = port_of(&row);
            (row, port)
        })
        .collect())
}

/// The container ids of these instances. Missing: there is no row.
pub async fn containers(
    conn: &mut Conn,
    ids: &[&InstanceId],
) -> Result<std::collections::HashMap<InstanceId, Option<String>>, DbError> {
    let rows: Vec<(InstanceId, Option<String>)> = instances::table
        .filter(instances::id.eq_any(ids))
        .select((instances::id, instances::container_id))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// The names of these instances. Missing: there is no row.
pub async fn names(
    conn: &mut Conn,
    ids: &[&InstanceId],
) -> Result<std::collections::HashMap<InstanceId, String>, DbError> {
    let rows: Vec<(InstanceId, String)> =
        instances::table.filter(instances::id.eq_any(ids)).select((instances::id, instances::name)).load(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Renames an instance. Violating `instances_owner_name_unique` means that the owner already has one of that name.
pub async fn rename(conn: &mut Conn, id: &InstanceId, name: &str) -> Result<Instance, DbError> {
    Ok(diesel::update(instances::table.find(id))
        .set((instances::name.eq(name), instances::updated_at.eq(now)))
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?)
}

/// Sets the state that the owner wants. It no longer sleeps, whatever that is.
pub async fn set_desired_state(conn: &mut Conn, id: &InstanceId, desired: DesiredState) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((
            instances::desired_state.eq(desired),
            instances::asleep_since.eq(None::<DateTime<Utc>>),
            instances::wake_at.eq(None::<DateTime<Utc>>),
            instances::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Why an instance is in `error`.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    /// Stable code, `snake_case`.
    pub code: &'a str,
    /// What happened and what to do, for a person.
    pub message: &'a str,
}

/// Moves an instance to `status` if the move is legal. False: it is not, or the instance is gone. One that belongs to
/// nobody stays `pending`, also when its job fails.
///
/// `fault` is stored with status `error` and cleared with any other.
pub async fn set_status(
    conn: &mut Conn,
    id: &InstanceId,
    status: InstanceStatus,
    fault: Option<Fault<'_>>,
) -> Result<bool, DbError> {
    let may_move = instances::status.eq_any(status.predecessors()).and(instances::owner_id.is_not_null());
    let moved = diesel::update(instances::table.find(id).filter(may_move))
        .set((
            instances::status.eq(status),
            instances::error_code.eq(fault.map(|f| f.code)),
            instances::error_message.eq(fault.map(|f| f.message)),
            instances::updated_at.eq(now),
            instances::status_changed_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(moved > 0)
}

/// A container made for an instance.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    /// Docker's id of it.
    pub id: &'a str,
    /// Docker's id of its image.
    pub image: &'a str,
    /// Version of OpenClaw in that.
    pub version: Option<&'a str>,
}

/// Sets the container of an instance. `None`: it has none.
pub async fn set_container(conn: &mut Conn, id: &InstanceId, container: Option<Container<'_>>) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((
            instances::container_id.eq(container.map(|c| c.id)),
            instances::image_id.eq(container.map(|c| c.image)),
            instances::openclaw_version.eq(container.and_then(|c| c.version)),
            instances::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores settings that the owner wants and the container does not have yet. `None`: it has them all.
pub async fn set_pending(
    conn: &mut Conn,
    id: &InstanceId,
    settings: Option<&InstanceSettings>,
) -> Result<Instance, DbError> {
    let pending = settings.map(json).transpose()?;
    Ok(diesel::update(instances::table.find(id))
        .set((instances::pending_settings.eq(pending), instances::updated_at.eq(now)))
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?)
}

/// Clears the pending `settings`, unless others are pending by now.
pub async fn clear_pending(conn: &mut Conn, id: &InstanceId, settings: &Value) -> Result<(), DbError> {
    diesel::update(instances::table.find(id).filter(instances::pending_settings.eq(settings)))
        .set((instances::pending_settings.eq(None::<Value>), instances::updated_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes `settings` pending again, unless others are pending already.
pub async fn pend_again(conn: &mut Conn, id: &InstanceId, settings: &Value) -> Result<(), DbError> {
    diesel::update(instances::table.find(id).filter(instances::pending_settings.is_null()))
        .set((instances::pending_settings.eq(settings), instances::updated_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Changes the settings of an instance without a container. The first one is made with them.
pub async fn set_settings(conn: &mut Conn, id: &InstanceId, settings: &InstanceSettings) -> Result<Instance, DbError> {
    Ok(diesel::update(instances::table.find(id))
        .set((
            instances::memory_mb.eq(settings.memory_mb),
            instances::cpu_millis.eq(settings.cpu_millis),
            instances::channel.eq(settings.channel),
            instances::bot_token_sealed.eq(&settings.bot_token_sealed),
            instances::ai_provider.eq(settings.ai_provider),
            instances::api_key_sealed.eq(&settings.api_key_sealed),
            instances::env.eq(json(&settings.env_sealed)?),
            instances::pending_settings.eq(None::<Value>),
            instances::updated_at.eq(now),
        ))
        .returning(Instance::as_returning())
        .get_result(conn)
        .await?)
}

/// Sets the image and the settings for the next container.
pub async fn set_container_source(
    conn: &mut Conn,
    id: &InstanceId,
    image_id: &str,
    version: Option<&str>,
    settings: &InstanceSettings,
) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((
            instances::image_id.eq(image_id),
            instances::openclaw_version.eq(version),
            instances::memory_mb.eq(settings.memory_mb),
            instances::cpu_millis.eq(settings.cpu_millis),
            instances::channel.eq(settings.channel),
            instances::bot_token_sealed.eq(&settings.bot_token_sealed),
            instances::ai_provider.eq(settings.ai_provider),
            instances::api_key_sealed.eq(&settings.api_key_sealed),
            instances::env.eq(json(&settings.env_sealed)?),
            instances::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Images that containers are made from.
pub async fn images_in_use(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let images: Vec<Option<String>> = instances::table
        .filter(instances::image_id.is_not_null())
        .select(instances::image_id)
        .distinct()
        .load(conn)
        .await?;
    Ok(images.into_iter().flatten().collect())
}

/// Deletes an instance and frees its port.
pub async fn delete(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::delete(instances::table.find(id)).execute(conn).await?;
    Ok(())
}

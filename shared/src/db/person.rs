//! People as administrators see and change them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::{BigInt, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Conn, DbError,
    schema::users,
    user::{Quotas, Role, User},
};
use crate::ids::UserId;

/// A person as administrators see them.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    #[serde(flatten)]
    pub user: User,
    /// Instances that the person has.
    pub instances: i64,
    /// Until when an invitation can be accepted; null: there is none.
    pub invited_until: Option<DateTime<Utc>>,
    /// When the person was seen last, by a browser, by a token, or in the audit log.
    pub last_seen_at: Option<DateTime<Utc>>,
}

type Row = (User, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

const INSTANCES: &str = "(SELECT count(*) FROM instances WHERE owner_id = users.id)";
const INVITED: &str = "(SELECT expires_at FROM invitations WHERE user_id = users.id AND expires_at > now())";
/// Sessions are deleted when they end, but the audit log stays.
const SEEN: &str = "greatest((SELECT max(last_seen_at) FROM sessions WHERE user_id = users.id), \
                    (SELECT max(last_used_at) FROM api_tokens WHERE user_id = users.id), \
                    (SELECT at FROM audit WHERE actor_id = users.id ORDER BY id DESC LIMIT 1))";

fn person((user, instances, invited_until, last_seen_at): Row) -> Person {
    Person { user, instances, invited_until, last_seen_at }
}

/// A page of people before `before`, newest first.
pub async fn list(conn: &mut Conn, before: Option<UserId>, limit: i64) -> Result<Vec<Person>, DbError> {
    // A role that only a newer version knows gives no rights here and must not hide the other people.
    let mut query = users::table.filter(users::role.eq_any(Role::ALL)).into_boxed();
    if let Some(id) = before {
        query = query.filter(users::id.lt(id));
    }
    let rows: Vec<Row> = query
        .order(users::id.desc())
        .limit(limit)
        .select((
            User::as_select(),
            sql::<BigInt>(INSTANCES),
            sql::<Nullable<Timestamptz>>(INVITED),
            sql::<Nullable<Timestamptz>>(SEEN),
        ))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(person).collect())
}

pub async fn find(conn: &mut Conn, id: UserId) -> Result<Option<Person>, DbError> {
    let row = users::table.find(id).select((
        User::as_select(),
        sql::<BigInt>(INSTANCES),
        sql::<Nullable<Timestamptz>>(INVITED),
        sql::<Nullable<Timestamptz>>(SEEN),
    ));
    Ok(row.first(conn).await.optional()?.map(person))
}

/// The person, with the row locked until the transaction ends, together with every administrator's row: two
/// administrators who revoke each other's rights run one after the other.
pub async fn find_for_update(conn: &mut Conn, id: UserId) -> Result<Option<User>, DbError> {
    let locked = users::table.filter(users::id.eq(id).or(users::role.eq(Role::Admin))).order(users::id);
    let rows: Vec<User> = locked.for_no_key_update().select(User::as_select()).load(conn).await?;
    Ok(rows.into_iter().find(|user| user.id == id))
}

/// Whether another administrator may sign in.
pub async fn has_other_admin(conn: &mut Conn, but: UserId) -> Result<bool, DbError> {
    let others = users::table
        .filter(users::role.eq(Role::Admin))
        .filter(users::suspended_at.is_null())
        .filter(users::id.ne(but));
    Ok(diesel::select(diesel::dsl::exists(others)).get_result(conn).await?)
}

/// What to change. `None` keeps the value.
#[derive(Debug, Default)]
pub struct Change<'a> {
    pub name: Option<&'a str>,
    pub role: Option<Role>,
    pub suspended: Option<bool>,
    pub quotas: Option<Quotas>,
}

pub async fn change(conn: &mut Conn, id: UserId, change: &Change<'_>) -> Result<(), DbError> {
    let target = || users::table.find(id);
    if let Some(name) = change.name {
        diesel::update(target()).set(users::name.eq(name)).execute(conn).await?;
    }
    if let Some(role) = change.role {
        diesel::update(target()).set(users::role.eq(role)).execute(conn).await?;
    }
    match change.suspended {
        Some(true) => {
            let active = target().filter(users::suspended_at.is_null());
            diesel::update(active).set(users::suspended_at.eq(now)).execute(conn).await?;
        }
        Some(false) => {
            diesel::update(target()).set(users::suspended_at.eq(None::<DateTime<Utc>>)).execute(conn).await?;
        }
        None => {}
    }
    if let Some(quotas) = &change.quotas {
        let set = (
            users::max_instances.eq(quotas.instances),
            users::max_memory_mb.eq(quotas.memory_mb),
            users::max_cpu_millis.eq(quotas.cpu_millis),
            users::max_terminals.eq(quotas.terminals),
        );
        diesel::update(target()).set(set).execute(conn).await?;
    }
    Ok(())
}

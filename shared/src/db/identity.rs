//! Who a person is at a provider of identities: found by issuer and subject, never by an e-mail alone.

use diesel::{dsl::now, prelude::*};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{identities, users},
    user::User,
};
use crate::ids::UserId;

/// The person of an identity, suspended or not; notes that it was used, at most once a minute.
pub async fn find(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<User>, DbError> {
    let found = identities::table
        .inner_join(users::table)
        .filter(identities::issuer.eq(issuer).and(identities::subject.eq(subject)))
        .select((
            diesel::dsl::sql::<diesel::sql_types::Bool>("last_used_at < now() - interval '1 minute'"),
            User::as_select(),
        ))
        .first::<(bool, User)>(conn)
        .await
        .optional()?;
    let Some((note_use, user)) = found else { return Ok(None) };
    if note_use {
        let target = identities::table.find((issuer, subject));
        diesel::update(target).set(identities::last_used_at.eq(now)).execute(conn).await?;
    }
    Ok(Some(user))
}

/// Notes whose identity this is; false: it is somebody's already.
pub async fn add(conn: &mut Conn, issuer: &str, subject: &str, user: UserId) -> Result<bool, DbError> {
    let values = (identities::issuer.eq(issuer), identities::subject.eq(subject), identities::user_id.eq(user));
    let added = diesel::insert_into(identities::table).values(values).on_conflict_do_nothing();
    Ok(added.execute(conn).await? > 0)
}

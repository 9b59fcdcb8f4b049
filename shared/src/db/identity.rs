//! Links people to identities of an identity provider. They are found by issuer and subject, never by e-mail alone.

use diesel::{dsl::now, prelude::*};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{identities, users},
    user::User,
};
use crate::ids::UserId;

/// The person with this identity, even if suspended. Records its use at most once a minute.
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

/// Links an identity to a person. False: it is already linked.
pub async fn add(conn: &mut Conn, issuer: &str, subject: &str, user: UserId) -> Result<bool, DbError> {
    let values = (identities::issuer.eq(issuer), identities::subject.eq(subject), identities::user_id.eq(user));
    let added = diesel::insert_into(identities::table).values(values).on_conflict_do_nothing();
    Ok(added.execute(conn).await? > 0)
}

//! People.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::users};
use crate::{ids::UserId, text::email_key, text_enum};

text_enum!(
    /// What a person may do.
    Role {
        /// Own instances only.
        User = "user",
        /// The platform as well.
        Admin = "admin",
    }
);

/// Matches no password: such an account can only be used by tokens until an invitation is accepted.
pub const NO_PASSWORD: &str = "!";

/// What a person may have; null: what the installation allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    #[diesel(column_name = max_instances)]
    pub instances: Option<i32>,
    /// Of all instances together, in MiB.
    #[diesel(column_name = max_memory_mb)]
    pub memory_mb: Option<i32>,
    /// Of all instances together, in thousandths of a core.
    #[diesel(column_name = max_cpu_millis)]
    pub cpu_millis: Option<i32>,
    /// Open at once.
    #[diesel(column_name = max_terminals)]
    pub terminals: Option<i32>,
}

/// A person, without the password.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub suspended_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Since when signing in needs a code of an authenticator app; null: it does not.
    pub totp_confirmed_at: Option<DateTime<Utc>>,
    #[diesel(embed)]
    pub quotas: Quotas,
}

#[derive(Debug, Clone, Copy, Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    pub name: &'a str,
    pub password_hash: &'a str,
    pub role: Role,
}

diesel::define_sql_function! {
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Adds a person, with the e-mail in its normal form. Violating `users_email_unique` means that it is taken.
pub async fn insert(conn: &mut Conn, user: &NewUser<'_>) -> Result<User, DbError> {
    let email = email_key(user.email);
    if let Some(stored) = stored_otherwise(conn, &email).await? {
        // From now on the constraint covers it.
        let old = users::table.filter(users::email.eq(stored));
        diesel::update(old).set(users::email.eq(&email)).execute(conn).await?;
    }
    let user = NewUser { email: &email, ..*user };
    Ok(diesel::insert_into(users::table).values(user).returning(User::as_returning()).get_result(conn).await?)
}

/// The person with this e-mail, however it is typed, and the password hash.
pub async fn find_by_email(conn: &mut Conn, email: &str) -> Result<Option<(User, String)>, DbError> {
    let email = email_key(email);
    // The normal form is in lower case for every locale of the database.
    let found: Option<(User, String)> = users::table
        .filter(lower(users::email).eq(&email))
        .select((User::as_select(), users::password_hash))
        .first(conn)
        .await
        .optional()?;
    // The database may consider two letters equal that differ to us.
    if found.as_ref().is_some_and(|(user, _)| email_key(&user.email) == email) {
        return Ok(found);
    }
    let Some(stored) = stored_otherwise(conn, &email).await? else { return Ok(None) };
    let row = users::table.filter(users::email.eq(stored)).select((User::as_select(), users::password_hash));
    Ok(row.first(conn).await.optional()?)
}

/// The stored e-mail of an account from before the normal form, if it differs. Only e-mails with letters beyond ASCII
/// can; the index `users_email_beyond_ascii` has them all.
async fn stored_otherwise(conn: &mut Conn, email: &str) -> Result<Option<String>, DbError> {
    if email.is_ascii() && !email.contains("xn--") {
        return Ok(None);
    }
    let beyond_ascii = diesel::dsl::sql::<diesel::sql_types::Bool>("octet_length(email) <> length(email)");
    let stored: Vec<String> =
        users::table.filter(beyond_ascii).order(users::email).select(users::email).load(conn).await?;
    Ok(stored.into_iter().find(|stored| stored != email && email_key(stored) == email))
}

/// Locks a person's row until the transaction ends, so that what is counted for that person does not change.
pub async fn lock(conn: &mut Conn, id: UserId) -> Result<User, DbError> {
    // Not `FOR UPDATE`, which would also wait for everything that only refers to the row.
    Ok(users::table.find(id).for_no_key_update().select(User::as_select()).first(conn).await?)
}

/// The hash of this person's password.
pub async fn password_hash(conn: &mut Conn, id: UserId) -> Result<String, DbError> {
    Ok(users::table.find(id).select(users::password_hash).first(conn).await?)
}

/// The e-mails of some people.
pub async fn emails(conn: &mut Conn, ids: &[UserId]) -> Result<HashMap<UserId, String>, DbError> {
    let rows: Vec<(UserId, String)> =
        users::table.filter(users::id.eq_any(ids)).select((users::id, users::email)).load(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Sets a new password.
pub async fn set_password(conn: &mut Conn, id: UserId, password_hash: &str) -> Result<(), DbError> {
    diesel::update(users::table.find(id)).set(users::password_hash.eq(password_hash)).execute(conn).await?;
    Ok(())
}

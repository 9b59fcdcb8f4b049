//! People.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::users};
use crate::{ids::UserId, text_enum};

text_enum!(
    /// What a person may do.
    Role {
        /// Own instances only.
        User = "user",
        /// The platform as well.
        Admin = "admin",
    }
);

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
}

#[derive(Debug, Insertable)]
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

/// Adds a person; the constraint `users_email_unique` tells that the e-mail is taken.
pub async fn insert(conn: &mut Conn, user: &NewUser<'_>) -> Result<User, DbError> {
    Ok(diesel::insert_into(users::table).values(user).returning(User::as_returning()).get_result(conn).await?)
}

/// The person with this e-mail, and the hash of the password.
pub async fn find_by_email(conn: &mut Conn, email: &str) -> Result<Option<(User, String)>, DbError> {
    Ok(users::table
        .filter(lower(users::email).eq(email.to_lowercase()))
        .select((User::as_select(), users::password_hash))
        .first(conn)
        .await
        .optional()?)
}

/// Locks a person's row until the transaction ends, so that what is counted for that person stays so.
pub async fn lock(conn: &mut Conn, id: UserId) -> Result<(), DbError> {
    // Not `FOR UPDATE`: that would also wait for everything that merely refers to the row.
    users::table.find(id).for_no_key_update().select(users::id).first::<UserId>(conn).await?;
    Ok(())
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

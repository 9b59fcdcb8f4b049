//! The Postgres server itself.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Int4, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError};

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Server {
    /// Such as 150003 for 15.3.
    #[diesel(sql_type = Int4)]
    pub version_number: i32,
    /// For people.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// Connections for everybody but superusers.
    #[diesel(sql_type = Int4)]
    pub connections: i32,
    /// It follows another server and refuses writes.
    #[diesel(sql_type = Bool)]
    pub read_only: bool,
    #[diesel(sql_type = Timestamptz)]
    pub clock: DateTime<Utc>,
}

pub async fn ask(conn: &mut Conn) -> Result<Server, DbError> {
    Ok(diesel::sql_query(
        "SELECT current_setting('server_version_num')::int AS version_number, \
           current_setting('server_version') AS version, \
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections, \
           pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS read_only, \
           clock_timestamp() AS clock",
    )
    .get_result(conn)
    .await?)
}

//! Instances that should have a container, as a sweep compares them with the engine.

use diesel::{
    QueryableByName,
    sql_types::{Array, Int4, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError};
use crate::{ids::InstanceId, instance::InstanceStatus};

/// The columns of an instance that a container can contradict.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct WatchedInstance {
    #[diesel(sql_type = Text)]
    pub id: InstanceId,
    #[diesel(sql_type = Text)]
    pub status: InstanceStatus,
    #[diesel(sql_type = Nullable<Text>)]
    pub error_code: Option<String>,
    #[diesel(sql_type = Text)]
    pub container_id: String,
    #[diesel(sql_type = Nullable<Int4>)]
    port: Option<i32>,
}

impl WatchedInstance {
    pub fn new(
        id: InstanceId,
        status: InstanceStatus,
        error_code: Option<&str>,
        container_id: impl Into<String>,
        port: Option<u16>,
    ) -> Self {
        let error_code = error_code.map(str::to_owned);
        Self { id, status, error_code, container_id: container_id.into(), port: port.map(i32::from) }
    }

    /// Host port of its gateway.
    pub fn port(&self) -> Option<u16> {
        self.port.and_then(|port| u16::try_from(port).ok())
    }
}

/// Every instance in one of these statuses whose row names a container, without those that have an open job or a stuck
/// change.
pub async fn list(conn: &mut Conn, statuses: &[InstanceStatus]) -> Result<Vec<WatchedInstance>, DbError> {
    // The literals let every plan use the partial indexes.
    Ok(diesel::sql_query(
        "SELECT i.id, i.status, i.error_code, i.container_id, p.port \
         FROM instances i LEFT JOIN ports p ON p.instance_id = i.id \
         WHERE i.status = ANY($1) AND i.container_id IS NOT NULL \
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.instance_id = i.id AND j.status IN ('queued', 'running')) \
           AND NOT EXISTS (SELECT FROM snapshots s WHERE s.instance_id = i.id AND s.stuck_at IS NOT NULL)",
    )
    .bind::<Array<Text>, _>(statuses)
    .load(conn)
    .await?)
}

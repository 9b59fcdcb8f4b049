//! The identity of the installation: the data directory and the Docker engine that belong to this database.
//!
//! A worker compares it with its own settings (`worker/src/identity.rs`). The row is created without a directory. A
//! directory is bound in a transaction that locks the row, so that one of two workers that start at once decides.

use diesel::{dsl::now, prelude::*, sql_types};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{installation, instances},
};
use crate::{
    ids::{DataDirId, InstallationId, InstanceId},
    text_enum,
};

text_enum!(
    /// Why a worker stands by.
    StandbyCode {
        /// The directory and the database belong to different installations.
        WrongDatabase = "wrong_database",
        /// The installation uses another directory.
        WrongDataDir = "wrong_data_dir",
        /// The installation uses another engine.
        WrongEngine = "wrong_engine",
        /// The directory's identity cannot be read.
        DataDirUnreadable = "data_dir_unreadable",
    }
);

/// What belongs to this database.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = installation, check_for_backend(diesel::pg::Pg))]
pub struct Installation {
    pub id: InstallationId,
    /// `None`: no directory was bound to it yet.
    pub data_dir: Option<DataDirId>,
    /// `None`: no engine has answered yet.
    pub engine: Option<String>,
}

#[derive(QueryableByName)]
struct Yes {
    #[diesel(sql_type = sql_types::Bool)]
    yes: bool,
}

/// The row, if it exists.
pub async fn find(conn: &mut Conn) -> Result<Option<Installation>, DbError> {
    Ok(installation::table.select(Installation::as_select()).first(conn).await.optional()?)
}

/// Whether the table exists. It does not before the schema is migrated.
pub async fn has_table(conn: &mut Conn) -> Result<bool, DbError> {
    let sql = "SELECT to_regclass('public.installation') IS NOT NULL AS yes";
    Ok(diesel::sql_query(sql).get_result::<Yes>(conn).await?.yes)
}

/// Creates the row if it does not exist.
pub async fn ensure(conn: &mut Conn) -> Result<(), DbError> {
    diesel::insert_into(installation::table)
        .values(installation::id.eq(InstallationId(uuid::Uuid::new_v4())))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// The row, locked until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<Installation, DbError> {
    Ok(installation::table.select(Installation::as_select()).for_update().first(conn).await?)
}

/// Binds a data directory. The caller holds the row's lock.
pub async fn bind_data_dir(conn: &mut Conn, data_dir: DataDirId) -> Result<(), DbError> {
    diesel::update(installation::table).set(installation::data_dir.eq(data_dir)).execute(conn).await?;
    Ok(())
}

/// Binds an engine, if none is bound yet.
pub async fn bind_engine(conn: &mut Conn, engine: &str) -> Result<(), DbError> {
    diesel::update(installation::table.filter(installation::engine.is_null()))
        .set(installation::engine.eq(engine))
        .execute(conn)
        .await?;
    Ok(())
}

/// Replaces the bound directory and engine. The caller holds the row's lock.
pub async fn adopt(conn: &mut Conn, data_dir: DataDirId, engine: &str) -> Result<(), DbError> {
    diesel::update(installation::table)
        .set((installation::data_dir.eq(data_dir), installation::engine.eq(engine), installation::adopted_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many instances the database has.
pub async fn count_instances(conn: &mut Conn) -> Result<i64, DbError> {
    Ok(instances::table.count().get_result(conn).await?)
}

/// Whether the database has an instance that had a container, so its files must be somewhere.
pub async fn has_files_somewhere(conn: &mut Conn) -> Result<bool, DbError> {
    let with = instances::table.filter(instances::container_id.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(with)).get_result(conn).await?)
}

/// Those of these instances that are in the database.
pub async fn known_among(conn: &mut Conn, ids: &[InstanceId]) -> Result<Vec<InstanceId>, DbError> {
    Ok(instances::table.filter(instances::id.eq_any(ids)).select(instances::id).load(conn).await?)
}

/// The instances of a database whose schema may be of any version or missing.
pub async fn known_of_any_version(conn: &mut Conn) -> Result<Vec<InstanceId>, DbError> {
    let sql = "SELECT to_regclass('public.instances') IS NOT NULL AS yes";
    if !diesel::sql_query(sql).get_result::<Yes>(conn).await?.yes {
        return Ok(Vec::new());
    }
    Ok(instances::table.select(instances::id).load(conn).await?)
}

/// At most `limit` instances that should have files but are not among `ids`.
pub async fn without_directory(conn: &mut Conn, ids: &[InstanceId], limit: i64) -> Result<Vec<InstanceId>, DbError> {
    Ok(instances::table
        .filter(instances::id.ne_all(ids))
        .order(instances::id)
        .select(instances::id)
        .limit(limit)
        .load(conn)
        .await?)
}

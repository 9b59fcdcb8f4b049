//! Admits instances by the memory of the host. Checked in the transaction that makes the change, one at a time over all
//! API processes, so that the host's memory is never promised twice.

use clawdeploy_shared::{
    capacity::CapacityArgs,
    db::{Conn, DbError, host, instance::Instance, snapshot::Snapshot},
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
};

use crate::{
    controllers::instances::MEMORY_MB,
    error::{AppError, AppResult, ErrorCode, FieldError},
};

/// Refuses a new instance for which the host has no memory left.
pub async fn check_new(conn: &mut Conn, args: &CapacityArgs, memory_mb: i32) -> AppResult<()> {
    admit(conn, args, memory_mb, None).await.map_err(on_field)
}

/// Refuses to bring back a deleted instance for which the host has no memory left.
pub async fn check_restored(conn: &mut Conn, args: &CapacityArgs, memory_mb: i32) -> AppResult<()> {
    Ok(admit(conn, args, memory_mb, None).await?)
}

/// Refuses the start of an instance for which the host has no memory left.
pub async fn check_start(conn: &mut Conn, args: &CapacityArgs, instance: &Instance) -> AppResult<()> {
    if counts(instance) {
        return Ok(());
    }
    let settings = instance.wanted_settings().map_err(AppError::internal)?;
    Ok(admit(conn, args, settings.memory_mb, Some(&instance.id)).await?)
}

/// Refuses a new limit of an instance that runs if the host does not have that much memory left. One that is stopped is
/// admitted when it is started.
pub async fn check_more(conn: &mut Conn, args: &CapacityArgs, instance: &Instance, memory_mb: i32) -> AppResult<()> {
    admit_more(conn, args, instance, memory_mb).await.map_err(on_field)
}

/// Refuses a rollback if the limit that it restores is more memory than the host has left.
pub async fn check_rollback(
    conn: &mut Conn,
    args: &CapacityArgs,
    instance: &Instance,
    kept: &Snapshot,
) -> AppResult<()> {
    let then = kept.from_settings().map_err(AppError::internal)?;
    Ok(admit_more(conn, args, instance, then.memory_mb).await?)
}

/// Whether an instance's memory is promised, as in `promised_memory_mb` of the database.
fn counts(instance: &Instance) -> bool {
    use InstanceStatus::{Deleting, Provisioning, Running, Starting, Stopping, Updating};
    instance.desired_state == DesiredState::Running
        || matches!(instance.status, Provisioning | Starting | Running | Stopping | Updating | Deleting)
}

/// Why an instance was not admitted.
#[derive(Debug)]
enum Refusal {
    Full { free_mb: i64, memory_mb: i32 },
    Db(DbError),
}

/// The host has no memory left for an instance.
pub fn full(free_mb: i64, memory_mb: i32) -> AppError {
    Refusal::Full { free_mb, memory_mb }.into()
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        let (free_mb, memory_mb) = match refusal {
            Refusal::Full { free_mb, memory_mb } => (free_mb, memory_mb),
            Refusal::Db(error) => return error.into(),
        };
        let less = if free_mb >= i64::from(MEMORY_MB.0) { "choose less memory, " } else { "" };
        let detail = format!(
            "The server has {free_mb} MiB of memory left for running instances, and this one needs {memory_mb} MiB. \
             Stop an instance that you do not need, {less}or ask an administrator for more room."
        );
        Self::new(ErrorCode::HostFull, detail)
    }
}

/// The same for a request that says how much memory it wants.
fn on_field(refusal: Refusal) -> AppError {
    let most = match &refusal {
        Refusal::Full { free_mb, .. } => *free_mb,
        Refusal::Db(_) => return refusal.into(),
    };
    let field = FieldError::new("memoryMb", "host_full", "is more than the server has left").with_most(most);
    AppError::from(refusal).with_field_error(field)
}

/// Whether an instance that runs may have this much memory.
async fn admit_more(conn: &mut Conn, args: &CapacityArgs, instance: &Instance, memory_mb: i32) -> Result<(), Refusal> {
    // Settings that cannot be read are a newer version's; then the current limit is what is known.
    let has = instance.wanted_settings().map_or(instance.memory_mb, |wanted| wanted.memory_mb);
    if !counts(instance) || memory_mb <= has {
        return Ok(());
    }
    admit(conn, args, memory_mb, Some(&instance.id)).await
}

/// Whether the host has this much memory beside all instances but `of`.
async fn admit(conn: &mut Conn, args: &CapacityArgs, memory_mb: i32, of: Option<&InstanceId>) -> Result<(), Refusal> {
    match host::lacks(conn, args, memory_mb, of).await? {
        Some(free_mb) => Err(Refusal::Full { free_mb, memory_mb }),
        None => Ok(()),
    }
}

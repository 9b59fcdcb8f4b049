//! Quotas. They are checked in the transaction that makes the change, with the owner's row locked.

use clap::Args;
use clawdeploy_shared::{
    db::{
        Conn, instance,
        instance::Instance,
        snapshot::Snapshot,
        user::{self, Role, User},
    },
    ids::InstanceId,
};

use crate::error::{AppError, AppResult, ErrorCode, FieldError};

/// Quotas of people who have none of their own. They do not apply to administrators.
#[derive(Debug, Clone, Args)]
pub struct QuotaArgs {
    /// Maximum number of instances per person; administrators have no limit
    #[arg(long, env = "CLAWDEPLOY_MAX_INSTANCES_PER_USER", default_value_t = 20)]
    pub max_instances_per_user: u32,

    /// Maximum total memory limit of one person's instances, in MiB
    #[arg(long, env = "CLAWDEPLOY_MAX_MEMORY_MB_PER_USER")]
    pub max_memory_mb_per_user: Option<u32>,

    /// Maximum total CPU limit of one person's instances, in thousandths of a core
    #[arg(long, env = "CLAWDEPLOY_MAX_CPU_MILLIS_PER_USER")]
    pub max_cpu_millis_per_user: Option<u32>,
}

/// The limits that an instance is to have.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub memory_mb: i32,
    pub cpu_millis: i32,
}

/// Refuses a new instance or, with `of`, new limits of an instance if they exceed the owner's quota. The caller holds
/// the lock on the owner's row.
pub async fn check(
    conn: &mut Conn,
    all: &QuotaArgs,
    owner: &User,
    wanted: Wanted,
    of: Option<&InstanceId>,
) -> AppResult<()> {
    let usual = |limit: Option<u32>| limit.filter(|_| owner.role != Role::Admin).map(i64::from);
    let own = |limit: Option<i32>| limit.map(i64::from);
    let used = instance::usage_of(conn, owner.id, of).await?;
    let instances = own(owner.quotas.instances).or(usual(Some(all.max_instances_per_user)));
    if let Some(limit) = instances.filter(|limit| of.is_none() && used.instances >= *limit) {
        let detail = format!(
            "You have {} instances; the limit is {limit} per account. Delete one first; an instance counts until its \
             deletion has finished.",
            used.instances
        );
        return Err(AppError::new(ErrorCode::InstanceLimit, detail));
    }
    let memory = own(owner.quotas.memory_mb).or(usual(all.max_memory_mb_per_user));
    within("memoryMb", "MiB of memory", memory, used.memory_mb, wanted.memory_mb)?;
    let cpu = own(owner.quotas.cpu_millis).or(usual(all.max_cpu_millis_per_user));
    within("cpuMillis", "thousandths of a core", cpu, used.cpu_millis, wanted.cpu_millis)
}

/// Refuses a rollback if the limits that it restores exceed the owner's current quota. Locks the owner's row.
pub async fn check_rollback(conn: &mut Conn, all: &QuotaArgs, instance: &Instance, kept: &Snapshot) -> AppResult<()> {
    let owner = instance.owner_id.ok_or_else(|| AppError::not_found("instance"))?;
    let owner = user::lock(conn, owner).await?;
    let then = kept.from_settings().map_err(AppError::internal)?;
    let counted = instance::peak_of(conn, &instance.id).await?;
    if i64::from(then.memory_mb) <= counted.memory_mb && i64::from(then.cpu_millis) <= counted.cpu_millis {
        return Ok(());
    }
    let most = |then: i32, counted: i64| then.max(i32::try_from(counted).unwrap_or(i32::MAX));
    let wanted = Wanted {
        memory_mb: most(then.memory_mb, counted.memory_mb),
        cpu_millis: most(then.cpu_millis, counted.cpu_millis),
    };
    check(conn, all, &owner, wanted, Some(&instance.id)).await
}

fn within(field: &'static str, unit: &str, limit: Option<i64>, used: i64, wanted: i32) -> AppResult<()> {
    let Some(limit) = limit.filter(|limit| used + i64::from(wanted) > *limit) else { return Ok(()) };
    let left = (limit - used).max(0);
    let detail = format!(
        "The instances of one account may have {limit} {unit} in total. The others have {used}, which leaves {left} for this one."
    );
    let field = FieldError::new(field, "quota_exceeded", "exceeds the remaining quota").with_most(left);
    Err(AppError::new(ErrorCode::QuotaExceeded, detail).with_field_error(field))
}

//! The states of an instance: what its owner wants, what is so, and which moves are legal.

use crate::text_enum;

/// Memory limit of an instance whose owner does not say, in MiB.
pub const DEFAULT_MEMORY_MB: i32 = 2048;

/// CPU limit of an instance whose owner does not say, in thousandths of a core.
pub const DEFAULT_CPU_MILLIS: i32 = 1000;

text_enum!(
    /// The state that the owner wants.
    DesiredState {
        Running = "running",
        Stopped = "stopped",
        Deleted = "deleted",
    } else Unknown
);

text_enum!(
    /// The actual status. `running` means that the gateway answers its readiness endpoint, not that a container exists.
    InstanceStatus {
        /// Accepted; no worker has begun.
        Pending = "pending",
        Provisioning = "provisioning",
        Running = "running",
        Stopping = "stopping",
        Stopped = "stopped",
        Starting = "starting",
        Updating = "updating",
        Deleting = "deleting",
        /// Something went wrong; the row's error says what.
        Error = "error",
    } else Unknown
);

text_enum!(
    /// Chat channel that is configured at creation.
    Channel {
        None = "none",
        Telegram = "telegram",
        Discord = "discord",
    } else Unknown
);

text_enum!(
    /// Model provider that is configured at creation.
    AiProvider {
        None = "none",
        Anthropic = "anthropic",
        Openai = "openai",
        Gemini = "gemini",
        Openrouter = "openrouter",
    } else Unknown
);

impl InstanceStatus {
    /// Whether an instance may move from `self` to `next`. Staying is always legal, because a step may run twice.
    pub fn may_become(self, next: Self) -> bool {
        use InstanceStatus::{
            Deleting, Error, Pending, Provisioning, Running, Starting, Stopped, Stopping, Unknown, Updating,
        };
        if self == next {
            return true;
        }
        match self {
            Pending => matches!(next, Provisioning | Deleting | Error),
            // A cancelled or failed provision leaves only the row, in error.
            Provisioning => matches!(next, Running | Deleting | Error),
            Running => matches!(next, Stopping | Starting | Updating | Deleting | Stopped | Error),
            // A cancelled stop returns to the previous status.
            Stopping => matches!(next, Stopped | Running | Starting | Deleting | Error),
            Stopped => matches!(next, Starting | Updating | Deleting | Running | Error),
            // A gateway that keeps exiting and restarting may be stopped.
            Starting => matches!(next, Running | Stopping | Stopped | Updating | Deleting | Error),
            Updating => matches!(next, Running | Starting | Stopped | Deleting | Error),
            Deleting => matches!(next, Error),
            Error => matches!(next, Provisioning | Starting | Stopping | Stopped | Running | Updating | Deleting),
            // A newer version set it, and only a newer version knows the legal moves.
            Unknown => false,
        }
    }

    /// Statuses from which `self` can be reached, for guarding an UPDATE.
    pub fn predecessors(self) -> Vec<Self> {
        Self::ALL.iter().copied().filter(|from| from.may_become(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_back_from_deleting_but_an_error() {
        let next: Vec<_> = InstanceStatus::ALL.iter().filter(|s| InstanceStatus::Deleting.may_become(**s)).collect();
        assert_eq!(next, [&InstanceStatus::Deleting, &InstanceStatus::Error]);
    }

    #[test]
    fn a_status_that_is_not_known_is_left_alone() {
        for status in InstanceStatus::ALL {
            assert!(!InstanceStatus::Unknown.may_become(*status), "{status}");
            assert!(!status.predecessors().contains(&InstanceStatus::Unknown), "{status}");
        }
    }

    #[test]
    fn pending_is_only_the_beginning() {
        assert_eq!(InstanceStatus::Pending.predecessors(), [InstanceStatus::Pending]);
    }
}

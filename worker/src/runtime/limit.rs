//! Limits of the host's kernel in an engine's messages.
//!
//! The kernel answers with the errors of a full disk (ENOSPC, EDQUOT) or of too many files (EMFILE) where none is full,
//! and the engine passes on only the text.

use crate::preflight::kernel::advice;

/// A limit of the host that a container ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostLimit {
    /// Keys of a user: each container has a session keyring.
    Keys,
    InotifyInstances,
    InotifyWatches,
    /// Control groups, whose removal lags behind their containers'.
    Cgroups,
    /// Namespaces of a user.
    Namespaces,
    /// Processes and threads.
    Processes,
}

impl HostLimit {
    /// The limit that a message is about. `None`: it is about none of them.
    pub fn in_message(message: &str) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        let has = |words: &str| message.contains(words);
        let full = has("no space left on device");
        // runc since 1.0: "unable to join session keyring: unable to create session key: disk quota exceeded", before:
        // "could not create session key: …"; crun: "create keyring `…`: Disk quota exceeded".
        if has("disk quota exceeded") && (has("session key") || has("keyring")) {
            Some(Self::Keys)
        } else if (has("inotify") || has("fsnotify")) && has("too many open files") {
            Some(Self::InotifyInstances)
        } else if (full && (has("inotify") || has("fsnotify"))) || has("file watchers reached") {
            // Node: "ENOSPC: System limit for number of file watchers reached".
            Some(Self::InotifyWatches)
        } else if full && has("mkdir /sys/fs/cgroup/") {
            Some(Self::Cgroups)
        } else if full && (has("fork/exec") || has("unshare")) {
            Some(Self::Namespaces)
        } else if has("fork/exec") && has("resource temporarily unavailable") {
            Some(Self::Processes)
        } else {
            None
        }
    }

    /// Stable code of a failure because of a host's limit.
    pub const CODE: &'static str = "host_limit_reached";

    /// What happened and what to do, for people.
    pub fn explain(self) -> String {
        let (what, how) = match self {
            Self::Keys => (
                "the quota of keys that the kernel gives a user: each container needs a session keyring",
                format!(
                    "{} {} /proc/key-users shows which user's quota is used up; for user 0 the two are kernel.keys.root_maxkeys \
                     and kernel.keys.root_maxbytes.",
                    advice("kernel.keys.maxkeys", 0),
                    advice("kernel.keys.maxbytes", 0)
                ),
            ),
            Self::InotifyInstances => ("inotify instances", advice("fs.inotify.max_user_instances", 0)),
            Self::InotifyWatches => ("inotify watches", advice("fs.inotify.max_user_watches", 0)),
            Self::Cgroups => (
                "control groups: the kernel keeps those of ended containers until their memory is reclaimed",
                "Update the kernel or use cgroups v2; until then, `echo 3 >/proc/sys/vm/drop_caches` on the host frees some."
                    .to_owned(),
            ),
            Self::Namespaces => (
                "namespaces",
                "Raise user.max_user_namespaces, user.max_net_namespaces and user.max_mnt_namespaces on the host: sysctl -a \
                 shows which one is low."
                    .to_owned(),
            ),
            Self::Processes => (
                "processes and threads",
                format!(
                    "{} If the engine's service has a limit of its own (systemctl show docker -p TasksMax), raise that.",
                    advice("kernel.pid_max", 0)
                ),
            ),
        };
        format!("The server has reached a limit of its kernel: {what}. The disk is not full. {how} Then retry the job.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As engines of several versions have said it.
    const CAPTURED: [(&str, Option<HostLimit>); 13] = [
        (
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: error during container init: unable to join session keyring: \
             unable to create session key: disk quota exceeded",
            Some(HostLimit::Keys),
        ),
        (
            "OCI runtime create failed: container_linux.go:380: starting container process caused: \
             process_linux.go:545: container init caused: join session keyring: create session key: disk quota \
             exceeded: unknown",
            Some(HostLimit::Keys),
        ),
        (
            "OCI runtime create failed: container_linux.go:348: starting container process caused \
             \"process_linux.go:402: container init caused \\\"could not create session key: disk quota \
             exceeded\\\"\": unknown",
            Some(HostLimit::Keys),
        ),
        ("OCI runtime error: crun: create keyring `4a680378ec67`: Disk quota exceeded", Some(HostLimit::Keys)),
        (
            "failed to create shim task: failed to create inotify fd: too many open files: unknown",
            Some(HostLimit::InotifyInstances),
        ),
        ("failed to create fsnotify watcher: too many open files", Some(HostLimit::InotifyInstances)),
        ("failed to add inotify watch: no space left on device", Some(HostLimit::InotifyWatches)),
        (
            "Error: ENOSPC: System limit for number of file watchers reached, watch '/app/src'",
            Some(HostLimit::InotifyWatches),
        ),
        (
            "OCI runtime create failed: container_linux.go:380: starting container process caused: \
             process_linux.go:385: applying cgroup configuration for process caused: mkdir \
             /sys/fs/cgroup/memory/docker/ff666f11: no space left on device: unknown",
            Some(HostLimit::Cgroups),
        ),
        (
            "OCI runtime create failed: unable to start container process: fork/exec /proc/self/exe: no space left on \
             device: unknown",
            Some(HostLimit::Namespaces),
        ),
        (
            "failed to start shim: fork/exec /usr/bin/containerd-shim-runc-v2: resource temporarily unavailable",
            Some(HostLimit::Processes),
        ),
        ("write /var/lib/docker/overlay2/x/merged/a: no space left on device", None),
        ("mkdir /var/lib/docker/overlay2/51e9: disk quota exceeded", None),
    ];

    #[test]
    fn what_is_not_the_disk_is_told_from_a_full_one() {
        for (message, limit) in CAPTURED {
            assert_eq!(HostLimit::in_message(message), limit, "{message}");
        }
    }

    #[test]
    fn the_sysctl_is_named_with_its_value() {
        let says = HostLimit::Keys.explain();
        for part in ["kernel.keys.maxkeys=20000", "kernel.keys.maxbytes=2000000", "The disk is not full."] {
            assert!(says.contains(part), "{says}");
        }
        assert!(HostLimit::InotifyInstances.explain().contains("fs.inotify.max_user_instances=8192"));
    }
}

//! Limits of the kernel that many instances share, judged for their number.
//!
//! What each instance is given is an allowance with a margin, not a measurement; `deploy/sysctl/clawdeploy.conf` has
//! values for a thousand instances, which `deploy/install.sh` sets.

use clawdeploy_shared::ports::PortRange;

use super::Check;

/// The values that the installer sets.
const RECOMMENDED: &str = include_str!("../../../deploy/sysctl/clawdeploy.conf");

/// A limit, and how much of it some instances need.
struct Limit {
    check: &'static str,
    sysctl: &'static str,
    /// What everything else on the machine needs.
    base: u64,
    each: u64,
    /// What it is used for.
    purpose: &'static str,
}

const LIMITS: [Limit; 6] = [
    Limit {
        check: "inotify_instances",
        sysctl: "fs.inotify.max_user_instances",
        base: 32,
        each: 4,
        purpose: "all instances run as uid 1000 and share its inotify instances; without one, a gateway does not notice \
                  changes of its configuration",
    },
    Limit {
        check: "inotify_watches",
        sysctl: "fs.inotify.max_user_watches",
        base: 8192,
        each: 512,
        purpose: "all instances run as uid 1000 and share its inotify watches",
    },
    Limit {
        check: "open_files",
        sysctl: "fs.file-max",
        base: 65_536,
        each: 1024,
        purpose: "open files of the whole machine",
    },
    Limit {
        check: "threads",
        sysctl: "kernel.pid_max",
        base: 4096,
        each: 100,
        purpose: "a gateway has up to 75 threads, and each takes a process id",
    },
    Limit {
        check: "connections",
        sysctl: "net.netfilter.nf_conntrack_max",
        base: 16_384,
        each: 128,
        purpose: "connections that the firewall tracks; beyond that, packets of all instances are dropped",
    },
    Limit {
        check: "neighbors",
        sysctl: "net.ipv4.neigh.default.gc_thresh3",
        base: 256,
        each: 2,
        purpose: "each instance's network has a neighbor of its own",
    },
];

/// The engine decides which quota counts.
const KEYS: Limit = Limit {
    check: "keyrings",
    sysctl: "kernel.keys.root_maxkeys",
    base: 100,
    each: 2,
    purpose: "each container has a session keyring; without one, the engine says \"disk quota exceeded\"",
};

/// Bytes of the key quota that are needed, and for each key: a keyring's name has 70.
const KEY_BYTES: u64 = 100;

/// Reads a sysctl by its name. `None`: this machine does not have it.
pub fn sysctl(name: &str) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?.trim().to_owned())
}

/// The value that the installer sets. `None`: it does not set this one.
pub fn recommended(name: &str) -> Option<u64> {
    let settings = RECOMMENDED.lines().filter_map(|line| line.split_once('='));
    settings.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)?.1.parse().ok()
}

/// How to raise a sysctl at least to `needed`, for people.
pub fn advice(name: &str, needed: u64) -> String {
    let value = recommended(name).unwrap_or_default().max(needed);
    match recommended(name) {
        Some(set) if set >= needed => {
            format!(
                "Raise it on the host: sysctl -w {name}={value}. deploy/install.sh does that, also for the next boot."
            )
        }
        _ => format!("Raise it on the host, in a file in /etc/sysctl.d: {name} = {value}; then run sysctl --system."),
    }
}

/// Every limit that this machine has. `remapped`: the containers' root is an ordinary user of the host, with a small
/// quota of keys.
pub(super) fn judge(read: &dyn Fn(&str) -> Option<String>, instances: u64, remapped: bool) -> Vec<Check> {
    let number = |name: &str| read(name)?.parse::<u64>().ok();
    let limits = LIMITS.iter().filter_map(|limit| Some(enough(limit, limit.sysctl, number(limit.sysctl)?, instances)));
    let mut checks: Vec<Check> = limits.collect();
    let quota = if remapped { "" } else { "root_" };
    let (keys, bytes) = (format!("kernel.keys.{quota}maxkeys"), format!("kernel.keys.{quota}maxbytes"));
    checks.extend(number(&keys).map(|found| enough(&KEYS, &keys, found, instances)));
    let in_bytes = Limit { check: "keyring_bytes", base: KEYS.base * KEY_BYTES, each: KEYS.each * KEY_BYTES, ..KEYS };
    checks.extend(number(&bytes).map(|found| enough(&in_bytes, &bytes, found, instances)));
    checks
}

fn enough(limit: &Limit, sysctl: &str, found: u64, instances: u64) -> Check {
    let needed = limit.base.saturating_add(limit.each.saturating_mul(instances));
    let words = format!("{sysctl} is {found}, and {instances} instances need {needed} ({})", limit.purpose);
    if found >= needed {
        return Check::ok(limit.check, format!("{sysctl} is {found}; {instances} instances need {needed}"));
    }
    Check::warn(limit.check, words, advice(sysctl, needed))
}

/// Whether root here is another user on the host, as in most containers of LXC: `uid_map` has a single line for all users
/// otherwise (`user_namespaces(7)`).
pub(super) fn is_mapped(uid_map: &str) -> bool {
    !uid_map.is_empty() && uid_map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// Whether outgoing connections may take an instance's port.
pub(super) fn local_ports(read: &dyn Fn(&str) -> Option<String>, range: PortRange) -> Option<Check> {
    let text = read("net.ipv4.ip_local_port_range")?;
    let mut bounds = text.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (bounds.next(), bounds.next()) else { return None };
    let found =
        format!("outgoing connections use the ports {first} to {last}, instances {} to {}", range.first, range.last);
    let apart = last < range.first || range.last < first;
    if apart || reserves(&read("net.ipv4.ip_local_reserved_ports").unwrap_or_default(), range, (first, last)) {
        return Some(Check::ok("local_ports", found));
    }
    let fix = format!(
        "A connection can take the port of an instance, whose start then fails. Reserve the ports on the host, in a file in \
         /etc/sysctl.d: net.ipv4.ip_local_reserved_ports = {}-{}; or set another CLAWDEPLOY_PORT_RANGE.",
        range.first, range.last
    );
    Some(Check::warn("local_ports", found, fix))
}

/// Whether one of the reserved ranges (`8080,10000-20000`) covers what both use.
fn reserves(reserved: &str, range: PortRange, (first, last): (u16, u16)) -> bool {
    let (from, to) = (range.first.max(first), range.last.min(last));
    let parse = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    };
    reserved.split(',').filter_map(parse).any(|(first, last)| first <= from && to <= last)
}

/// Whether the worker may open a file for each connection of a browser, the engine and the database.
pub(super) fn own_files(limits: &str) -> Option<Check> {
    /// What the systemd unit allows is 65 536; a thousand terminals need some four thousand.
    const ENOUGH: u64 = 8192;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    let found = format!("the worker may have {soft} open files");
    Some(match soft.parse::<u64>() {
        Ok(soft) if soft < ENOUGH => Check::warn(
            "worker_open_files",
            found,
            format!("Allow it {ENOUGH} or more: LimitNOFILE in its systemd unit, or ulimit -n."),
        ),
        _ => Check::ok("worker_open_files", found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::CheckStatus;

    /// Debian 12, with 24 GiB of memory.
    fn debian(name: &str) -> Option<String> {
        let value = match name {
            "fs.inotify.max_user_instances" => "128",
            "fs.inotify.max_user_watches" => "192536",
            "fs.file-max" => "9223372036854775807",
            "kernel.pid_max" => "32768",
            "net.ipv4.neigh.default.gc_thresh3" => "1024",
            "kernel.keys.maxkeys" => "200",
            "kernel.keys.maxbytes" => "20000",
            "kernel.keys.root_maxkeys" => "1000000",
            "kernel.keys.root_maxbytes" => "25000000",
            "net.ipv4.ip_local_port_range" => "32768\t60999",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn failing(instances: u64, remapped: bool) -> Vec<&'static str> {
        let checks = judge(&debian, instances, remapped);
        checks.iter().filter(|check| check.status != CheckStatus::Ok).map(|check| check.name).collect()
    }

    #[test]
    fn the_number_of_instances_decides() {
        assert_eq!(failing(20, false), Vec::<&str>::new());
        assert_eq!(failing(60, false), ["inotify_instances"]);
        assert_eq!(failing(60, true), ["inotify_instances", "keyrings", "keyring_bytes"]);
        assert_eq!(failing(400, false), ["inotify_instances", "inotify_watches", "threads", "neighbors"]);
    }

    #[test]
    fn a_machine_in_a_container_of_lxc_is_known() {
        assert!(!is_mapped("         0          0 4294967295\n") && !is_mapped(""));
        assert!(is_mapped("         0     100000      65536\n"));
    }

    #[test]
    fn what_the_installer_sets_is_enough_for_a_thousand() {
        let set = |name: &str| recommended(name).map(|value| value.to_string()).or_else(|| debian(name));
        for remapped in [false, true] {
            assert!(judge(&set, 1000, remapped).iter().all(|check| check.status == CheckStatus::Ok));
        }
        let low = judge(&debian, 60, true);
        let keys = low.iter().find(|check| check.name == "keyrings").unwrap();
        assert!(keys.found.contains("kernel.keys.maxkeys is 200, and 60 instances need 220"), "{keys:?}");
        assert!(keys.fix.as_deref().unwrap().contains("sysctl -w kernel.keys.maxkeys=20000"), "{keys:?}");
        assert!(advice("net.netfilter.nf_conntrack_max", 99).contains("net.netfilter.nf_conntrack_max = 99"));
    }

    #[test]
    fn ports_that_both_use_are_told_unless_they_are_reserved() {
        let with = |range: &'static str, reserved: &'static str, ours: &str| {
            let read = move |name: &str| {
                Some(if name == "net.ipv4.ip_local_port_range" { range } else { reserved }.to_owned())
            };
            local_ports(&read, ours.parse().unwrap()).unwrap().status
        };
        assert_eq!(with("32768\t60999", "", "10000-20000"), CheckStatus::Ok);
        assert_eq!(with("1024\t65535", "", "10000-20000"), CheckStatus::Warn);
        assert_eq!(with("1024\t65535", "8080,10000-20000", "10000-20000"), CheckStatus::Ok);
        assert_eq!(with("1024\t65535", "8080,10000-15000", "10000-20000"), CheckStatus::Warn);
        assert_eq!(with("15000\t65535", "15000-20000", "10000-20000"), CheckStatus::Ok);
        assert_eq!(local_ports(&|_| None, "10000-20000".parse().unwrap()), None);
    }

    #[test]
    fn the_workers_own_limit_is_read_from_its_process() {
        let limits = |soft: &str| {
            format!("Max processes  95967 95967 processes\nMax open files            {soft}      524288    files\n")
        };
        assert_eq!(own_files(&limits("1024")).unwrap().status, CheckStatus::Warn);
        assert_eq!(own_files(&limits("65536")).unwrap().status, CheckStatus::Ok);
        assert_eq!(own_files(&limits("unlimited")).unwrap().status, CheckStatus::Ok);
    }
}

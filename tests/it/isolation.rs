//! The isolation of an instance, as seen in the kernel's and the machine's tables.

use std::collections::HashMap;

use clawdeploy_tests::{Image, TestEnv, docker};

use crate::support::{port, running};

/// Listening sockets of this machine in a range of ports: address and port.
fn listeners(first: u16, last: u16) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next().unwrap(), words.nth(1).unwrap());
            let (address, port) = local.split_once(':').unwrap();
            let port = u16::from_str_radix(port, 16).unwrap();
            if state == "0A" && (first..=last).contains(&port) {
                found.push((address.to_owned(), port));
            }
        }
    }
    found
}

#[tokio::test]
async fn gateways_listen_on_the_loopback_only() {
    let env = TestEnv::builder().build().await;
    let (one, two) = (running(&env, "one").await, running(&env, "two").await);
    let (first, last) = env.slot.ports();
    let mut found = listeners(first, last);
    found.sort();
    let mut ports = [port(&env, &one.instance).await, port(&env, &two.instance).await];
    ports.sort_unstable();
    // 127.0.0.1, as the kernel writes it.
    assert_eq!(found, ports.map(|port| ("0100007F".to_owned(), port)));
    let api = env.slot.api_port(0);
    assert_eq!(listeners(api, api), [("0100007F".to_owned(), api)]);
    env.finish().await;
}

/// The `name: value` lines of a process's status.
fn status(pid: u32) -> HashMap<String, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// The container's `init` and its children, one of which is the gateway.
fn processes(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    std::iter::once(pid).chain(children.split_whitespace().map(|child| child.parse().unwrap())).collect()
}

#[tokio::test]
async fn the_kernel_holds_an_instance_as_it_was_told() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let container = format!("claw-{}", made.instance);
    let pid: u32 = docker::inspect(&container, "{{.State.Pid}}").await.parse().unwrap();
    let held = processes(pid);
    assert!(held.len() >= 2, "an init and the gateway: {held:?}");
    for pid in held {
        let status = status(pid);
        for none in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[none], "0000000000000000", "{none}");
        }
        for (name, value) in [("Uid", "1000 1000 1000 1000"), ("Gid", "1000 1000 1000 1000"), ("Groups", "1000")] {
            assert!(status[name] == value || (name == "Groups" && status[name].is_empty()), "{name}: {}", status[name]);
        }
        assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
        let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        assert_eq!(score.trim(), "500", "the OOM killer must prefer it to the machine's services");
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap();
        let options = |target: &str| {
            let of = |line: &str| -> Option<String> {
                let words: Vec<&str> = line.split(' ').collect();
                (words[1] == target).then(|| words[3].to_owned())
            };
            mounts.lines().find_map(of).unwrap_or_else(|| panic!("no {target} in {mounts}"))
        };
        assert!(options("/").split(',').any(|option| option == "ro"), "{}", options("/"));
        for option in ["noexec", "nosuid", "nodev", "rw"] {
            assert!(options("/tmp").split(',').any(|found| found == option), "/tmp without {option}");
        }
        assert!(!mounts.contains("docker.sock"));
    }
    env.finish().await;
}

/// Setuid and setgid programs in the image.
#[tokio::test]
async fn the_image_has_no_way_up() {
    let find = "find / -xdev -perm /6000 -type f -not -path '/proc/*'";
    let image = Image::Real.reference();
    let found =
        docker::docker(&["run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "sh", &image, "-c", find])
            .await;
    // They have no effect with no-new-privileges, but new ones should be reviewed.
    let known =
        ["chage", "chfn", "chsh", "expiry", "gpasswd", "mount", "newgrp", "passwd", "su", "umount", "unix_chkpwd"];
    for path in found.lines() {
        let name = path.rsplit('/').next().unwrap();
        assert!(known.contains(&name) || name.starts_with("ssh-"), "{path}");
    }
}

use std::path::Path;

use clawdeploy_shared::ids::{InstanceId, JobId};

use super::*;

fn spec() -> GatewaySpec {
    GatewaySpec {
        instance: "k3v9q0x2m7ab".parse().unwrap(),
        deployment: "clawdeploy".to_owned(),
        image_id: "sha256:0123456789abcdef".to_owned(),
        port: 10001,
        memory_mb: 2048,
        cpu_millis: 1000,
        boost_cpu_millis: 2000,
        config_dir: "/data/clawdeploy/k3v9q0x2m7ab/config".into(),
        workspace_dir: "/data/clawdeploy/k3v9q0x2m7ab/workspace".into(),
        job: "0193a5d2-7c00-7000-8000-000000000001".parse().unwrap(),
        attempt: 1,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is the whole container")]
fn the_container_is_this_one() {
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(container_body(&spec()), @r#"
        {
          "Hostname": "k3v9q0x2m7ab",
          "User": "1000:1000",
          "ExposedPorts": {
            "18789/tcp": {}
          },
          "Env": [
            "HOME=/home/node",
            "TERM=xterm-256color",
            "MALLOC_ARENA_MAX=2",
            "NODE_OPTIONS=--max-old-space-size=896 --max-semi-space-size=8",
            "XDG_CACHE_HOME=/home/node/.openclaw/cache",
            "npm_config_cache=/home/node/.openclaw/cache/npm",
            "OPENCLAW_NO_AUTO_UPDATE=1"
          ],
          "Cmd": [
            "node",
            "dist/index.js",
            "gateway",
            "--bind",
            "lan",
            "--port",
            "18789",
            "--allow-unconfigured"
          ],
          "Healthcheck": {
            "Test": [
              "NONE"
            ]
          },
          "Image": "sha256:0123456789abcdef",
          "WorkingDir": "/app",
          "Entrypoint": [],
          "Labels": {
            "clawdeploy.attempt": "1",
            "clawdeploy.deployment": "clawdeploy",
            "clawdeploy.instance": "k3v9q0x2m7ab",
            "clawdeploy.job": "0193a5d2-7c00-7000-8000-000000000001",
            "clawdeploy.spec": "6865530b2eb0038a"
          },
          "StopTimeout": 60,
          "HostConfig": {
            "Memory": 2147483648,
            "MemorySwap": 2147483648,
            "NanoCpus": 2000000000,
            "Init": true,
            "PidsLimit": 512,
            "Ulimits": [
              {
                "Name": "nofile",
                "Soft": 16384,
                "Hard": 16384
              }
            ],
            "LogConfig": {
              "Type": "json-file",
              "Config": {
                "max-file": "3",
                "max-size": "10m"
              }
            },
            "NetworkMode": "claw-k3v9q0x2m7ab",
            "PortBindings": {
              "18789/tcp": [
                {
                  "HostIp": "127.0.0.1",
                  "HostPort": "10001"
                }
              ]
            },
            "RestartPolicy": {
              "Name": "unless-stopped"
            },
            "Mounts": [
              {
                "Target": "/home/node/.openclaw",
                "Source": "/data/clawdeploy/k3v9q0x2m7ab/config",
                "Type": "bind",
                "ReadOnly": false
              },
              {
                "Target": "/home/node/workspace",
                "Source": "/data/clawdeploy/k3v9q0x2m7ab/workspace",
                "Type": "bind",
                "ReadOnly": false
              }
            ],
            "CapDrop": [
              "ALL"
            ],
            "IpcMode": "private",
            "OomScoreAdj": 500,
            "Privileged": false,
            "ReadonlyRootfs": true,
            "SecurityOpt": [
              "no-new-privileges"
            ],
            "Tmpfs": {
              "/tmp": "rw,noexec,nosuid,nodev,size=512m"
            }
          }
        }
        "#);
    });
}

#[test]
fn the_network_is_this_one() {
    let subnet = "10.210.0.0/15"
        .parse::<clawdeploy_shared::ports::NetworkPool>()
        .unwrap()
        .subnet("10000-20000".parse().unwrap(), 10001)
        .unwrap();
    let spec = NetworkSpec { instance: spec().instance, deployment: "clawdeploy".to_owned(), subnet };
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(network_body(&spec), @r#"
        {
          "Name": "claw-k3v9q0x2m7ab",
          "Driver": "bridge",
          "IPAM": {
            "Config": [
              {
                "Subnet": "10.210.0.8/29",
                "Gateway": "10.210.0.9"
              }
            ]
          },
          "EnableIPv6": false,
          "Options": {
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"
          },
          "Labels": {
            "clawdeploy.deployment": "clawdeploy",
            "clawdeploy.instance": "k3v9q0x2m7ab"
          }
        }
        "#);
    });
}

/// Bodies over the whole range in which instances differ.
fn many_bodies() -> impl Iterator<Item = ContainerCreateBody> {
    let memories = [512, 1024, 2048, 65536];
    let cpus = [100, 1000, 64000];
    let ports = [1024, 10000, u16::MAX];
    memories.into_iter().flat_map(move |memory_mb| {
        cpus.into_iter().flat_map(move |cpu_millis| {
            ports.into_iter().map(move |port| {
                container_body(&GatewaySpec { memory_mb, cpu_millis, port, instance: InstanceId::random(), ..spec() })
            })
        })
    })
}

#[test]
fn no_mount_lies_below_another() {
    for body in many_bodies() {
        let host = body.host_config.unwrap();
        let mounts: Vec<String> = host.mounts.unwrap().into_iter().map(|mount| mount.target.unwrap()).collect();
        let targets: Vec<&str> = mounts
            .iter()
            .map(String::as_str)
            .chain(host.tmpfs.iter().flatten().map(|(path, _)| path.as_str()))
            .collect();
        for (i, a) in targets.iter().enumerate() {
            for (j, b) in targets.iter().enumerate() {
                assert!(i == j || !Path::new(a).starts_with(b), "{a} lies below {b}");
            }
        }
        assert_eq!(host.binds, None);
        assert!(!mounts.iter().any(|target| target.contains("docker.sock")));
    }
}

#[test]
fn nothing_of_the_host_is_shared() {
    for body in many_bodies() {
        let host = body.host_config.unwrap();
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.cap_add, None);
        assert_eq!(host.cap_drop, Some(strings(&["ALL"])));
        assert_eq!(host.devices, None);
        assert_eq!(host.device_requests, None);
        assert_eq!((host.pid_mode, host.uts_mode, host.userns_mode, host.cgroup_parent), (None, None, None, None));
        assert_eq!(host.ipc_mode.as_deref(), Some("private"));
        assert!(host.network_mode.unwrap().starts_with("claw-"));
        assert_eq!(host.security_opt, Some(strings(&["no-new-privileges"])));
        assert!(host.memory.unwrap() > 0 && host.memory == host.memory_swap);
        for binding in host.port_bindings.unwrap().into_values().flatten().flatten() {
            assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        }
    }
}

#[test]
fn the_hash_follows_the_body_but_not_the_attempt() {
    let hash = |spec: &GatewaySpec| container_body(spec).labels.unwrap()[LABEL_SPEC].clone();
    let first = hash(&spec());
    assert_eq!(first.len(), 16);
    assert_eq!(hash(&GatewaySpec { attempt: 2, job: JobId::generate(), ..spec() }), first);
    assert_ne!(hash(&GatewaySpec { port: 10002, ..spec() }), first);
    assert_ne!(hash(&GatewaySpec { image_id: "sha256:other".to_owned(), ..spec() }), first);
    assert_ne!(hash(&GatewaySpec { memory_mb: 1024, ..spec() }), first);
}

#[test]
fn a_start_never_has_less_cpu_than_the_limit() {
    let body = container_body(&GatewaySpec { cpu_millis: 4000, ..spec() });
    assert_eq!(body.host_config.unwrap().nano_cpus, Some(4_000_000_000));
}

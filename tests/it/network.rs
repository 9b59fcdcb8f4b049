//! What an instance can reach: the internet, but none of our services.
//!
//! Another process in the instance's network makes the connections. A network namespace plays the world outside, with a
//! public address, a link-local one (like a cloud's metadata service) and a private one.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use clawdeploy_shared::{db::worker, rpc::Address};
use clawdeploy_tests::{TestEnv, docker, firewall::Firewall, settings};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use crate::support::{http, port, running};

/// Prints which of `address:port` accept connections, and whether there is IPv6.
const SCAN: &str = r#"
const net = require("net");
const inet6 = require("fs").readFileSync("/proc/net/if_inet6", "utf8").split("\n").filter((l) => l && !l.endsWith(" lo"));
if (inet6.length) console.log("ipv6");
for (const target of process.argv.slice(1)) {
  const at = target.lastIndexOf(":");
  const socket = net.connect({ host: target.slice(0, at), port: +target.slice(at + 1) });
  socket.setTimeout(4000, () => socket.destroy());
  socket.on("error", () => {});
  socket.on("connect", () => { console.log(target); socket.destroy(); });
}"#;

async fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output().await.expect("iproute2");
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The world outside. It is removed with the test.
struct Outside {
    name: String,
    internet: String,
    metadata: String,
    private: String,
    _server: Child,
}

impl Outside {
    async fn make(env: &TestEnv) -> Self {
        let slot = env.slot.number();
        let name = format!("cdtest-{slot}");
        let (here, there) = (format!("198.51.100.{}", slot * 4 + 1), format!("198.51.100.{}", slot * 4 + 2));
        let (metadata, private) = (format!("169.254.99.{slot}"), format!("10.250.99.{slot}"));
        remove(&name);
        ip(&format!("netns add {name}")).await;
        ip(&format!("link add cdv{slot} type veth peer name cdp{slot} netns {name}")).await;
        ip(&format!("address add {here}/30 dev cdv{slot}")).await;
        ip(&format!("link set cdv{slot} up")).await;
        for address in [format!("{there}/30"), format!("{metadata}/32"), format!("{private}/32")] {
            ip(&format!("-netns {name} address add {address} dev cdp{slot}")).await;
        }
        ip(&format!("-netns {name} link set cdp{slot} up")).await;
        ip(&format!("-netns {name} route add default via {here}")).await;
        for address in [&metadata, &private] {
            ip(&format!("route add {address}/32 via {there}")).await;
        }
        let mut server = Command::new("ip");
        server.args(["netns", "exec", &name, "node", "-e", "require('net').createServer((s) => s.end()).listen(80)"]);
        let server = server.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("a server");
        let outside = Self { name, internet: there, metadata, private, _server: server };
        let up = async || tokio::net::TcpStream::connect((outside.internet.as_str(), 80)).await.ok();
        env.wait_for("the world outside", Duration::from_secs(20), up).await;
        outside
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes a namespace, and with it both ends of the link and the routes.
fn remove(name: &str) {
    let _ = std::process::Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// The targets that can be reached from inside an instance.
async fn reachable(instance: &str, targets: &BTreeSet<String>) -> BTreeSet<String> {
    let network = format!("container:claw-{instance}");
    let image = settings::base_image();
    let mut arguments = vec!["run", "--rm", "--user", "1000:1000", "--cap-drop", "ALL", "--network", &network];
    arguments.extend(["--entrypoint", "node", image.as_str(), "-e", SCAN]);
    arguments.extend(targets.iter().map(String::as_str));
    docker::docker(&arguments).await.lines().map(str::to_owned).collect()
}

/// A property of an instance's end of its network.
async fn of_network(instance: &str, what: &str) -> String {
    docker::inspect(
        &format!("claw-{instance}"),
        &format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{what}}}}}{{{{end}}}}"),
    )
    .await
}

fn port_of(url: &str) -> u16 {
    url.parse::<reqwest::Url>().unwrap().port().unwrap()
}

/// Ports of our services.
async fn ours(env: &TestEnv) -> Vec<u16> {
    let called = worker::callable(&mut env.db.conn().await.unwrap()).await.unwrap();
    let Address::Tcp(endpoint) = called[0].address.parse().unwrap() else { panic!("{called:?}") };
    let services = [settings::database_url(), settings::redis_url(), env.base.clone()].map(|url| port_of(&url));
    services.into_iter().chain([endpoint.port(), 2375, 2376]).collect()
}

#[tokio::test]
async fn from_inside_there_is_the_internet_and_nothing_of_ours() {
    let env = TestEnv::builder().build().await;
    let (made, neighbour) = (running(&env, "first").await, running(&env, "neighbour").await);
    let outside = Outside::make(&env).await;
    // A service of the machine that listens on all addresses by mistake.
    let careless = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let careless = careless.local_addr().map(|address| (address.port(), careless)).unwrap();

    let gateways = [of_network(&made.instance, "Gateway").await, of_network(&neighbour.instance, "Gateway").await];
    let mut here: Vec<String> = gateways.into();
    here.push(format!("198.51.100.{}", env.slot.number() * 4 + 1));
    let published = [port(&env, &made.instance).await, port(&env, &neighbour.instance).await];
    let mut closed: BTreeSet<String> = BTreeSet::new();
    for address in &here {
        closed.extend(ours(&env).await.iter().chain(&published).map(|port| format!("{address}:{port}")));
    }
    closed.insert(format!("{}:18789", of_network(&neighbour.instance, "IPAddress").await));
    let open_without_rules: BTreeSet<String> = here.iter().map(|address| format!("{address}:{}", careless.0)).collect();
    let internet = format!("{}:80", outside.internet);
    let (metadata, private) = (format!("{}:80", outside.metadata), format!("{}:80", outside.private));
    let mut all: BTreeSet<String> = closed.union(&open_without_rules).cloned().collect();
    all.extend([internet.clone(), metadata.clone(), private.clone()]);

    // Our services listen on loopback, so they are closed even without a firewall. The others are open, which shows
    // that the scan works.
    let mut without: BTreeSet<String> = open_without_rules.clone();
    without.extend([internet.clone(), metadata, private.clone()]);
    let mut seen = reachable(&made.instance, &all).await;
    // Docker's own rules between networks are out of force for a moment whenever another test creates a network.
    for _ in 0..3 {
        seen = if seen == without { seen } else { reachable(&made.instance, &all).await };
    }
    assert_eq!(seen, without, "without rules");

    let mut firewall = Firewall::of(&env);
    firewall.run("apply");
    firewall.run("apply");
    firewall.wait_in_force(&env).await;
    assert_eq!(reachable(&made.instance, &all).await, [internet.clone()].into(), "with the rules of production");
    for port in published {
        assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200), "from the machine itself");
    }

    firewall.set("CLAWDEPLOY_FIREWALL_ALLOW", &outside.private);
    assert!(!firewall.command("check").status().unwrap().success(), "other rules than those in force");
    firewall.run("apply");
    assert_eq!(reachable(&made.instance, &all).await, [internet, private].into(), "with one address allowed");

    firewall.run("remove");
    firewall.run("remove");
    let left = std::process::Command::new("iptables").arg("-S").output().unwrap();
    let chain = String::from_utf8_lossy(&firewall.command("print").output().unwrap().stdout).into_owned();
    let chain = chain.split(' ').nth(1).unwrap().to_owned();
    assert!(chain.starts_with("CLAWDEPLOY-") && !String::from_utf8_lossy(&left.stdout).contains(&chain), "{chain}");
    drop(careless);
    env.finish().await;
}

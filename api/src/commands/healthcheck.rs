//! `healthcheck`: a probe for containers and load balancers that does not need an HTTP client.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::bail;
use clap::Args;
use clawdeploy_shared::{http, telemetry::chain};

use super::print_line;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Address that the API listens on; a wildcard address is asked on the loopback interface
    #[arg(long, env = "CLAWDEPLOY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Prints one line. Fails unless the API can serve requests.
pub async fn run(args: &Healthcheck) -> anyhow::Result<()> {
    let url = format!("http://{}/readyz", reachable(args.listen));
    let client = http::local()?.timeout(TIMEOUT).build()?;
    match client.get(&url).send().await {
        Err(error) => bail!("nothing answers at {url}: {}", chain(&error.without_url())),
        Ok(response) if response.status().is_success() => print_line(&format!("{url} answers {}", response.status())),
        Ok(response) => {
            let status = response.status();
            let body = response.text().await.unwrap_or_default();
            bail!("{url} answers {status}: {}", body.trim().replace('\n', " "));
        }
    }
}

/// The address at which a process on this machine reaches the listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[test]
fn an_address_for_all_is_asked_on_loopback() {
    for (listen, asked) in [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("192.0.2.1:1", "192.0.2.1:1")]
    {
        assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
    }
}

//! Makes what the tests share; nextest runs it before them. `prepare openclaw` also makes the image of OpenClaw itself.

use anyhow::bail;
use clawdeploy_tests::prepare::{Needs, prepare};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let needs = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Needs::StandIn,
        ["openclaw"] => Needs::OpenClaw,
        _ => bail!("usage: prepare [openclaw]"),
    };
    prepare(needs).await
}

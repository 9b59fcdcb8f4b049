//! Prepares what the tests share. nextest runs it before them.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    clawdeploy_tests::prepare::prepare().await
}

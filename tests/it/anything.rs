//! Random requests by schemathesis, which the OpenAPI document allows or not. No response may be a 5xx or have a status
//! that the document does not have.

use std::{process::Stdio, time::Duration};

use clawdeploy_tests::{TestEnv, settings};
use tokio::process::Command;

use crate::support::{running, say};

/// Excluded: streams, requests that take minutes, and those that end the session.
const LEFT_OUT: &str = "(events|stats|\\{id\\}/usage$|/logs|rebuild|update-all|reconcile|drain|/auth/logout|/tokens/\\{|/api/docs|/sessions)";

#[tokio::test]
#[ignore = "takes minutes, and needs schemathesis: scripts/test --schemathesis"]
async fn nothing_makes_the_api_fail() {
    let program = settings::variable("CLAWDEPLOY_TEST_SCHEMATHESIS").expect("CLAWDEPLOY_TEST_SCHEMATHESIS");
    let env = TestEnv::builder().set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "3").build().await;
    running(&env, "first").await;
    // An administrator with an instance may send every request.
    let admin = env.admin().await;
    let header = format!("Authorization:Bearer {}", admin.token().unwrap());
    let mut st = Command::new(program);
    st.arg("run").arg(format!("{}/api/openapi.json", env.base)).args(["--url", &env.base, "--header", &header]);
    st.args(["--checks", "not_a_server_error,status_code_conformance", "--max-examples", "15", "--no-color"]);
    st.args(["--phases", "examples,coverage,fuzzing", "--exclude-path-regex", LEFT_OUT, "--request-timeout", "40"]);
    st.args(["--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"]);
    st.env_remove("http_proxy").env("NO_PROXY", "*").current_dir(env.scratch()).stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(Duration::from_mins(15), st.output()).await.expect("its end").expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    say(&said);
    assert!(output.status.success(), "{said}");
    let log = env.api.log();
    assert!(!log.contains(" ERROR "), "{}", env.api.tail(20));
}

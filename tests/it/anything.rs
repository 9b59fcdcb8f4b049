//! Anything that the API's own description allows, and much that it does not, by schemathesis: no answer is a failure of the
//! server, and none has a status that is not described.

use std::{process::Stdio, time::Duration};

use clawdeploy_tests::{TestEnv, settings};
use tokio::process::Command;

use crate::support::{running, say};

/// Answers that never end, work for minutes, and what would sign the asker out.
const LEFT_OUT: &str = "(events|stats|\\{id\\}/usage$|/logs|rebuild|update-all|reconcile|drain|/auth/logout|/tokens/\\{|/api/docs|/sessions)";

#[tokio::test]
#[ignore = "takes minutes, and needs schemathesis: scripts/test --schemathesis"]
async fn nothing_makes_the_api_fail() {
    let program = settings::variable("CLAWDEPLOY_TEST_SCHEMATHESIS").expect("CLAWDEPLOY_TEST_SCHEMATHESIS");
    let env = TestEnv::builder().set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "3").build().await;
    running(&env, "first").await;
    // An administrator, with an instance of their own, who may ask for everything.
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

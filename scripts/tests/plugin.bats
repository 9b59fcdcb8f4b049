#!/usr/bin/env bats
# ClawDeploy's plugin for OpenClaw (worker/src/image/layer/plugin): who gets a token with which a browser signs in.

bats_require_minimum_version 1.5.0

setup() {
  printf '{"purpose":"the-owner"}' >"$BATS_TEST_TMPDIR/profile.json"
}

# asked METHOD SCOPES
asked() { run node "$BATS_TEST_DIRNAME/plugin/ask.mjs" "$BATS_TEST_TMPDIR" "$1" "$2"; }

@test "the owner gets a token for what OpenClaw's own command grants" {
  asked POST operator.read,operator.admin
  [[ $status == 0 && $output == '200 {"token":"for the-owner","expiresAtMs":5}' ]]
}

@test "a device with fewer rights gets none" {
  for scopes in operator.pairing operator.read,operator.write operator.administrator ''; do
    asked POST "$scopes"
    [[ $status == 0 && $output == '403 ' ]]
  done
}

@test "nothing is made by a GET" {
  asked GET operator.admin
  [[ $status == 0 && $output == '405 ' ]]
}

@test "without the profile it makes none" {
  rm "$BATS_TEST_TMPDIR/profile.json"
  asked POST operator.admin
  [[ $status == 0 && $output == '501 ' ]]
}

#!/usr/bin/env bats
# scripts/lib/base-image.sh: which base image is taken, by what the engine has.
#
# shellcheck disable=SC2034,SC2317 # the library reads and calls them

bats_require_minimum_version 1.5.0

setup() {
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../lib/docker.sh"
  source "$BATS_TEST_DIRNAME/../lib/base-image.sh"
  # The engine: what it has of both images, as their Node.
  image_exists() { case $1 in "$OFFICIAL_BASE") [[ -n $official ]] ;; "$LOCAL_BASE") [[ -n $mine ]] ;; esac; }
  base_image_make() { made=yes; }
  unset CLAWDEPLOY_OPENCLAW_BASE_IMAGE CLAWDEPLOY_OPENCLAW_VERSION
  official='' mine='' made=no
  stub_pull
}

# No registry answers: `timeout` runs programs, not functions.
stub_pull() {
  mkdir -p "$BATS_TEST_TMPDIR/bin"
  printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/docker"
  chmod 0755 "$BATS_TEST_TMPDIR/bin/docker"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

docker() {
  case ${*: -1} in
    "$OFFICIAL_BASE") printf 'PATH=/usr/bin\nNODE_VERSION=%s\nclawdeploy=\n' "$official" ;;
    "$LOCAL_BASE") printf 'PATH=/usr/bin\nclawdeploy=%s\n' "$mine" ;;
  esac
}

@test "the official image comes first, then the one made here" {
  official=24.16.0 mine=24.30.0
  base_image_ensure
  [[ $BASE_IMAGE == "$OFFICIAL_BASE" && $made == no ]]
  official=''
  base_image_ensure
  [[ $BASE_IMAGE == "$LOCAL_BASE" && $made == no ]]
}

@test "one whose Node is too old for the release is not taken" {
  export CLAWDEPLOY_OPENCLAW_VERSION=2026.10.6
  official=24.16.0 mine=24.22.1
  base_image_ensure
  [[ $BASE_IMAGE == "$LOCAL_BASE" && $made == no ]]
  mine=24.22.0
  base_image_ensure
  [[ $BASE_IMAGE == "$LOCAL_BASE" && $made == yes ]]
}

@test "one that does not say which Node it has is taken" {
  mine=unknown
  base_image_ensure
  [[ $BASE_IMAGE == "$LOCAL_BASE" && $made == no ]]
}

@test "one that somebody names is taken as it is" {
  CLAWDEPLOY_OPENCLAW_BASE_IMAGE=mine:1
  base_image_ensure
  [[ $BASE_IMAGE == mine:1 && $made == no ]]
}

#!/usr/bin/env bats
# deploy/Dockerfile, as far as possible without a registry: content and user of the API's image.

bats_require_minimum_version 1.5.0

ROOT=$BATS_TEST_DIRNAME/../..
BASE=clawdeploy/base:bookworm-node24
IMAGE=clawdeploy-images-test:$$

teardown() {
  docker image rm --force "$IMAGE" >/dev/null 2>&1 || true
}

# final STAGE: the lines of this stage.
final() { sed -n "/ AS $1\$/,/^FROM/p" "$ROOT/deploy/Dockerfile"; }

@test "the API's image has a user without rights and asks its own program for its health" {
  final api | grep -qx 'USER 10001:10001'
  final api | grep -q 'CMD \["clawdeploy-api", "healthcheck"\]'
  [[ $(final api) != *docker.io* ]]
}

@test "the API's image is built on a local base from a program that is there" {
  timeout 10 docker image inspect "$BASE" >/dev/null 2>&1 || skip "no local base image $BASE"
  context=$BATS_TEST_TMPDIR/context
  mkdir -p "$context/target/release"
  for name in api worker; do
    printf '#!/bin/sh\necho "$@"\n' >"$context/target/release/clawdeploy-$name"
    chmod 0755 "$context/target/release/clawdeploy-$name"
  done
  # Without the compiling stages, because the classic builder runs all stages, needed or not.
  # shellcheck disable=SC2016 # a variable of the Dockerfile
  sed -e '/^FROM ${RUST_IMAGE}/,/^FROM scratch/{/^FROM scratch/!d}' -e 's/^ARG BINARIES=build/ARG BINARIES=prebuilt/' \
    "$ROOT/deploy/Dockerfile" >"$context/Dockerfile"
  DOCKER_BUILDKIT=0 timeout 120 docker build --quiet --build-arg "BASE_IMAGE=$BASE" --target api -t "$IMAGE" "$context"
  run timeout 30 docker run --rm --network none --read-only "$IMAGE"
  [[ $status -eq 0 && $output == serve ]]
  run timeout 30 docker run --rm --network none --entrypoint id "$IMAGE" -u
  [[ $status -eq 0 && $output == 10001 ]]
}

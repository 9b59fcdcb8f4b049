#!/usr/bin/env bats
# The manual build of the image, from a local repository.

setup() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  docker info >/dev/null 2>&1 || skip "needs a Docker engine"
  SCRIPT=$BATS_TEST_DIRNAME/../build-openclaw-image.sh
  TAG=clawdeploy-bats-$$:local
  export STATE=$BATS_TEST_TMPDIR/state CLAWDEPLOY_MIN_DISK_MIB=100
  export CLAWDEPLOY_OPENCLAW_REPOSITORY=file://$BATS_TEST_TMPDIR/upstream CLAWDEPLOY_OPENCLAW_SRC=$BATS_TEST_TMPDIR/src
  git init --quiet "$BATS_TEST_TMPDIR/upstream"
  printf 'FROM scratch\nCOPY content /\n' >"$BATS_TEST_TMPDIR/upstream/Dockerfile"
  commit first
}

teardown() {
  docker image rm --force "$TAG" >/dev/null 2>&1 || true
}

# commit CONTENT
commit() {
  printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/upstream/content"
  git -C "$BATS_TEST_TMPDIR/upstream" add --all
  git -C "$BATS_TEST_TMPDIR/upstream" -c user.name=a -c user.email=a@example.org commit --quiet --message "$1"
}

image() { docker image inspect --format '{{.Id}}' "$TAG"; }

@test "it clones once and builds every time" {
  run "$SCRIPT" --tag "$TAG"
  [[ $status -eq 0 && $output == *"cloning file://"* ]] || { echo "$output"; return 1; }
  first=$(image)
  # The user owns the clone now, so changes in it are built.
  printf 'second\n' >"$CLAWDEPLOY_OPENCLAW_SRC/content"
  run "$SCRIPT" --source git --tag "$TAG"
  [[ $status -eq 0 && $output == *"not cloned again"* ]] || { echo "$output"; return 1; }
  [[ $(image) != "$first" ]]
  run "$SCRIPT" --tag "$TAG" --if-missing
  [[ $status -eq 0 && $output == *"already exists"* ]]
}

@test "what is no clone is not touched, and a failing build says why" {
  mkdir "$CLAWDEPLOY_OPENCLAW_SRC"
  touch "$CLAWDEPLOY_OPENCLAW_SRC/mine"
  run "$SCRIPT" --tag "$TAG"
  [[ $status -eq 1 && $output == *"is not a clone"* && -e $CLAWDEPLOY_OPENCLAW_SRC/mine ]]
  rm -r "$CLAWDEPLOY_OPENCLAW_SRC"
  printf 'FROM scratch\nCOPY nothing /\n' >"$BATS_TEST_TMPDIR/upstream/Dockerfile"
  commit broken
  run "$SCRIPT" --tag "$TAG"
  [[ $status -eq 1 && $output == *"building the OpenClaw image failed"* ]]
}

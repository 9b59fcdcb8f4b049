#!/usr/bin/env bats
# scripts/build-openclaw-image.sh where there is no source, as on a server: the installed worker builds. What it builds and how it
# fails is in tests/it/builds/by_hand.rs.

ROOT=$BATS_TEST_DIRNAME/../../..

setup() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  docker version >/dev/null 2>&1 || skip "needs a Docker engine"
  TAG=clawdeploy-bats-$$:local
  mkdir "$BATS_TEST_TMPDIR"/{place,bin,upstream}
  cp -r "$ROOT/scripts" "$BATS_TEST_TMPDIR/place/"
  SCRIPT=$BATS_TEST_TMPDIR/place/scripts/build-openclaw-image.sh
  ln -s "${CLAWDEPLOY_TEST_BINARIES:-$ROOT/target/debug}/clawdeploy-worker" "$BATS_TEST_TMPDIR/bin/"
  unset CLAWDEPLOY_DATA_DIR
  export PATH=$BATS_TEST_TMPDIR/bin:$PATH CLAWDEPLOY_MIN_DISK_MIB=100 CLAWDEPLOY_SOURCE_ALLOW_PRIVATE=true
  export CLAWDEPLOY_OPENCLAW_REPOSITORY=file://$BATS_TEST_TMPDIR/upstream CLAWDEPLOY_OPENCLAW_REF=main
  git init --quiet --initial-branch main "$BATS_TEST_TMPDIR/upstream"
  printf 'FROM scratch\nCOPY content /\n' >"$BATS_TEST_TMPDIR/upstream/Dockerfile"
  commit first
}

teardown() {
  docker image ls --format '{{.Repository}}:{{.Tag}}' "${TAG%:*}" | xargs --no-run-if-empty docker image rm >/dev/null 2>&1 || true
}

# commit CONTENT
commit() {
  printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/upstream/content"
  git -C "$BATS_TEST_TMPDIR/upstream" add --all
  git -C "$BATS_TEST_TMPDIR/upstream" -c user.name=a -c user.email=a@example.org commit --quiet --message "$1"
}

image() { docker image inspect --format '{{.Id}}' "$TAG"; }

@test "the installed worker builds the image, and shows the build" {
  run "$SCRIPT" --source git --tag "$TAG"
  [[ $status -eq 0 && $output == *"Step 2/"*"Image $TAG "*" is ready"* ]] || { echo "$output"; return 1; }
  first=$(image)
  commit second
  run "$SCRIPT" --source git --tag "$TAG" --if-missing
  [[ $status -eq 0 && $output == *"already exists"* && $(image) == "$first" ]] || { echo "$output"; return 1; }
  printf 'FROM scratch\nCOPY nothing /\n' >"$BATS_TEST_TMPDIR/upstream/Dockerfile"
  commit broken
  run "$SCRIPT" --source git --tag "$TAG"
  [[ $status -eq 1 && $output == *"failed at step"* && $(image) == "$first" ]] || { echo "$output"; return 1; }
}

@test "without source and without a worker it says what to do" {
  rm "$BATS_TEST_TMPDIR/bin/clawdeploy-worker"
  if command -v clawdeploy-worker; then skip "a worker is installed here"; fi
  run "$SCRIPT" --source git --tag "$TAG"
  [[ $status -eq 1 && $output == *"deploy/install.sh"* ]] || { echo "$output"; return 1; }
}

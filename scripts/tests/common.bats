#!/usr/bin/env bats
# The helpers in scripts/lib/common.sh, with real files, processes and ports.

bats_require_minimum_version 1.5.0

# A plain `!` fails a test only as its last command.
not() { ! "$@"; }

setup() {
  STATE=$BATS_TEST_TMPDIR/state
  source "$BATS_TEST_DIRNAME/../lib/common.sh"
  FILE=$STATE/env
}

teardown() {
  local file
  for file in "$STATE"/run/*.pid; do
    if [[ -f $file ]]; then pid_stop "$file" 2; fi
  done
}

# listen PORT ADDRESS: starts a process that listens there. The ports of these tests are below those for outgoing
# connections (from 32768), because nothing can listen on a port that such a connection uses.
listen() {
  spawn listener python3 -c "
import socket, time
s = socket.create_server(('$2', $1), family=socket.AF_INET6 if ':' in '$2' else socket.AF_INET)
time.sleep(60)"
  wait_for 60 port_taken "$1" || {
    log_tail "$STATE/log/listener.log"
    return 1
  }
}

@test "a port is free until something listens on it, on whatever address" {
  port=$(free_port 31000)
  not port_taken "$port"
  listen "$port" 127.0.0.1
  port_taken "$port"
  [[ $(free_port "$port") -gt $port ]]
}

@test "a listener on IPv6 counts" {
  grep -q . /proc/net/if_inet6 || skip "no IPv6 here"
  port=$(free_port 31100)
  listen "$port" ::1
  port_taken "$port"
}

@test "no free port in the range is a failure, not a port" {
  port=$(free_port 31200)
  listen "$port" 127.0.0.1
  run free_port "$port" "$port"
  [[ $status -ne 0 && -z $output ]]
}

@test "settings are kept in a file that only its owner reads" {
  umask 022
  env_put "$FILE" CLAWDEPLOY_TOKEN abc
  [[ $(stat -c %a "$FILE") == 600 ]]
  [[ $(env_get "$FILE" CLAWDEPLOY_TOKEN) == abc ]]
}

@test "putting a setting again replaces that one only" {
  env_put "$FILE" A 1
  env_put "$FILE" AB 2
  env_put "$FILE" A 'three with spaces = and #'
  [[ $(env_get "$FILE" A) == 'three with spaces = and #' ]]
  [[ $(env_get "$FILE" AB) == 2 ]]
  [[ $(wc -l <"$FILE") == 2 ]]
}

@test "the settings file can be sourced" {
  env_put "$FILE" A 'postgres://u:p@127.0.0.1:1/db?x=1&y=2;z'
  [[ $(set -u; . "$FILE"; printf '%s' "$A") == 'postgres://u:p@127.0.0.1:1/db?x=1&y=2;z' ]]
}

@test "a value that would break out of its quotes is refused" {
  for value in "it's" $'two\nlines' '$(id)' '`id`' 'a"b' 'a\b'; do
    run env_put "$FILE" A "$value"
    [[ $status -eq 1 ]]
  done
  run env_put "$FILE" 'A;B' x
  [[ $status -eq 1 ]]
  [[ ! -e $FILE ]]
}

@test "a setting that is missing is a failure" {
  run env_get "$FILE" A
  [[ $status -ne 0 ]]
  env_put "$FILE" AB 1
  run env_get "$FILE" A
  [[ $status -ne 0 ]]
}

@test "a secret is made once" {
  first=$(env_keep "$FILE" SECRET random_hex 24)
  [[ $first =~ ^[0-9a-f]{48}$ ]]
  [[ $(env_keep "$FILE" SECRET random_hex 24) == "$first" ]]
}

@test "a spawned process is found, and gone after it was stopped" {
  spawn sleeper sleep 60
  running sleeper
  pid=$(pid_alive "$STATE/run/sleeper.pid")
  cp "$STATE/run/sleeper.pid" "$STATE/copy"
  [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == "sleep 60 " ]]
  pid_stop "$STATE/run/sleeper.pid" 5
  wait_for 30 pid_gone "$STATE/copy"
  not running sleeper
  [[ ! -e $STATE/run/sleeper.pid ]]
}

@test "a process that ignores the request to end is killed" {
  spawn stubborn "$BASH" -c 'trap "" TERM; while :; do sleep 0.1; done'
  cp "$STATE/run/stubborn.pid" "$STATE/copy"
  sleep 0.3
  run pid_stop "$STATE/run/stubborn.pid" 1
  [[ $status -eq 0 ]]
  pid_gone "$STATE/copy"
}

@test "a pid that belongs to another process by now is left alone" {
  spawn sleeper sleep 60
  pid=$(pid_alive "$STATE/run/sleeper.pid")
  printf '%s 1\n' "$pid" >"$STATE/run/other.pid"
  not running other
  pid_stop "$STATE/run/other.pid" 1
  kill -0 "$pid"
}

@test "a failure says what is wrong and what to do, on standard error" {
  run --separate-stderr die "it broke" "mend it"
  [[ $status -eq 1 && -z $output ]]
  [[ $stderr == *"error: it broke"*"mend it"* ]]
}

@test "too little disk space ends the script with a way out" {
  run need_disk "$STATE/x" 999999999
  [[ $status -eq 1 && $output == *CLAWDEPLOY_MIN_DISK_MIB* ]]
  need_disk "$STATE/x" 1
}

@test "only one run works on a state directory" {
  locked() { ! flock --nonblock "$STATE/lock" true; }
  spawn holder flock "$STATE/lock" sleep 5
  wait_for 30 locked
  run only_one
  [[ $status -eq 0 && $output == *"another run is using"* ]]
  # It waited for the end of the other one.
  wait_for 30 pid_gone "$STATE/run/holder.pid"
}

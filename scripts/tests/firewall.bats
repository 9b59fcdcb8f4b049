#!/usr/bin/env bats
# deploy/firewall.sh with the real iptables and nftables, in a network namespace.
#
# shellcheck disable=SC2016 # another shell expands them

bats_require_minimum_version 1.5.0

FIREWALL=$BATS_TEST_DIRNAME/../../deploy/firewall.sh

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  unshare --net true || skip "no network namespaces here"
}

# inside COMMANDS: runs them in a namespace without other rules. `fw` is the script, with settings that do not depend on
# this machine.
inside() {
  run unshare --net bash -ec 'fw() { bash "$FIREWALL" "$@"; }; '"$1"
}

setup() {
  export FIREWALL CLAWDEPLOY_FIREWALL_DNS=10.9.8.7 CLAWDEPLOY_DEPLOYMENT=bats CLAWDEPLOY_FIREWALL_BACKEND=iptables
}

# missing COMMANDS WORDS: after these commands, check fails with these words, and apply repairs the rules.
missing() {
  inside 'fw apply; chain=$(fw print | head -n 1 | cut -d " " -f 2); '"$1"'
    if fw check; then exit 9; fi; fw apply; fw check'
  [[ $status -eq 0 && $output == *"$2"* ]] || { echo "$1: $status $output"; return 1; }
}

# WATCH starts the script's watch, which ends with its shell; mended N waits until it has repaired the rules N times.
WATCH='said=$(mktemp); CLAWDEPLOY_FIREWALL_WATCH_SECONDS=1 bash "$FIREWALL" watch >"$said" 2>&1 3>&- & pid=$!
  trap "kill $pid 2>/dev/null || true; cat $said; rm $said" EXIT
  mended() { for _ in {1..300}; do if (($(grep -c "in force again" "$said") >= $1)); then return; fi; sleep 0.1; done; return 1; }
'

@test "it says what it would do and does nothing" {
  inside 'iptables -S >/tmp/$$; fw print; iptables -S | cmp - /tmp/$$; rm /tmp/$$'
  [[ $status -eq 0 ]]
  [[ $output == *"-d 10.9.8.7/32 -p udp -m udp --dport 53 -j RETURN"*"-d 10.210.0.0/15 -j REJECT"*"--dst-type LOCAL -j REJECT"* ]]
  [[ $output == *"-d 169.254.0.0/16 -j REJECT"*"-I INPUT 1 -s 10.210.0.0/15"*"-I DOCKER-USER 1 -s 10.210.0.0/15"* ]]
}

@test "once or twice makes no difference, and check tells whether the rules are in force" {
  inside 'if fw check; then exit 9; fi; fw apply; fw check; iptables -S >/tmp/$$; fw apply; iptables -S | diff - /tmp/$$; rm /tmp/$$'
  [[ $status -eq 0 ]] || { echo "$output"; false; }
  inside 'fw apply; iptables -D INPUT 1; if fw check; then exit 9; fi; fw apply; fw check'
  [[ $status -eq 0 ]]
  inside 'fw apply; chain=$(fw print | head -n 1 | cut -d " " -f 2); iptables -D "$chain" 5; if fw check; then exit 9; fi; fw apply; fw check'
  [[ $status -eq 0 ]]
}

# Docker takes FORWARD's jump to DOCKER-USER out for a moment whenever it creates a network.
@test "what FORWARD lets through while its jump is out is dropped" {
  inside '
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    attach() {
      unshare --net sleep 60 3>&- &
      pid=$!
      until [[ $(readlink /proc/$pid/ns/net) != "$(readlink /proc/$$/ns/net)" ]]; do sleep 0.05; done
      ip link add "$1" type veth peer name eth0 netns "$pid"
      ip address add "$2.1/24" dev "$1"
      ip link set "$1" up
      nsenter --net --target "$pid" bash -ec "ip address add $2.2/24 dev eth0; ip link set eth0 up; ip route add default via $2.1"
    }
    attach one 10.210.1
    tenant=$pid
    trap "kill $tenant" EXIT
    attach two 10.210.2
    trap "kill $tenant $pid" EXIT
    # A closed port answers if packets arrive.
    reaches() { timeout 2 "$@" bash -c ": </dev/tcp/10.210.2.2/9" 2>&1 | grep -q "Connection refused"; }
    inside_reaches() { reaches nsenter --net --target "$tenant"; }
    inside_reaches
    fw apply
    if inside_reaches; then exit 9; fi
    iptables -D FORWARD -j DOCKER-USER
    if inside_reaches; then exit 8; fi
    reaches env
    fw apply
    fw remove
    inside_reaches
    [[ -z $(iptables -t mangle -S | grep CLAWDEPLOY) ]]'
  [[ $status -eq 0 ]] || { echo "$status $output"; false; }
}

@test "the guard is put back where it is missing or other" {
  missing 'iptables -t mangle -D POSTROUTING 1' 'POSTROUTING of the table mangle does not jump'
  missing 'iptables -t mangle -D "$chain" 5' 'of the table mangle is missing or has the wrong rules'
  missing 'iptables -t mangle -D POSTROUTING 1; iptables -t mangle -F "$chain"; iptables -t mangle -X "$chain"' 'table mangle is missing'
}

@test "other settings replace the rules, and leave none of the old" {
  inside 'fw apply; export CLAWDEPLOY_NETWORK_POOL=10.64.0.0/16 CLAWDEPLOY_FIREWALL_ALLOW=192.168.7.7,10.1.0.0/16
    if fw check; then exit 9; fi; fw apply; fw check; iptables -S'
  [[ $status -eq 0 ]]
  [[ $output == *"-d 192.168.7.7/32 -j RETURN"*"-d 10.1.0.0/16 -j RETURN"* && $output != *10.210.* ]]
  [[ $(grep -c -- '-A INPUT' <<<"$output") == 1 && $(grep -c -- '-A DOCKER-USER' <<<"$output") == 1 ]]
}

@test "what it removes is its own and all of it; another installation and strangers keep theirs" {
  inside 'iptables -A INPUT -s 10.210.0.0/15 -p tcp --dport 9 -j DROP; iptables -N DOCKER-USER; iptables -S >/tmp/$$
    CLAWDEPLOY_DEPLOYMENT=other fw apply; fw apply; fw remove; fw remove; CLAWDEPLOY_DEPLOYMENT=other fw check
    CLAWDEPLOY_DEPLOYMENT=other fw remove; iptables -S | diff - /tmp/$$; rm /tmp/$$'
  [[ $status -eq 0 ]] || { echo "$output"; false; }
}

@test "switched off it does nothing, and nothing is missing" {
  inside 'export CLAWDEPLOY_FIREWALL=off; fw apply; fw check; iptables -S'
  [[ $status -eq 0 && $output != *CLAWDEPLOY* ]]
}

@test "what is no address is refused before anything is done" {
  for setting in NETWORK_POOL=x 'NETWORK_POOL=10.0.0.0/15 -j ACCEPT' NETWORK_POOL=10.0.0.300 FIREWALL_ALLOW=host.example \
    FIREWALL_ALLOW=10.0.0.0/33 'FIREWALL_DNS=1.1.1.1;id'; do
    inside "export 'CLAWDEPLOY_$setting'; if fw apply; then exit 9; fi; iptables -S"
    [[ $status -eq 0 && $output == *"is not an IPv4"* && $output != *"CLAWDEPLOY-"* ]] || { echo "$setting: $output"; false; }
  done
  run bash "$FIREWALL" open
  [[ $status -eq 2 && $output == *"expected print, apply, check, watch or remove"* ]]
}

@test "check says which of all that is missing, and apply puts it back" {
  missing 'iptables -F' "the chain CLAWDEPLOY-"
  missing 'iptables -F "$chain"' "the chain CLAWDEPLOY-"
  missing 'iptables -F INPUT' "INPUT does not jump to CLAWDEPLOY-"
  missing 'iptables -F DOCKER-USER' "DOCKER-USER does not jump to CLAWDEPLOY-"
  missing 'iptables -F FORWARD' "FORWARD does not jump to DOCKER-USER"
  missing 'iptables -F; iptables -X' "there is no chain CLAWDEPLOY-"
  # The number of rules is right, but one of them is wrong.
  missing 'iptables -R "$chain" 4 -d 10.210.0.0/15 -j ACCEPT' "has the wrong rules"
}

@test "a rule that comes first and lets something pass is seen, and comes second" {
  missing 'iptables -I INPUT 1 -j ACCEPT' "in INPUT other rules come before"
  missing 'iptables -I DOCKER-USER 1 -j RETURN' "in DOCKER-USER other rules come before"
  # As the engine does at its start, with its own chains.
  missing 'iptables -N OWN; iptables -I FORWARD 1 -j OWN' "in FORWARD other rules come before"
  inside 'fw apply; iptables -I INPUT 1 -s 192.0.2.1 -j DROP; iptables -I INPUT 1 -j LOG; fw check
    CLAWDEPLOY_DEPLOYMENT=other CLAWDEPLOY_NETWORK_POOL=10.64.0.0/16 fw apply; fw check
    CLAWDEPLOY_DEPLOYMENT=other CLAWDEPLOY_NETWORK_POOL=10.64.0.0/16 fw check'
  [[ $status -eq 0 ]] || { echo "$output"; false; }
}

@test "rules that another kind of iptables has kept are taken away" {
  command -v iptables-legacy >/dev/null || skip "there is one kind only"
  inside 'iptables-legacy -N "$(fw print | head -n 1 | cut -d " " -f 2)" || { echo none; exit; }
    fw apply 2>/dev/null; fw check; if iptables-legacy -S | grep CLAWDEPLOY-; then exit 9; fi'
  [[ $output != *none* ]] || skip "no legacy tables here"
  [[ $status -eq 0 ]] || { echo "$output"; false; }
}

@test "watch puts back what is taken away within a minute, says so, and leaves the rules when it ends" {
  for flush in 'iptables -F' 'iptables -D INPUT 1'; do
    inside "$WATCH"'
      mended 1; fw check
      '"$flush"'
      mended 2; fw check
      kill "$pid"; wait "$pid"
      fw check'
    [[ $status -eq 0 && $output == *"not in force: "*"in force again"*"the rules stay"* ]] || { echo "$flush: $status $output"; false; }
  done
  inside 'CLAWDEPLOY_FIREWALL=off fw watch; iptables -S'
  [[ $status -eq 0 && $output != *CLAWDEPLOY* ]]
}

@test "where Docker uses nftables the rules are in a table of their own, which is watched likewise" {
  command -v nft >/dev/null || skip "no nft here"
  unset CLAWDEPLOY_FIREWALL_BACKEND
  # Sign of Docker's nftables backend.
  docker='nft add table ip docker-bridges'
  inside 'fw apply; iptables -S | grep CLAWDEPLOY- >/dev/null
    '"$docker"'
    if fw check; then exit 9; fi
    fw apply; fw check; if iptables -S | grep CLAWDEPLOY-; then exit 9; fi
    nft list ruleset >/tmp/$$; fw apply; nft list ruleset | diff - /tmp/$$; rm /tmp/$$
    table=$(nft list tables ip | grep -o "clawdeploy-.*")
    '"$WATCH"'
    times=0
    for change in "flush chain ip $table forward" \
      "insert rule ip $table rules accept" "flush ruleset; add table ip docker-bridges"; do
      nft "$change"; times=$((times + 1)); mended "$times" || { echo "$change"; exit 9; }; fw check
    done
    kill "$pid"; wait "$pid"; fw remove
    if nft list tables | grep clawdeploy-; then echo "still there"; fi'
  [[ $status -eq 0 && $output == *"there is no nftables table"* && $output != *"still there"* ]] || { echo "$status $output"; false; }
}

# WORLD makes this namespace a host with two instances on bridges, like Docker, and a neighbour outside; reach ADDRESS
# tells whether the first instance can connect.
WORLD='
  ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward
  for n in 1 2 3; do
    ip netns add "w$$-$n"; ip link add "v$n" type veth peer name eth0 netns "w$$-$n"; ip link set "v$n" up
    address=10.210.0.$((n * 8)); if ((n == 3)); then address=192.168.77.0; fi
    ip address add "${address%.*}.$((${address##*.} + 1))/29" dev "v$n"
    ip -n "w$$-$n" address add "${address%.*}.$((${address##*.} + 2))/29" dev eth0
    ip -n "w$$-$n" link set eth0 up; ip -n "w$$-$n" route add default via "${address%.*}.$((${address##*.} + 1))"
  done
  trap "for n in 1 2 3; do ip netns delete w$$-\$n; done" EXIT
  # No program listens there, so a connection that gets through is refused by its target.
  try() { LC_ALL=C timeout 2 bash -c "exec 3<>/dev/tcp/$1/7" 2>&1 || true; }
  reach() { [[ $(ip netns exec "w$$-1" bash -c "$(declare -f try); try $1") == *"Connection refused"* ]]; }'

@test "nothing of ours is reached through either kind of rules, and everything without" {
  command -v nft >/dev/null || skip "no nft here"
  for kind in iptables nftables; do
    inside 'export CLAWDEPLOY_FIREWALL_BACKEND='"$kind$WORLD"'
      for address in 10.210.0.9 10.210.0.18 192.168.77.2; do reach "$address"; done
      fw apply
      for address in 10.210.0.9 10.210.0.18 192.168.77.2; do if reach "$address"; then echo "reached $address"; exit 9; fi; done
      [[ $(try 10.210.0.10) == *"Connection refused"* ]]
      CLAWDEPLOY_FIREWALL_ALLOW=192.168.77.2 fw apply; reach 192.168.77.2; if reach 10.210.0.18; then exit 9; fi
      fw remove; reach 10.210.0.18'
    [[ $status -eq 0 ]] || { echo "$kind: $status $output"; false; }
  done
}

@test "whoever runs it passes on every setting that it reads" {
  local name known
  known=$(bash "$FIREWALL" --help | grep -oE 'CLAWDEPLOY_[A-Z_]+' | sort -u)
  [[ $known == *CLAWDEPLOY_FIREWALL_BACKEND* ]]
  for name in $known; do
    grep -qE "^  .*\b$name\b" "$BATS_TEST_DIRNAME/../../deploy/lib/programs.sh" || { echo "the installer lacks $name"; return 1; }
    grep -qE "^      $name: " "$BATS_TEST_DIRNAME/../../deploy/compose/compose.yml" || { echo "compose lacks $name"; return 1; }
  done
}

#!/usr/bin/env bats
# deploy/firewall.sh on iptables itself, in a network namespace of the test's own.
#
# shellcheck disable=SC2016 # another shell expands them

bats_require_minimum_version 1.5.0

FIREWALL=$BATS_TEST_DIRNAME/../../deploy/firewall.sh

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  unshare --net true || skip "no network namespaces here"
}

# inside COMMANDS: where nobody else's rules are, with the script as fw and settings that do not depend on this machine.
inside() {
  run unshare --net bash -ec 'fw() { bash "$FIREWALL" "$@"; }; '"$1"
}

setup() { export FIREWALL CLAWDEPLOY_FIREWALL_DNS=10.9.8.7 CLAWDEPLOY_DEPLOYMENT=bats; }

@test "it says what it would do and does nothing" {
  inside 'iptables -S >/tmp/$$; fw print; iptables -S | cmp - /tmp/$$; rm /tmp/$$'
  [[ $status -eq 0 ]]
  [[ $output == *"-d 10.9.8.7 -p udp -m udp --dport 53 -j RETURN"*"-d 10.210.0.0/15 -j REJECT"*"--dst-type LOCAL -j REJECT"* ]]
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
    [[ $status -eq 0 && $output == *"is no IPv4"* && $output != *"CLAWDEPLOY-"* ]] || { echo "$setting: $output"; false; }
  done
  run bash "$FIREWALL" open
  [[ $status -eq 2 && $output == *"say print, apply, check or remove"* ]]
}

#!/usr/bin/env bash
# Keeps instances away from this machine, from each other and from private networks, by rules of iptables.
set -Eeuo pipefail
shopt -s inherit_errexit

usage() {
  cat <<'END'
Usage: deploy/firewall.sh print | apply | check | remove

What instances send may leave for the internet, and for nothing else: not to this machine (Postgres, Redis, the API,
the workers, Docker), not to other instances, not to private networks, not to a cloud's metadata address. What is
asked of them from here is answered. Rules are in a chain of this installation's own, to which INPUT and DOCKER-USER
lead for what comes from the instances' addresses; no other rule is touched.

  print    shows the rules and changes nothing
  apply    puts them in force; once more where anything differs
  check    succeeds where they are in force as they should be
  remove   takes them away
  --help

Settings: CLAWDEPLOY_FIREWALL (on; off: apply and check do nothing), CLAWDEPLOY_NETWORK_POOL (10.210.0.0/15: the
instances' addresses), CLAWDEPLOY_DEPLOYMENT (clawdeploy: names the chain), CLAWDEPLOY_FIREWALL_ALLOW (addresses or
networks that instances may reach all the same, with commas between), CLAWDEPLOY_FIREWALL_DNS (name servers that they
may ask; by default those of this machine).
END
}

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '  %s\n' "$@" >&2; fi
  exit 1
}

# What is no part of the internet: this network, private, shared, link-local with the metadata address, benchmarks,
# groups and what is reserved.
readonly -a PRIVATE=(0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16
  198.18.0.0/15 224.0.0.0/4 240.0.0.0/4)
readonly REFUSE='REJECT --reject-with icmp-admin-prohibited'

# is_network TEXT: an IPv4 address, or several as CIDR.
is_network() {
  local -a part=()
  [[ $1 =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(/([0-9]|[12][0-9]|3[0-2]))?$ ]] || return 1
  IFS=. read -ra part <<<"${1%/*}"
  ((10#${part[0]} <= 255 && 10#${part[1]} <= 255 && 10#${part[2]} <= 255 && 10#${part[3]} <= 255))
}

# list SETTING: its parts, a line each; dies of one that is no address.
list() {
  local part
  local -a parts=()
  IFS=', ' read -ra parts <<<"${!1:-}"
  for part in "${parts[@]}"; do
    is_network "$part" || die "$1: '$part' is no IPv4 address or network." "Write them as 192.168.1.10,10.20.0.0/16."
    printf '%s\n' "$part"
  done
}

# name_servers: what the engine has containers ask. One on the loopback is this machine's own, which asks others: systemd
# keeps a list of those.
name_servers() {
  if [[ -n ${CLAWDEPLOY_FIREWALL_DNS:-} ]]; then
    list CLAWDEPLOY_FIREWALL_DNS
    return
  fi
  local file found
  for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
    if [[ ! -r $file ]]; then continue; fi
    found=$(awk '$1 == "nameserver" && $2 ~ /^[0-9.]+$/ && $2 !~ /^127\./ { print $2 }' "$file")
    if [[ -n $found ]]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

# rules: of the chain, without the last.
rules() {
  local network protocol servers allowed
  servers=$(name_servers)
  allowed=$(list CLAWDEPLOY_FIREWALL_ALLOW)
  printf -- '-A %s -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n' "$CHAIN"
  for network in $servers; do
    for protocol in udp tcp; do
      printf -- '-A %s -d %s -p %s -m %s --dport 53 -j RETURN\n' "$CHAIN" "$network" "$protocol" "$protocol"
    done
  done
  printf -- '-A %s -d %s -j %s\n' "$CHAIN" "$POOL" "$REFUSE"
  printf -- '-A %s -m addrtype --dst-type LOCAL -j %s\n' "$CHAIN" "$REFUSE"
  for network in $allowed; do printf -- '-A %s -d %s -j RETURN\n' "$CHAIN" "$network"; done
  for network in "${PRIVATE[@]}"; do printf -- '-A %s -d %s -j %s\n' "$CHAIN" "$network" "$REFUSE"; done
}

# whole_chain: all rules; the last one's comment says which they are.
whole_chain() {
  local text digest
  text=$(rules)
  digest=$(sha256sum <<<"$text")
  printf '%s\n' "$text"
  printf -- '-A %s -m comment --comment %s-%s -j RETURN\n' "$CHAIN" "$COMMENT" "${digest:0:12}"
}

# jump: what leads to the chain, but for where from.
jump() { printf -- '-s %s -m comment --comment %s -j %s\n' "$POOL" "$COMMENT" "$CHAIN"; }

tables() { iptables -w 10 "$@"; }

print() {
  whole_chain
  local from
  for from in "${FROM[@]}"; do printf -- '-I %s 1 %s\n' "$from" "$(jump)"; done
}

# jumps_elsewhere FROM: rules there that lead to the chain, but for other addresses.
jumps_elsewhere() { tables -S "$1" 2>/dev/null | tr -d '"' | grep -- "-j $CHAIN\$" | grep -vF -- "-s $POOL " || true; }

apply() {
  local from rule text
  local -a words=()
  text=$(whole_chain)
  # The engine leads through it once it runs, and leaves what is in it alone.
  if ! tables -n -L DOCKER-USER >/dev/null 2>&1; then tables -N DOCKER-USER; fi
  # The chain in one step: there is no moment without its rules.
  printf '*filter\n:%s - [0:0]\n%s\nCOMMIT\n' "$CHAIN" "$text" | iptables-restore -w 10 --noflush
  for from in "${FROM[@]}"; do
    read -ra words <<<"$(jump)"
    if ! tables -C "$from" "${words[@]}" 2>/dev/null; then tables -I "$from" 1 "${words[@]}"; fi
    while read -r rule; do
      if [[ -z $rule ]]; then continue; fi
      read -ra words <<<"-D ${rule#-A }"
      tables "${words[@]}"
    done <<<"$(jumps_elsewhere "$from")"
  done
  if [[ -S /var/run/docker.sock ]] && ! tables -C FORWARD -j DOCKER-USER 2>/dev/null; then
    printf 'warning: FORWARD does not lead through DOCKER-USER: does the Docker engine run with iptables?\n' >&2
  fi
}

check() {
  local from there
  local -a words=()
  there=$(tables -S "$CHAIN" 2>/dev/null | grep -c '^-A') || return 1
  ((there == $(whole_chain | wc -l))) || return 1
  tables -S "$CHAIN" | tr -d '"' | grep -qF -- "$(whole_chain | tail -n 1 | grep -o 'comment clawdeploy[^ ]*')" || return 1
  read -ra words <<<"$(jump)"
  for from in "${FROM[@]}"; do tables -C "$from" "${words[@]}" 2>/dev/null || return 1; done
}

remove() {
  local from rule
  local -a words=()
  for from in "${FROM[@]}"; do
    while read -r rule; do
      if [[ -z $rule ]]; then continue; fi
      read -ra words <<<"-D ${rule#-A }"
      tables "${words[@]}"
    done <<<"$(tables -S "$from" 2>/dev/null | tr -d '"' | grep -- "-j $CHAIN\$" || true)"
  done
  if tables -n -L "$CHAIN" >/dev/null 2>&1; then
    tables -F "$CHAIN"
    tables -X "$CHAIN"
  fi
}

mode=${1:-}
case $mode in
  print | apply | check | remove) ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    printf 'error: say print, apply, check or remove\nSee %s --help.\n' "${0##*/}" >&2
    exit 2
    ;;
esac
if [[ ${CLAWDEPLOY_FIREWALL:-on} == off && $mode =~ ^(apply|check)$ ]]; then exit 0; fi
POOL=${CLAWDEPLOY_NETWORK_POOL:-10.210.0.0/15}
is_network "$POOL" || die "CLAWDEPLOY_NETWORK_POOL: '$POOL' is no IPv4 network." "Write it as 10.210.0.0/15."
deployment=${CLAWDEPLOY_DEPLOYMENT:-clawdeploy}
digest=$(printf '%s' "$deployment" | sha256sum)
# iptables allows 28 characters.
CHAIN=CLAWDEPLOY-${digest:0:10}
COMMENT=clawdeploy-${digest:0:10}
readonly POOL CHAIN COMMENT
readonly -a FROM=(INPUT DOCKER-USER)
if [[ $mode != print ]]; then
  ((EUID == 0)) || die "this needs root."
  command -v iptables-restore >/dev/null || die "there is no iptables here." "Install it: apt-get install iptables"
fi
"$mode"

#!/usr/bin/env bash
# Blocks instances from this machine, from each other and from private networks, with rules of the kernel's packet filter.
set -Eeuo pipefail
shopt -s inherit_errexit

usage() {
  cat <<'END'
Usage: deploy/firewall.sh print | apply | check | watch | remove

Limits instances to the internet: they cannot reach this machine (Postgres, Redis, the API, the workers, Docker), other
instances, private networks or a cloud's metadata address. Replies to connections from this machine are allowed. The
rules are in a chain of this installation, to which INPUT and DOCKER-USER jump for packets from the instances'
addresses. Of other rules, the script only makes sure that FORWARD jumps to DOCKER-USER. Docker takes that jump out and
puts it back whenever it creates a network; packets of such a moment are dropped by the same rules in POSTROUTING of the
table mangle, which Docker leaves alone. If Docker itself uses nftables, which has no DOCKER-USER, the rules are in an
nftables table of this installation. Instances have IPv4 only, and so do the rules.

  print    show the rules and change nothing
  apply    put the rules in force, again if anything differs
  check    succeed if the rules are in force and complete; otherwise say what is missing
  watch    check repeatedly and restore what is missing, until stopped (SIGTERM)
  remove   remove the rules
  --help

Settings: CLAWDEPLOY_FIREWALL (on; off: apply, check and watch do nothing), CLAWDEPLOY_NETWORK_POOL (10.210.0.0/15: the
instances' addresses), CLAWDEPLOY_DEPLOYMENT (clawdeploy: names the chain), CLAWDEPLOY_FIREWALL_ALLOW (addresses or
networks that instances may reach anyway, separated by commas), CLAWDEPLOY_FIREWALL_DNS (name servers that they may
query; by default those of this machine), CLAWDEPLOY_FIREWALL_BACKEND (auto; iptables or nftables: what Docker uses),
CLAWDEPLOY_FIREWALL_WATCH_SECONDS (15: time between two checks of watch).
END
}

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '  %s\n' "$@" >&2; fi
  exit 1
}

# Addresses that are not part of the internet: this network, private, shared, link-local with the metadata address,
# benchmarking, multicast and reserved ones.
readonly -a PRIVATE=(0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16
  198.18.0.0/15 224.0.0.0/4 240.0.0.0/4)
readonly REFUSE='REJECT --reject-with icmp-admin-prohibited'

# --- settings ---------------------------------------------------------------------------------------------------------

# is_network TEXT: an IPv4 address, or several as CIDR.
is_network() {
  local -a part=()
  [[ $1 =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(/([0-9]|[12][0-9]|3[0-2]))?$ ]] || return 1
  IFS=. read -ra part <<<"${1%/*}"
  ((10#${part[0]} <= 255 && 10#${part[1]} <= 255 && 10#${part[2]} <= 255 && 10#${part[3]} <= 255))
}

# canonical NETWORK: as the kernel's tools print it: with a length, and without bits beyond that.
canonical() {
  local bits=32 number
  local -a part=()
  if [[ $1 == */* ]]; then bits=${1#*/}; fi
  IFS=. read -ra part <<<"${1%/*}"
  number=$(((10#${part[0]} << 24 | 10#${part[1]} << 16 | 10#${part[2]} << 8 | 10#${part[3]}) & (0xffffffff << (32 - bits))))
  printf '%d.%d.%d.%d/%d\n' $((number >> 24 & 255)) $((number >> 16 & 255)) $((number >> 8 & 255)) $((number & 255)) "$bits"
}

# list SETTING: prints its parts, one per line; exits if one is not an address.
list() {
  local part
  local -a parts=()
  IFS=', ' read -ra parts <<<"${!1:-}"
  for part in "${parts[@]}"; do
    is_network "$part" || die "$1: '$part' is not an IPv4 address or network." "Write them as 192.168.1.10,10.20.0.0/16."
    canonical "$part"
  done
}

# name_servers: the name servers that the engine gives to containers. One on the loopback is this machine's own and forwards
# to others, which systemd lists.
name_servers() {
  if [[ -n ${CLAWDEPLOY_FIREWALL_DNS:-} ]]; then
    list CLAWDEPLOY_FIREWALL_DNS
    return
  fi
  local file found
  for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
    if [[ ! -r $file ]]; then continue; fi
    found=$(awk '$1 == "nameserver" && $2 ~ /^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$/ && $2 !~ /^127\./ { print $2 "/32" }' "$file")
    if [[ -n $found ]]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

# backend: which backend Docker filters with. Docker's own tables show it while Docker runs; before that, its settings do.
backend() {
  local setting=${CLAWDEPLOY_FIREWALL_BACKEND:-auto}
  if [[ $setting != auto ]]; then
    printf '%s\n' "$setting"
  elif command -v nft >/dev/null && nft list table ip docker-bridges >/dev/null 2>&1; then
    printf 'nftables\n'
  elif grep -qsE '"firewall-backend"[[:space:]]*:[[:space:]]*"nftables"' /etc/docker/daemon.json &&
    ! iptables_of_docker; then
    printf 'nftables\n'
  else
    printf 'iptables\n'
  fi
}

# iptables_of_docker: Docker has its chains in iptables now.
iptables_of_docker() { command -v iptables >/dev/null && tables -n -L DOCKER >/dev/null 2>&1; }

# --- iptables ---------------------------------------------------------------------------------------------------------

# rules: the rules of the chain, without the last.
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

# whole_chain: all rules; the comment of the last identifies them.
whole_chain() {
  local text digest
  text=$(rules)
  digest=$(sha256sum <<<"$text")
  printf '%s\n' "$text"
  printf -- '-A %s -m comment --comment %s-%s -j RETURN\n' "$CHAIN" "$COMMENT" "${digest:0:12}"
}

# jump FROM: the rule that has to be among the first there.
jump() {
  if [[ $1 == FORWARD ]]; then
    printf -- '-j DOCKER-USER\n'
  else
    printf -- '-s %s -m comment --comment %s -j %s\n' "$POOL" "$COMMENT" "$CHAIN"
  fi
}

tables() { iptables -w 10 "$@"; }

# rules_of CHAIN [TABLE]: its current rules.
rules_of() { tables -t "${2:-filter}" -S "$1" 2>/dev/null | tr -d '"' | grep '^-A' || true; }

# delete_rules [TABLE]: deletes the rules that it reads.
delete_rules() {
  local rule
  local -a words=()
  while read -r rule; do
    if [[ -z $rule ]]; then continue; fi
    read -ra words <<<"-D ${rule#-A }"
    tables -t "${1:-filter}" "${words[@]}"
  done
}

# delete_chain [TABLE]: deletes our chain, to which nothing jumps any more.
delete_chain() {
  if tables -t "${1:-filter}" -n -L "$CHAIN" >/dev/null 2>&1; then
    tables -t "${1:-filter}" -F "$CHAIN"
    tables -t "${1:-filter}" -X "$CHAIN"
  fi
}

# place FROM: prints first (the jump is there, and no rule before it can accept anything), later or missing.
place() {
  local rule wanted
  wanted="-A $1 $(jump "$1")"
  local found=first
  while read -r rule; do
    case $rule in
      "$wanted")
        printf '%s\n' "$found"
        return
        ;;
      # Jumps of other installations, and rules that only reject or count.
      *' -j CLAWDEPLOY-'* | *' -j DROP' | *' -j REJECT'* | *' -j LOG'* | *' -j NFLOG'*) ;;
      ?*) found=later ;;
    esac
  done <<<"$(rules_of "$1")"
  printf 'missing\n'
}

# jumps_elsewhere FROM: rules there that jump to the chain for other addresses.
jumps_elsewhere() { rules_of "$1" | grep -- "-j $CHAIN\$" | grep -vF -- "-s $POOL " || true; }

# other_backend: the program of the other iptables variant, if that has a chain of ours, left behind by a switch of variants.
# Its rules still reject packets, so they would outlive `remove` and a change of settings.
other_backend() {
  local other=iptables-nft
  if [[ $(iptables --version) == *nf_tables* ]]; then
    # Query it only if it is in use: a query loads its kernel module.
    grep -qsx filter /proc/net/ip_tables_names || return 0
    other=iptables-legacy
  fi
  if command -v "$other" >/dev/null && "$other" -w 10 -n -L "$CHAIN" >/dev/null 2>&1; then printf '%s\n' "$other"; fi
}

iptables_print() {
  whole_chain
  local from
  for from in "${FROM[@]}"; do printf -- '-I %s 1 %s\n' "$from" "$(jump "$from")"; done
  guard_chain | sed 's/^/-t mangle /'
  printf -- '-t mangle -I POSTROUTING 1 %s\n' "$(guard_jump)"
}

iptables_gaps() {
  local from other
  if ! diff -q <(whole_chain) <(rules_of "$CHAIN") >/dev/null; then
    if tables -n -L "$CHAIN" >/dev/null 2>&1; then printf 'the chain %s has the wrong rules\n' "$CHAIN"
    else printf 'there is no chain %s\n' "$CHAIN"; fi
  fi
  for from in "${FROM[@]}"; do
    local to=$CHAIN
    if [[ $from == FORWARD ]]; then to=DOCKER-USER; fi
    case $(place "$from") in
      missing) printf '%s does not jump to %s\n' "$from" "$to" ;;
      later) printf 'in %s other rules come before the jump to %s\n' "$from" "$to" ;;
    esac
    if [[ -n $(jumps_elsewhere "$from") ]]; then printf '%s jumps to %s for other addresses too\n' "$from" "$CHAIN"; fi
  done
  guard_gaps
  other=$(other_backend)
  if [[ -n $other ]]; then printf '%s has an old chain %s\n' "$other" "$CHAIN"; fi
}

iptables_apply() {
  local from text other
  local -a words=()
  text=$(whole_chain)
  # Once the engine runs, it jumps through this chain and leaves its contents alone.
  if ! tables -n -L DOCKER-USER >/dev/null 2>&1; then tables -N DOCKER-USER; fi
  # Replace the chain in one step: there is no moment without its rules.
  printf '*filter\n:%s - [0:0]\n%s\nCOMMIT\n' "$CHAIN" "$text" | iptables-restore -w 10 --noflush
  for from in "${FROM[@]}"; do
    case $(place "$from") in
      missing)
        read -ra words <<<"$(jump "$from")"
        tables -I "$from" 1 "${words[@]}"
        ;;
      # Remove and insert it in one step, for the same reason.
      later)
        printf '*filter\n-D %s %s\n-I %s 1 %s\nCOMMIT\n' "$from" "$(jump "$from")" "$from" "$(jump "$from")" |
          iptables-restore -w 10 --noflush
        ;;
    esac
    delete_rules <<<"$(jumps_elsewhere "$from")"
  done
  guard_apply
  other=$(other_backend)
  if [[ -n $other ]]; then iptables_remove_by "$other"; fi
}

# iptables_remove_by PROGRAM: removes our rules from that program's tables.
iptables_remove_by() (
  tables() { "$program" -w 10 "$@"; }
  program=$1
  iptables_remove
)

iptables_remove() {
  local from
  for from in "${FROM[@]}"; do delete_rules <<<"$(rules_of "$from" | grep -- "-j $CHAIN\$" || true)"; done
  # Where no Docker is that has it, what leads to DOCKER-USER is the last installation's to take away.
  if [[ $(rules_of DOCKER-USER) != *'-j CLAWDEPLOY-'* ]] && ! tables -n -L DOCKER >/dev/null 2>&1; then
    tables -D FORWARD -j DOCKER-USER 2>/dev/null || true
  fi
  delete_chain
  delete_rules mangle <<<"$(guard_jumps)"
  delete_chain mangle
}

# The guard: the same rules once more, in POSTROUTING of the table mangle, for what FORWARD has let through. Docker (20.10:
# libnetwork's EnsureJumpRule) deletes and inserts FORWARD's jump to DOCKER-USER whenever it creates a network, and a connection
# that begins in between would go on. There a packet can only be dropped, so FORWARD stays the one that refuses with an answer.

guard_chain() { whole_chain | sed "s/ -j $REFUSE\$/ -j DROP/"; }

# guard_jump: not for packets of this machine's own, whose addresses in the instances' networks are among theirs.
guard_jump() { printf -- '-s %s -m addrtype ! --src-type LOCAL -m comment --comment %s -j %s\n' "$POOL" "$COMMENT" "$CHAIN"; }

guard_jumps() { rules_of POSTROUTING mangle | grep -- "-j $CHAIN\$" || true; }

guard_gaps() {
  if ! diff -q <(guard_chain) <(rules_of "$CHAIN" mangle) >/dev/null; then
    printf 'the chain %s of the table mangle is missing or has the wrong rules\n' "$CHAIN"
  fi
  if [[ $(guard_jumps) != "-A POSTROUTING $(guard_jump)" ]]; then
    printf 'POSTROUTING of the table mangle does not jump to %s as it should\n' "$CHAIN"
  fi
}

guard_apply() {
  local rule text
  text=$(guard_chain)
  {
    printf '*mangle\n:%s - [0:0]\n%s\n' "$CHAIN" "$text"
    while read -r rule; do
      if [[ -n $rule ]]; then printf -- '-D %s\n' "${rule#-A }"; fi
    done <<<"$(guard_jumps)"
    printf -- '-I POSTROUTING 1 %s\nCOMMIT\n' "$(guard_jump)"
  } | iptables-restore -w 10 --noflush
}

# --- nftables ---------------------------------------------------------------------------------------------------------

# nft_table: the table of this installation. The kernel evaluates the chains of all tables, and a packet that one rejects is
# rejected. So the order does not matter, and Docker's tables can come and go.
nft_table() {
  local network servers allowed digest
  servers=$(name_servers)
  allowed=$(list CLAWDEPLOY_FIREWALL_ALLOW)
  printf 'table ip %s {\n' "$TABLE"
  printf '\tchain rules {\n'
  printf '\t\tct state established,related return\n'
  for network in $servers; do
    printf '\t\tip daddr %s udp dport 53 return\n\t\tip daddr %s tcp dport 53 return\n' "${network%/32}" "${network%/32}"
  done
  printf '\t\tip daddr %s %s\n' "$POOL" "$NFT_REFUSE"
  printf '\t\tfib daddr type local %s\n' "$NFT_REFUSE"
  for network in $allowed; do printf '\t\tip daddr %s return\n' "${network%/32}"; done
  for network in "${PRIVATE[@]}"; do printf '\t\tip daddr %s %s\n' "$network" "$NFT_REFUSE"; done
  printf '\t}\n'
  for network in input forward; do
    printf '\n\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n' "$network" "$network"
    printf '\t\tip saddr %s jump rules\n\t}\n' "$POOL"
  done
  printf '}\n'
}

nftables_print() { nft_table; }

nftables_gaps() {
  local now
  if ! now=$(nft list table ip "$TABLE" 2>/dev/null); then
    printf 'there is no nftables table %s\n' "$TABLE"
  elif ! diff -q <(nft_normal <<<"$(nft_table)") <(nft_normal <<<"$now") >/dev/null; then
    printf 'the nftables table %s has the wrong rules\n' "$TABLE"
  fi
}

# nft_normal: without the differences between nft versions.
nft_normal() { sed -E 's/^[[:space:]]+//; s/priority filter - 10/priority -10/; s/established,related/related,established/; s/icmp type //; /^$/d'; }

nftables_apply() {
  # Replace it in one step: there is no moment without the rules.
  printf 'table ip %s\ndelete table ip %s\n%s\n' "$TABLE" "$TABLE" "$(nft_table)" | nft -f -
}

nftables_remove() { if nft list table ip "$TABLE" >/dev/null 2>&1; then nft delete table ip "$TABLE"; fi; }

# --- verbs ------------------------------------------------------------------------------------------------------------

print() { "$(backend)_print"; }

# apply: also removes rules of the other backend, once Docker uses this one.
apply() {
  local kind
  kind=$(backend)
  "${kind}_apply"
  if [[ $kind == nftables ]]; then
    if command -v iptables >/dev/null; then iptables_remove; fi
  elif command -v nft >/dev/null; then
    nftables_remove
  fi
}

gaps() { "$(backend)_gaps"; }

check() {
  local missing
  missing=$(gaps)
  if [[ -z $missing ]]; then return 0; fi
  printf '%s\n' "$missing" >&2
  return 1
}

remove() {
  if command -v iptables >/dev/null; then
    iptables_remove
    local other
    other=$(other_backend)
    if [[ -n $other ]]; then iptables_remove_by "$other"; fi
  fi
  if command -v nft >/dev/null; then nftables_remove; fi
}

# watch: runs each check in its own process, so that a failure does not end the watch.
watch() {
  local ended='' missing sleeper
  trap 'ended=yes' TERM INT
  printf 'watching the rules of %s, every %s s\n' "$CHAIN" "$WATCH_SECONDS"
  while [[ -z $ended ]]; do
    if ! missing=$(bash "$SELF" check 2>&1); then
      printf 'not in force: %s\n' "${missing//$'\n'/; }"
      if bash "$SELF" apply && bash "$SELF" check; then printf 'the rules are in force again\n'
      else printf 'error: the rules could not be restored; trying again in %s s\n' "$WATCH_SECONDS" >&2; fi
    fi
    # A signal interrupts wait, but not sleep.
    sleep "$WATCH_SECONDS" &
    sleeper=$!
    wait "$sleeper" || true
    kill "$sleeper" 2>/dev/null || true
  done
  printf 'stopped; the rules stay\n'
}

mode=${1:-}
case $mode in
  print | apply | check | watch | remove) ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    printf 'error: expected print, apply, check, watch or remove\nSee %s --help.\n' "${0##*/}" >&2
    exit 2
    ;;
esac
if [[ ${CLAWDEPLOY_FIREWALL:-on} == off && $mode =~ ^(apply|check|watch)$ ]]; then exit 0; fi
POOL=${CLAWDEPLOY_NETWORK_POOL:-10.210.0.0/15}
is_network "$POOL" || die "CLAWDEPLOY_NETWORK_POOL: '$POOL' is not an IPv4 network." "Write it as 10.210.0.0/15."
POOL=$(canonical "$POOL")
WATCH_SECONDS=${CLAWDEPLOY_FIREWALL_WATCH_SECONDS:-15}
[[ $WATCH_SECONDS =~ ^[1-9][0-9]?$ ]] || die "CLAWDEPLOY_FIREWALL_WATCH_SECONDS: '$WATCH_SECONDS' is not a number from 1 to 99."
[[ ${CLAWDEPLOY_FIREWALL_BACKEND:-auto} =~ ^(auto|iptables|nftables)$ ]] ||
  die "CLAWDEPLOY_FIREWALL_BACKEND: '$CLAWDEPLOY_FIREWALL_BACKEND' is not auto, iptables or nftables."
deployment=${CLAWDEPLOY_DEPLOYMENT:-clawdeploy}
digest=$(printf '%s' "$deployment" | sha256sum)
# iptables allows 28 characters.
CHAIN=CLAWDEPLOY-${digest:0:10}
COMMENT=clawdeploy-${digest:0:10}
TABLE=clawdeploy-${digest:0:10}
SELF=$(readlink -f -- "${BASH_SOURCE[0]}")
readonly POOL CHAIN COMMENT TABLE SELF WATCH_SECONDS
readonly NFT_REFUSE='reject with icmp admin-prohibited'
readonly -a FROM=(INPUT DOCKER-USER FORWARD)
if [[ $mode != print ]]; then
  ((EUID == 0)) || die "this needs root."
  if [[ $(backend) == nftables ]]; then
    command -v nft >/dev/null || die "nft is not installed." "Install it: apt-get install nftables"
  else
    command -v iptables-restore >/dev/null || die "iptables is not installed." "Install it: apt-get install iptables"
  fi
fi
"$mode"

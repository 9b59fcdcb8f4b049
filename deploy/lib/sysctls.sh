# shellcheck shell=bash
# Kernel limits for many instances (deploy/sysctl/clawdeploy.conf). Needs common.sh and changes.sh.
#
# shellcheck disable=SC2034,SC2154 # install.sh sets what is read here, and reads what is set

readonly SYSCTLS=$ROOT/deploy/sysctl/clawdeploy.conf
# Tests have others.
SYSCTL_CONF=${SYSCTL_CONF:-/etc/sysctl.d/60-clawdeploy.conf}
PROC_SYS=${PROC_SYS:-/proc/sys}

# sysctl_path NAME
sysctl_path() { printf '%s\n' "$PROC_SYS/${1//.//}"; }

# sysctls_wanted: prints NAME VALUE NOW of each limit that this machine has and that is not already higher.
sysctls_wanted() {
  local name equals value now
  while read -r name equals value; do
    [[ $equals == '=' && -r $(sysctl_path "$name") ]] || continue
    now=$(<"$(sysctl_path "$name")")
    # Larger than what bash can count counts as higher.
    if ((${#now} > 18)) || ((now > value)); then continue; fi
    printf '%s %s %s\n' "$name" "$value" "$now"
  done <"$SYSCTLS"
}

# sysctls_low: names of the limits that are lower than wanted.
sysctls_low() { sysctls_wanted | awk '$3 < $2 { print $1 }'; }

# sysctls_ensure: raises what is too low, now and at every boot. Never lowers anything.
sysctls_ensure() {
  local temp name value now
  local -a low=()
  mapfile -t low < <(sysctls_low)
  if [[ ! -w $(sysctl_path fs.inotify.max_user_instances) ]]; then
    # In a container: the host has to be set.
    if ((${#low[@]})); then
      todo+=("raise the kernel's limits on the host, which this machine cannot: copy deploy/sysctl/clawdeploy.conf to /etc/sysctl.d there (${low[*]})")
    fi
    return
  fi
  temp=$(mktemp)
  {
    printf '# Written by deploy/install.sh: what is lower on this machine than in deploy/sysctl/clawdeploy.conf.\n'
    sysctls_wanted | awk '{ print $1 " = " $2 }'
  } >"$temp"
  file_ensure "$temp" "$SYSCTL_CONF" 0644
  rm -f -- "$temp"
  while read -r name value now; do
    if ((now < value)); then change "raising $name from $now to $value" sysctl_put "$name" "$value"; fi
  done < <(sysctls_wanted)
}

sysctl_put() {
  if ! printf '%s\n' "$2" >"$(sysctl_path "$1")"; then todo+=("raise $1 to $2: the kernel refused it"); fi
}

# sysctls_remove: the values stay until the next boot.
sysctls_remove() { remove "$SYSCTL_CONF"; }

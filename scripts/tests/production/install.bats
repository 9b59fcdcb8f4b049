#!/usr/bin/env bats
# deploy/install.sh on a fresh Debian, from installation to removal. It has no systemd: systemd.bats tests the units,
# and their programs are started here with the same settings.

bats_require_minimum_version 1.5.0

setup_file() {
  [[ $EUID -eq 0 ]] || skip "needs root"
  export STATE=$BATS_FILE_TMPDIR/state DIR=$BATS_FILE_TMPDIR
  libraries
  machine_make "$DIR" >"$DIR/make.log" 2>&1 || { tail -n 30 "$DIR/make.log"; return 1; }
  machine_start "$DIR"
  on_machine /opt/binaries/clawdeploy-api --version || skip "what was compiled here does not run on Debian 12"
}

teardown_file() {
  libraries
  machine_stop
  # The machine shares our network.
  bash "$ROOT/deploy/firewall.sh" remove
  base_image_discard "$DIR/root"
}

setup() { libraries; }

# libraries: once per process, because their variables are readonly.
libraries() {
  if declare -F machine_make >/dev/null; then return; fi
  source "$BATS_TEST_DIRNAME/../../lib/common.sh"
  source "$BATS_TEST_DIRNAME/../../lib/packages.sh"
  source "$BATS_TEST_DIRNAME/../../lib/docker.sh"
  source "$BATS_TEST_DIRNAME/../../lib/base-image.sh"
  source "$BATS_TEST_DIRNAME/machine.bash"
}

install_sh() { run on_machine /opt/clawdeploy/deploy/install.sh --binaries /opt/binaries "$@"; }

# everything: all files that an installation may change, with owner, mode and content.
everything() {
  on_machine bash -c 'find /etc /usr/local /usr/lib/sysusers.d /usr/lib/tmpfiles.d /data /var/lib/redis -xdev \
      -printf "%p %U:%G %m %l\n" | sort; find /etc /usr/local -xdev -type f -exec sha256sum {} + | sort -k 2'
}

file_is() {
  local now
  now=$(on_machine stat -c '%U:%G %a' "$1")
  [[ $now == "$2" ]] || { echo "$1: $now"; return 1; }
}

setting_of() { on_machine bash -c "sed -n \"s/^$2='\\(.*\\)'/\\1/p\" /etc/clawdeploy/$1.env"; }

@test "a dry run says what it would do and does nothing" {
  before=$(everything)
  install_sh --dry-run
  [[ $status -eq 0 ]]
  for what in "installing " "creating the user clawdeploy-api" "setting CLAWDEPLOY_DATABASE_URL" "would be made" \
    "writing /etc/systemd/system/clawdeploy-api.service" "creating the administrator"; do
    [[ $output == *"$what"* ]] || { echo "missing: $what"; false; }
  done
  [[ $(everything) == "$before" ]]
}

@test "it installs, and shows the first administrator's password" {
  install_sh --admin-email boss@example.test
  [[ $status -eq 0 ]]
  [[ $output == *"Email     boss@example.test"* ]]
  grep -oP 'Password  \K[0-9a-f]{24}$' <<<"$output" >"$DIR/password"
  [[ $output == *"certificate"* || $output == *"set up nginx"* ]]
}

@test "each secret is readable for whom it is meant, and both keys are the same" {
  file_is /etc/clawdeploy "root:root 711"
  file_is /etc/clawdeploy/api.env "root:root 600"
  file_is /etc/clawdeploy/worker.env "root:root 600"
  file_is /etc/clawdeploy/api.key "clawdeploy-api:clawdeploy-api 600"
  file_is /etc/clawdeploy/worker.key "root:root 600"
  file_is /etc/redis/redis-clawdeploy.conf "redis:redis 640"
  on_machine cmp /etc/clawdeploy/api.key /etc/clawdeploy/worker.key
  [[ $(on_machine base64 -d /etc/clawdeploy/api.key | wc -c) == 32 ]]
  run on_machine setpriv --reuid=clawdeploy-api --regid=clawdeploy-api --clear-groups cat /etc/clawdeploy/worker.env
  [[ $status -ne 0 ]]
  [[ $(on_machine id -nG clawdeploy-api) == clawdeploy-api ]]
}

@test "the limits of a kernel that is not the machine's own are left alone" {
  run on_machine test -e /etc/sysctl.d/60-clawdeploy.conf
  [[ $status -ne 0 ]]
}

@test "the instances' firewall is in force, now and at every boot" {
  on_machine /usr/local/sbin/clawdeploy-firewall check
  run on_machine iptables -S INPUT
  [[ $output == *"-s 10.210.0.0/15"*"-j CLAWDEPLOY-"* ]]
  on_machine test -e /etc/systemd/system/multi-user.target.wants/clawdeploy-firewall.service
}

@test "the units are enabled, one worker by default" {
  for link in multi-user.target.wants/clawdeploy.target clawdeploy.target.wants/clawdeploy-api.service \
    clawdeploy.target.wants/clawdeploy-worker@1.service; do
    on_machine test -e "/etc/systemd/system/$link"
  done
  run on_machine ls /etc/systemd/system/clawdeploy.target.wants
  [[ $(wc -l <<<"$output") == 2 ]]
}

@test "what was installed runs: Redis by its file, the API under its name, and the administrator signs in" {
  on_machine install -d -o redis -g redis /run/redis-clawdeploy
  on_machine runuser -u redis -- redis-server /etc/redis/redis-clawdeploy.conf --daemonize yes
  # A free port outside of those for outgoing connections, because the machine shares our network.
  on_machine bash -c 'set -a; . /etc/clawdeploy/api.env; set +a; cd /
    export CLAWDEPLOY_LISTEN=127.0.0.1:'"$(free_port 29500)"'; echo "$CLAWDEPLOY_LISTEN" >/root/listen
    setsid --fork sh -c "echo \$\$ >/root/api.pid; exec setpriv --reuid=clawdeploy-api --regid=clawdeploy-api \
      --clear-groups --no-new-privs --bounding-set=-all /usr/local/bin/clawdeploy-api serve" >/root/api.log 2>&1'
  listen=$(on_machine cat /root/listen)
  wait_for 60 on_machine env CLAWDEPLOY_LISTEN="$listen" clawdeploy-api healthcheck || {
    on_machine cat /root/api.log
    false
  }
  run on_machine curl --silent --noproxy '*' "http://$listen/readyz"
  [[ $output == *'"postgres":"ok"'*'"redis":"ok"'* ]]
  run on_machine curl --silent --noproxy '*' --write-out '%{http_code}' -H 'Content-Type: application/json' \
    -d "{\"email\":\"boss@example.test\",\"password\":\"$(cat "$DIR/password")\"}" "http://$listen/api/auth/login"
  [[ $output == *200 ]]
  run on_machine bash -c "tr '\\0' ' ' </proc/\$(cat /run/redis-clawdeploy/redis-server.pid)/cmdline"
  [[ $output != *"$(setting_of api CLAWDEPLOY_REDIS_URL | sed -E 's,.*default:([^@]*)@.*,\1,')"* ]]
}

@test "a second run changes nothing and shows no password" {
  before=$(everything)
  install_sh --admin-email boss@example.test
  [[ $status -eq 0 && $output == *"nothing had to be changed"* && $output != *Password* ]]
  [[ $(everything) == "$before" ]]
}

@test "a run later mends what is missing and keeps what an operator has set" {
  on_machine sed -i "s/^CLAWDEPLOY_BASE_DOMAIN=.*/CLAWDEPLOY_BASE_DOMAIN='apps.example.test'/" \
    /etc/clawdeploy/worker.env
  on_machine sh -c "echo \"CLAWDEPLOY_LOG_FORMAT='json'\" >>/etc/clawdeploy/api.env"
  on_machine rm /etc/systemd/system/clawdeploy.target
  on_machine chmod 0644 /etc/clawdeploy/worker.key
  install_sh --admin-email boss@example.test --workers 3
  [[ $status -eq 0 && $output == *"4 change(s) made"* ]] || { echo "$output"; false; }
  [[ $(setting_of worker CLAWDEPLOY_BASE_DOMAIN) == apps.example.test && $(setting_of api CLAWDEPLOY_LOG_FORMAT) == json ]]
  file_is /etc/clawdeploy/worker.key "root:root 600"
  on_machine test -e /etc/systemd/system/clawdeploy.target.wants/clawdeploy-worker@3.service
}

@test "without being told the number of workers stays; fewer ends the others" {
  install_sh --admin-email boss@example.test
  [[ $output == *"nothing had to be changed"* ]]
  install_sh --admin-email boss@example.test --workers 1
  [[ $output == *"stopping worker 3"* ]]
  run on_machine ls /etc/systemd/system/clawdeploy.target.wants
  [[ $output != *"@2"* && $output == *"@1"* ]]
}

@test "workers without root get a name, the group docker and one line of sudo" {
  install_sh --admin-email boss@example.test --unprivileged-worker
  [[ $status -eq 0 ]]
  file_is /etc/sudoers.d/clawdeploy "root:root 440"
  file_is /etc/clawdeploy/worker.key "clawdeploy-worker:clawdeploy-worker 600"
  [[ $(on_machine id -nG clawdeploy-worker) == *docker* ]]
  run on_machine sudo -n -l -U clawdeploy-worker
  [[ $(grep -A 9 'may run' <<<"$output" | tail -n +2) == "    (root) NOPASSWD: /usr/sbin/nginx -s reload" ]]
}

@test "with a certificate nginx serves the site and the instances' names, and not before" {
  on_machine test -x /opt/clawdeploy/deploy/nginx/render.sh || skip "no templates in this tree"
  if port_taken 80 || port_taken 443 || port_taken 8079; then skip "something listens on nginx's ports here"; fi
  run on_machine test -e /etc/nginx/sites-enabled/clawdeploy
  [[ $status -ne 0 ]]
  on_machine bash -c 'domain=apps.example.test; live=/etc/letsencrypt/live/$domain; mkdir -p $live
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$domain" \
      -addext "subjectAltName=DNS:*.$domain,DNS:$domain,DNS:panel.claw.a2a.ing" -keyout $live/privkey.pem \
      -out $live/fullchain.pem 2>/dev/null'
  install_sh --admin-email boss@example.test
  [[ $status -eq 0 && $output == *"enabling the nginx site"*"starting nginx"* ]]
  run on_machine curl --silent --noproxy '*' --cacert /etc/letsencrypt/live/apps.example.test/fullchain.pem \
    --resolve apps.example.test:443:127.0.0.1 --write-out '%{http_code} %{redirect_url}' https://apps.example.test/
  [[ $output == *"302 https://panel.claw.a2a.ing/" ]]
  install_sh --admin-email boss@example.test
  [[ $output == *"nothing had to be changed"* ]]
  on_machine nginx -s stop
}

@test "uninstalling keeps data, database and settings, and says where they are" {
  install_sh --uninstall
  [[ $status -eq 0 && $output == *"/data/clawdeploy"*"--purge"* ]]
  on_machine test -s /etc/clawdeploy/worker.key
  for gone in /usr/local/bin/clawdeploy-api /etc/systemd/system/clawdeploy.target.wants /etc/sudoers.d/clawdeploy; do
    run on_machine test -e "$gone"
    [[ $status -ne 0 ]]
  done
  install_sh --admin-email boss@example.test
  [[ $status -eq 0 && $output != *Password* ]]
}

@test "purging asks first" {
  install_sh --uninstall --purge
  [[ $status -eq 1 && $output == *"--purge --yes"* ]]
  on_machine test -s /etc/clawdeploy/worker.key
}

@test "purging leaves nothing of it" {
  on_machine bash -c 'kill "$(cat /root/api.pid)" "$(cat /run/redis-clawdeploy/redis-server.pid)"'
  install_sh --uninstall --purge --yes
  [[ $status -eq 0 ]]
  # Only its own rules: other installations of this machine have other chains.
  chain=$(bash "$ROOT/deploy/firewall.sh" print | grep -o 'CLAWDEPLOY-[0-9a-f]*' | sort -u)
  run iptables -S
  [[ $status -eq 0 && -n $chain && $output != *"$chain"* ]]
  run on_machine find / -xdev -iname '*clawdeploy*' -not -path '/opt/*' -not -path '/run/*'
  [[ -z $output ]]
  run on_machine sh -c 'getent passwd | grep clawdeploy; cd /; runuser -u postgres -- psql -qtAc "SELECT datname FROM pg_database WHERE datname = '"'clawdeploy'"' UNION SELECT rolname FROM pg_roles WHERE rolname LIKE '"'clawdeploy%'"'"'
  [[ -z $output ]]
}

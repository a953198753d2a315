#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed at a point (each write of a file that must survive, each change of the network
# and by SQL, each child process while it runs and after it ended), and the plan is run again: it must
# converge, serve, and have lost nothing.
# Each point starts from the same saved guest and disk. Uses guest a of agent_host.sh, recreated.
# usage: kill_worker.sh [EVERY [SCENARIO…]]   every point with 1, each 31st without an argument, with 0
#                                             one of each scenario; in the order of this list
#   packages  a bare guest; points of the packages' step only
#   words     the same, and also each word of apt on how far it is: some 400 points, of which a fifth
#             is tried when other scenarios are named, too
#   make      packages are there; disk, database, web server and application are made
#   move      the same, and the package's own data directory holds a database
#   again     everything is there, with data; the root disk has lost its settings, the application
#             gets a new version and the volume has grown
# The plan of a real node, the only member of its cluster, run by the service while no controller
# answers; the service runs it again by itself, and the coordinator decides alone:
#   cluster   packages are there
#   rejoin    the same, and the data disk has the data of a cluster that ran on another root disk; the
#             volume has grown
#   decide    the same; not the worker is killed but what decides and starts the database: the
#             supervisor, its look at the position of the data, its start of the database, the row
#             of the epoch that it writes then
set -euo pipefail
cd "$(dirname "$0")/../.."
host=tests/hosts/agent_host.sh
dir=${MTEST_DIR:-/tmp/mtest}
build=build/hooks
name=${MTEST_NAME:-mtest}
root=$dir/lxc/$name-a/rootfs
image=$dir/$name-a.disk
asked=${1:-31}
every=$asked
shift || true
scenarios=("$@")
[ $# -gt 0 ] || scenarios=(packages words make move again cluster rejoin decide)
size=$((3 * 1024 * 1024 * 1024))
layers=()

run() { "$host" run a "$@"; }
fail() {
  echo "kill_worker: $*" >&2
  tail -n 20 "$dir/kill.log" "$dir/again.log" >&2 || true
  run sh -c 'systemctl list-jobs; journalctl -b --no-pager -o short-precise' >"$dir/guest.log" 2>&1 || true
  exit 1
}

archive() { # version
  local d
  d=$(mktemp -d)
  mkdir -p "$d/site/upload"
  echo "<?php echo 'version $1';" >"$d/site/index.php"
  # shellcheck disable=SC2016
  echo '<?php $m = new mysqli("localhost", "demo", "pw1", "demo"); $m->query("CREATE TABLE IF NOT EXISTS t (k INT PRIMARY KEY)");' >"$d/site/install.php"
  echo "version $1" >"$d/site/upload/shipped"
  tar -C "$d" -cf "$root/root/site$1.tar" site
  rm -rf "$d"
}

plan() { # version
  local v=$1 sha volume filesystem=xfs
  sha=$(sha256sum "$root/root/site$v.tar" | cut -d' ' -f1)
  volume=$("$host" volume a)
  cat >"$root/root/plan.json" <<JSON
{"version":1,"deployment":"kill","node":"a","rev":"${sha:0:16}","secrets":{"db":"pw1"},"resources":[
{"type":"package","id":"package:all","names":["xfsprogs","mariadb-server","apache2","libapache2-mod-php","php-mysql","php-cli"]},
{"type":"disk","id":"disk:data","ahead":true,"volume":"$volume","size":$size,"filesystem":"$filesystem","deployment":"kill"},
{"type":"mount","id":"mount:data","ahead":true,"volume":"$volume","path":"/media/data","filesystem":"$filesystem","deployment":"kill"},
{"type":"datadir","id":"datadir:db","path":"/media/data/mysql","mount":"/media/data","service":"mariadb"},
{"type":"service","id":"service:mariadb","name":"mariadb","enabled":true,"running":true},
{"type":"php","id":"php:settings","settings":{"memory_limit":"64M"}},
{"type":"web","id":"web:apache","root":"/var/www/html","modules":["rewrite"],"site":""},
{"type":"sql","id":"sql:demo","database":"demo","user":"demo","password":"\${secret:db}"},
{"type":"archive","id":"archive:demo","ahead":true,"url":"file:/root/site$v.tar","sha256":"$sha","root":"/var/www/html"},
{"type":"app","id":"app:demo","name":"demo","archive":{"url":"file:/root/site$v.tar","sha256":"$sha"},"root":"/var/www/html",
 "strip":1,"writable":["upload"],"config":[{"path":"conf.php","content":"<?php"}],"install":[{"php":"install.php"}],
 "installer":true,"database":"demo"},
{"type":"grow","id":"grow:data","volume":"$volume","path":"/media/data","filesystem":"$filesystem"}]}
JSON
}

# The same as a real node has it, in the place where the service looks for it.
node_plan() { # version
  plan "$1"
  [ -f "$root/root/tls.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 99 \
    -subj /CN=a -keyout "$root/root/tls.key" -out "$root/root/tls.pem" 2>/dev/null
  jq --rawfile cert "$root/root/tls.pem" --rawfile key "$root/root/tls.key" '.resources |= [{type: "route", id: "route:private", mac: "02:77:00:00:01:01", address: "10.5.0.2/24",
      via: "10.5.0.1", to: ["10.6.0.0/24"]}] + map(
    if .type == "package" then .names += ["mariadb-backup", "galera-4", "socat", "rsync", "stunnel4", "openssl"]
    elif .type == "service" then {type: "galera", id: "galera:kill", cluster: "kill", node: "a",
      address: "10.5.0.2", members: [{name: "a", address: "10.5.0.2"}], segment: 0, weight: 1, settings: {},
      tls: {ca: $cert, cert: $cert, key: $key}, datadir: "/media/data/mysql", mount: "/media/data"}
    elif .type == "sql" then {type: "synced", id: "synced:kill", cluster: "kill", mount: "/media/data"}, .
    else . end)' "$root/root/plan.json" >"$root/root/node.json"
  mv "$root/root/node.json" "$root/root/plan.json"
  install -m 600 "$root/root/plan.json" "$root/var/lib/muster-agent/plan.json"
}
hex() { od -An -v -tx1 | tr -d ' \n'; }
public() { openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | hex; }
# What enrolment leaves behind: a controller's keys, this machine's own, the signed roster.
enrol() {
  local d net=$root/var/lib/muster-agent/net roster
  d=$(mktemp -d)
  openssl genpkey -algorithm ed25519 -out "$d/sign"
  openssl genpkey -algorithm x25519 -out "$d/own"
  mkdir -p "$root/etc/muster-agent" "$net"
  jq -n --arg sign "$(public "$d/sign")" '{v: 1, deployment: "kill", node: "a", enrol: "tcp://10.9.9.9:5561",
    main: "tcp://10.9.9.9:5562", controller_key: $sign, sign_key: $sign}' >"$root/etc/muster-agent/bootstrap.json"
  roster=$(jq -nc --arg key "$(public "$d/own")" '{v: 1, deployment: "kill", epoch: 1, members: [{name: "a", key: $key,
    address: "10.5.0.2", port: 7410, weight: 1, segment: 0, role: "data"}]}')
  printf %s "$roster" >"$d/roster"
  openssl pkeyutl -sign -rawin -inkey "$d/sign" -in "$d/roster" -out "$d/sig"
  jq -n --arg roster "$roster" --arg sig "$(hex <"$d/sig")" '{roster: $roster, sig: $sig}' >"$net/roster.json"
  openssl pkey -in "$d/own" -outform DER | tail -c 32 | hex >"$net/curve.key"
  chmod 600 "$net/curve.key"
  run chown -R muster-agent: /var/lib/muster-agent/net
  rm -rf "$d"
  # The service removes the file with the kill: so that none of its programs is killed again.
  mkdir -p "$root/etc/systemd/system/muster-agent.service.d"
  printf '[Service]\nEnvironment=MUSTER_KILL_ONCE=/root/kill\n' >"$root/etc/systemd/system/muster-agent.service.d/kill.conf"
}

# --- the saved guest: layers of its root, a copy of its disk ---------------------------------------
running() { timeout 60 "$host" run a systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded'; }
stop() {
  "$host" stop a 2>/dev/null || true
  ! mountpoint -q "$root" || umount "$root"
  for l in $(losetup -n -O NAME -j "$image"); do
    delpart "$l" 1 2>/dev/null || true
    losetup -d "$l"
  done
}
start() {
  "$host" start a
  local end=$((SECONDS + 60))
  until running; do
    [ $SECONDS -lt $end ] || fail "the guest does not start"
    sleep 0.1
  done
}
remove() { # the agent makes the directory below its mount immutable
  chattr -R -f -i "$@" 2>/dev/null || true
  rm -rf "$@"
}
drop_upper() {
  remove "$dir/upper" "$dir/work"
  mkdir -p "$dir/upper" "$dir/work"
}
mount_root() {
  local lower
  printf -v lower ':%s' "${layers[@]}"
  mount -t overlay "$name-a" -o "lowerdir=${lower:1},upperdir=$dir/upper,workdir=$dir/work" "$root"
}
keep() { # the guest is stopped
  mv "$dir/upper" "$dir/layer${#layers[@]}"
  layers=("$dir/layer${#layers[@]}" "${layers[@]}")
  cp --sparse=always "$image" "${layers[0]}.disk"
}
save() { # what the guest and its disk are now is what each point starts from
  run sync
  stop
  keep
}
forget() { # what was saved last
  remove "${layers[0]}" "${layers[0]}.disk"
  layers=("${layers[@]:1}")
}
reset() {
  stop
  drop_upper
  cp --sparse=always "${layers[0]}.disk" "$image"
  truncate -s $size "$image"
  mount_root
}
clean() {
  stop
  drop_upper
  for l in "${layers[@]}"; do
    remove "$l" "$l.disk"
  done
  rm -rf "$dir/upper" "$dir/work"
  "$host" down
}

save_packages() { # the packages of the plan, by the agent, and nothing else of it
  run muster-agent apply /root/packages.json >"$dir/kill.log" 2>&1 || fail "packages"
  save
}

killed_plan=/root/plan.json
words=() # of the environment
apply() { run muster-agent apply /root/plan.json; }
# A way starts the guest, kills the run at point N and runs again; $killed says whether there was
# such a point.
by_hand() {
  local status=0
  start
  run env MUSTER_KILL_AT="$1" "${words[@]}" muster-agent apply $killed_plan >"$dir/kill.log" 2>&1 || status=$?
  [ "$status" = 0 ] || [ "$status" = 137 ] || fail "killed at point $1: exit status $status"
  apply >"$dir/again.log" 2>&1 || fail "the run after a kill at point $1"
  killed=$((status == 137))
}
victim=apply # a word of its command line
by_service() {
  echo "$victim $1" >"$root/root/kill"
  start
  wait_ready || fail "$victim killed at point $1: the service does not get through"
  killed=1
  [ ! -e "$root/root/kill" ] || killed=0
}
wait_ready() {
  local end=$((SECONDS + 180)) status=0
  until is_ready; do
    if [ $SECONDS -ge $end ]; then
      status=1
      break
    fi
    sleep 0.5
  done
  run journalctl --no-pager -o short-precise -u muster-agent -u mariadb >"$dir/kill.log"
  return $status
}
is_ready() { run muster-agent status --json 2>/dev/null | jq -e '.phase == "ready" and .coordinator.state == "primary" and .db.epoch_row' >/dev/null; }
way=by_hand
# points NAME CHECK…: a kill at each point that is to be tried, then a run, then the checks. A single one
# is the seventh, or the first where there are not so many.
points() {
  local name=$1 n tried=0 begun=$SECONDS steps single=7
  shift
  for ((n = every ? 1 : single; ; n += every)); do
    reset
    steps=$(jq '.resources | length' "$root/root/plan.json")
    $way "$n"
    for check in "$@"; do "$check" || fail "$name, after a kill at point $n: $check"; done
    apply >"$dir/again.log" 2>&1 || fail "$name, a further run after a kill at point $n"
    grep -q " 0 changed, $steps ok" "$dir/again.log" || fail "$name, a further run after a kill at point $n changes something"
    if [ "$killed" = 1 ]; then
      tried=$((tried + 1))
      echo "$name: point $n" >>"$dir/kill.progress"
      [ "$every" -gt 0 ] || break
    elif [ "$every" -gt 0 ] || [ $n -eq 1 ]; then
      break
    else
      n=1
    fi
  done
  [ "$tried" -gt 0 ] || fail "$name: never killed; was it built with kill points?"
  echo "$name: killed at $tried points up to $n, converged each time, nothing lost ($((SECONDS - begun)) s)"
}
packaged() { [ -z "$(run dpkg --audit)" ] && [ ! -e "$root/usr/sbin/policy-rc.d" ]; }
serves() { [ "$(run curl -s http://127.0.0.1/)" = "version $version" ]; }
on_disk() { [ "$(run mysql -N -e 'SELECT @@datadir')" = /media/data/mysql/ ]; }
has_shop() { [ "$(run mysql -N -e 'SELECT SUM(k) FROM shop.t')" = 5050 ] && run test -s /var/lib/mysql/shop/t.ibd; }
has_data() {
  [ "$(run cat /media/data/important)" = keep ] && [ "$(run cat /var/www/html/upload/photo)" = mine ] &&
    [ "$(run mysql -N -e 'SELECT k FROM demo.t')" = 42 ]
}
sql_is() { [ "$(run mysql -N -e "$1")" = "$2" ]; } # query answer
is_synced() {
  sql_is "SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM information_schema.GLOBAL_STATUS
    WHERE VARIABLE_NAME IN ('wsrep_cluster_size', 'wsrep_cluster_status', 'wsrep_local_state_comment')" 1,Primary,Synced
}
has_history() { # of the cluster: the old one goes on
  sql_is "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_state_uuid'" "$history" &&
    sql_is 'SELECT SUM(k) FROM shop.t' 5050 && sql_is 'SELECT k FROM demo.t' 42 &&
    [ "$(run cat /media/data/important)" = keep ]
}
is_shut() { run sh -c '[ ! -e /run/muster-agent/start-permit ] && [ ! -e /run/muster-agent/mariadb.env ]'; }
has_route() { [[ "$(run ip route show 10.6.0.0/24)" == *"via 10.5.0.1 dev eth1"* && -s $root/etc/network/interfaces.d/60-muster-eth1 ]]; }
has_grown() { [ "$(run stat -fc '%b' /media/data)" -gt 1000000 ]; } # of 4 KiB
without_disk() { # the database must not start on the root disk
  run sh -c 'systemctl stop mariadb && umount /media/data && mv /etc/fstab /etc/fstab.away && systemctl daemon-reload'
  ! run systemctl start mariadb 2>/dev/null || return 1
  ! run sh -c 'ls /media/data/mysql' >/dev/null 2>&1 || return 1
  run sh -c 'mv /etc/fstab.away /etc/fstab && systemctl daemon-reload && mount /media/data && systemctl reset-failed mariadb && systemctl start mariadb'
}

cmake -G Ninja -S . -B $build -DCMAKE_BUILD_TYPE=None -DMUSTER_TEST_HOOKS=ON -DMUSTER_TESTS=OFF >/dev/null
cmake --build $build --target muster-agent-deb >/dev/null
"$host" down
mkdir -p "$dir"
: >"$dir/kill.progress"
rm -rf "$dir"/layer* "$dir/upper" "$dir/work"
trap clean EXIT
"$host" up
"$host" stop b
cp $build/muster-agent.deb "$root/root/"
archive 1
archive 2
run sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install /root/muster-agent.deb >/dev/null'
run sync
stop
mv "$root" "$dir/layer0"
mkdir "$root"
layers=("$dir/layer0")
cp --sparse=always "$image" "$dir/layer0.disk"
version=1

reset
plan 1
jq '.resources |= map(select(.type == "package"))' "$root/root/plan.json" >"$root/root/packages.json"
start
save
killed_plan=/root/packages.json
for scenario in "${scenarios[@]}"; do
  case $scenario in
    packages) points packages packaged serves on_disk without_disk ;;
    words)
      words=(MUSTER_KILL_WORDS=1)
      [ ${#scenarios[@]} -eq 1 ] || every=$((every * 5))
      points words packaged serves on_disk without_disk
      ;;
  esac
done
killed_plan=/root/plan.json
words=()
every=$asked
reset
start
save_packages
for scenario in "${scenarios[@]}"; do
  case $scenario in
    make) points make serves on_disk without_disk ;;
    move)
      reset
      start
      run sh -c 'systemctl start mariadb && mysql -e "CREATE DATABASE shop; USE shop; CREATE TABLE t ENGINE=InnoDB AS SELECT seq AS k FROM seq_1_to_100"'
      save
      points move serves on_disk has_shop
      forget
      ;;
    again)
      reset
      start
      apply >"$dir/kill.log" 2>&1 || fail "the run before the data"
      run sh -c 'echo keep >/media/data/important; echo mine >/var/www/html/upload/photo; mysql -e "INSERT INTO demo.t VALUES (42)"
        systemctl stop mariadb apache2; umount /media/data; sed -i /muster\|media/d /etc/fstab
        rm -f /etc/mysql/mariadb.conf.d/*muster* /etc/apache2/sites-*/muster.conf /var/www/html/conf.php'
      size=$((size * 2))
      version=2
      plan 2
      save
      points again serves on_disk has_data has_grown
      forget
      size=$((size / 2))
      version=1
      ;;
  esac
done

wants() { [[ " ${scenarios[*]} " == *" $1 "* ]]; }
if wants cluster || wants rejoin || wants decide; then
  way=by_service
  reset
  start
  node_plan 1
  enrol
  jq '.resources |= map(select(.type == "package"))' "$root/root/plan.json" >"$root/root/packages.json"
  save_packages
fi
if wants cluster; then points cluster is_synced on_disk serves has_route; fi
if wants rejoin || wants decide; then
  reset
  start
  wait_ready || fail "the run before the data"
  run sh -c 'echo keep >/media/data/important; mysql -e "INSERT INTO demo.t VALUES (42); CREATE DATABASE shop; USE shop;
    CREATE TABLE t (k INT PRIMARY KEY) ENGINE=InnoDB AS SELECT seq AS k FROM seq_1_to_100"'
  history=$(run mysql -N -e "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_state_uuid'")
  run sync
  stop
  cp --sparse=always "$image" "${layers[0]}.disk" # nothing else of that machine is left
  size=$((size * 2))
  reset
  node_plan 1
  stop
  keep
fi
if wants rejoin; then points rejoin is_synced on_disk serves has_route has_history has_grown; fi
if wants decide; then
  for victim in position boot row run; do points "decide-$victim" is_synced is_shut on_disk serves has_history; done
fi
echo "data safe"

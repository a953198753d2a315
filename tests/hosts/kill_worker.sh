#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed at a point (each write of a file that must survive, each child process while it
# runs and after it ended), and the plan is run again: it must converge, serve, and have lost nothing.
# Each point starts from the same saved guest and disk. Uses guest a of agent_host.sh, made anew.
# usage: kill_worker.sh [EVERY [SCENARIO…]]   every point with 1, each 31st without an argument; in the
#                                             order of this list
#   packages  a bare guest; points of the packages' step only
#   words     the same, and also each word of apt on how far it is: some 400 points, of which a fifth
#             is tried when other scenarios are named, too
#   make      packages are there; disk, database, web server and application are made
#   move      the same, and the package's own data directory holds a database
#   again     everything is there, with data; the root disk has lost its settings, the application
#             gets a new version and the volume has grown
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
[ $# -gt 0 ] || scenarios=(packages words make move again)
size=$((3 * 1024 * 1024 * 1024))
layers=()

run() { "$host" run a "$@"; }
fail() {
  echo "kill_worker: $*" >&2
  tail -n 20 "$dir/kill.log" "$dir/again.log" >&2 || true
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
{"type":"web","id":"web:apache","root":"/var/www/html","modules":["rewrite"],"health":"/health"},
{"type":"sql","id":"sql:demo","database":"demo","user":"demo","password":"\${secret:db}"},
{"type":"archive","id":"archive:demo","ahead":true,"url":"file:/root/site$v.tar","sha256":"$sha","root":"/var/www/html"},
{"type":"app","id":"app:demo","name":"demo","archive":{"url":"file:/root/site$v.tar","sha256":"$sha"},"root":"/var/www/html",
 "strip":1,"writable":["upload"],"config":[{"path":"conf.php","content":"<?php"}],"install":[{"php":"install.php"}],
 "installer":true,"database":"demo"},
{"type":"grow","id":"grow:data","volume":"$volume","path":"/media/data","filesystem":"$filesystem"}]}
JSON
}

# --- the saved guest: layers of its root, a copy of its disk ---------------------------------------
running() { run systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; }
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
drop_upper() {
  chattr -R -f -i "$dir/upper" 2>/dev/null || true
  rm -rf "$dir/upper" "$dir/work"
  mkdir -p "$dir/upper" "$dir/work"
}
mount_root() {
  local lower
  printf -v lower ':%s' "${layers[@]}"
  mount -t overlay "$name-a" -o "lowerdir=${lower:1},upperdir=$dir/upper,workdir=$dir/work" "$root"
}
save() { # what the guest and its disk are now is what each point starts from
  run sync
  stop
  mv "$dir/upper" "$dir/layer${#layers[@]}"
  layers=("$dir/layer${#layers[@]}" "${layers[@]}")
  cp --sparse=always "$image" "$dir/saved"
}
reset() {
  stop
  drop_upper
  cp --sparse=always "$dir/saved" "$image"
  truncate -s $size "$image"
  mount_root
}
clean() {
  stop
  drop_upper
  for l in "${layers[@]}"; do
    chattr -R -f -i "$l" 2>/dev/null || true
    rm -rf "$l"
  done
  rm -rf "$dir/saved" "$dir/upper" "$dir/work"
  "$host" down
}

killed_plan=/root/plan.json
words=() # of the environment
apply() { run muster-agent apply /root/plan.json; }
# points NAME CHECK…: a kill at each point that is to be tried, then a run, then the checks
points() {
  local name=$1 n status tried=0 begun=$SECONDS
  shift
  for ((n = 1; ; n += every)); do
    reset
    start
    status=0
    run env MUSTER_KILL_AT="$n" "${words[@]}" muster-agent apply $killed_plan >"$dir/kill.log" 2>&1 || status=$?
    [ "$status" = 0 ] || [ "$status" = 137 ] || fail "$name, killed at point $n: exit status $status"
    apply >"$dir/again.log" 2>&1 || fail "$name, the run after a kill at point $n"
    for check in "$@"; do "$check" || fail "$name, after a kill at point $n: $check"; done
    apply >"$dir/again.log" 2>&1 || fail "$name, a further run after a kill at point $n"
    grep -q ' 0 changed, 11 ok' "$dir/again.log" || fail "$name, a further run after a kill at point $n changes something"
    [ "$status" = 137 ] || break
    tried=$((tried + 1))
    echo "$name: point $n" >>"$dir/kill.progress"
  done
  [ "$tried" -gt 0 ] || fail "$name: the worker was never killed; was it built with kill points?"
  echo "$name: killed at $tried points below $n, converged each time, nothing lost ($((SECONDS - begun)) s)"
}
packaged() { [ -z "$(run dpkg --audit)" ] && [ ! -e "$root/usr/sbin/policy-rc.d" ]; }
serves() { [ "$(run curl -s http://127.0.0.1/)" = "version $version" ]; }
on_disk() { [ "$(run mysql -N -e 'SELECT @@datadir')" = /media/data/mysql/ ]; }
has_shop() { [ "$(run mysql -N -e 'SELECT SUM(k) FROM shop.t')" = 5050 ] && run test -s /var/lib/mysql/shop/t.ibd; }
has_data() {
  [ "$(run cat /media/data/important)" = keep ] && [ "$(run cat /var/www/html/upload/photo)" = mine ] &&
    [ "$(run mysql -N -e 'SELECT k FROM demo.t')" = 42 ]
}
has_grown() { [ "$(run stat -fc '%b' /media/data)" -gt 1000000 ]; } # of 4 KiB
without_disk() { # the database must not start on the root disk
  run sh -c 'systemctl stop mariadb && umount /media/data && mv /etc/fstab /etc/fstab.away && systemctl daemon-reload'
  ! run systemctl start mariadb 2>/dev/null || return 1
  ! run sh -c 'ls /media/data/mysql' >/dev/null 2>&1 || return 1
  run sh -c 'mv /etc/fstab.away /etc/fstab && systemctl daemon-reload && mount /media/data && systemctl reset-failed mariadb && systemctl start mariadb'
}

cmake -G Ninja -S . -B $build -DCMAKE_BUILD_TYPE=Release -DMUSTER_TEST_HOOKS=ON >/dev/null
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
cp --sparse=always "$image" "$dir/saved"
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
# The packages of the plan, by the agent, and nothing else of it.
reset
start
run muster-agent apply /root/packages.json >"$dir/kill.log" 2>&1 || fail "packages"
save
for scenario in "${scenarios[@]}"; do
  case $scenario in
    make) points make serves on_disk without_disk ;;
    move)
      reset
      start
      run sh -c 'systemctl start mariadb && mysql -e "CREATE DATABASE shop; USE shop; CREATE TABLE t ENGINE=InnoDB AS SELECT seq AS k FROM seq_1_to_100"'
      save
      points move serves on_disk has_shop
      rm -rf "${layers[0]}" # back to the state before
      layers=("${layers[@]:1}")
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
      ;;
  esac
done
echo "data safe"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed at every journal write and at every child process, one point further each
# time, until a run of the plan ends by itself; then the same with data in place and a new version
# of the application. At the end the data must be there. Uses guest a of agent_host.sh, made anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
host=tests/hosts/agent_host.sh
dir=${MTEST_DIR:-/tmp/mtest}
build=build/hooks
root=$dir/lxc/mtest-a/rootfs/root
most=${1:-150}

run() { "$host" run a "$@"; }
fail() { echo "kill_worker: $*" >&2; exit 1; }

archive() { # version
  local d
  d=$(mktemp -d)
  mkdir -p "$d/site/upload"
  echo "<?php echo 'version $1';" >"$d/site/index.php"
  # shellcheck disable=SC2016
  echo '<?php $m = new mysqli("localhost", "demo", "pw1", "demo"); $m->query("CREATE TABLE IF NOT EXISTS t (k INT PRIMARY KEY)");' >"$d/site/install.php"
  echo "version $1" >"$d/site/upload/shipped"
  tar -C "$d" -cf "$root/site$1.tar" site
  rm -rf "$d"
}

plan() { # version
  local v=$1 sha volume
  sha=$(sha256sum "$root/site$v.tar" | cut -d' ' -f1)
  volume=$("$host" volume a)
  cat >"$root/plan.json" <<JSON
{"version":1,"deployment":"kill","node":"a","rev":"${sha:0:16}","secrets":{"db":"pw1"},"resources":[
{"type":"package","id":"package:all","names":["mariadb-server","apache2","libapache2-mod-php","php-mysql","php-cli"]},
{"type":"disk","id":"disk:data","volume":"$volume","size":3221225472,"filesystem":"ext4","deployment":"kill"},
{"type":"mount","id":"mount:data","volume":"$volume","path":"/media/data","filesystem":"ext4","deployment":"kill"},
{"type":"datadir","id":"datadir:db","path":"/media/data/mysql","mount":"/media/data","service":"mariadb"},
{"type":"service","id":"service:mariadb","name":"mariadb","enabled":true,"running":true},
{"type":"php","id":"php:settings","settings":{"memory_limit":"64M"}},
{"type":"web","id":"web:apache","root":"/var/www/html","modules":["rewrite"],"health":"/health"},
{"type":"sql","id":"sql:demo","database":"demo","user":"demo","password":"\${secret:db}"},
{"type":"app","id":"app:demo","name":"demo","archive":{"url":"file:/root/site$v.tar","sha256":"$sha"},"root":"/var/www/html",
 "strip":1,"writable":["upload"],"config":[{"path":"conf.php","content":"<?php"}],"install":[{"php":"install.php"}],
 "installer":true,"database":"demo"}]}
JSON
}

# Prints how many times the worker was killed before a run ended by itself.
kill_through() {
  local n status
  for ((n = 1; n <= most; n++)); do
    status=0
    run env MUSTER_KILL_AT="$n" muster-agent apply /root/plan.json >"$dir/kill.log" 2>&1 || status=$?
    [ "$status" -ne 0 ] || { echo $((n - 1)); return; }
    [ "$status" -eq 137 ] || { tail -n 5 "$dir/kill.log" >&2; fail "killed at point $n: exit status $status"; }
  done
  fail "not converged after $most kills"
}

cmake -G Ninja -S . -B $build -DCMAKE_BUILD_TYPE=Release -DMUSTER_TEST_HOOKS=ON >/dev/null
cmake --build $build --target muster-agent-deb >/dev/null
"$host" down
"$host" up
trap '"$host" down' EXIT
cp $build/muster-agent.deb "$root/"
run sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install /root/muster-agent.deb >/dev/null'
archive 1
archive 2

plan 1
echo "first run: killed $(kill_through) times"
run sh -c 'echo keep >/media/data/important; echo mine >/var/www/html/upload/photo; mysql -e "INSERT INTO demo.t VALUES (42)"; sync'
# What may have been lost on the root disk is made again; what is on the data disk is only found.
run sh -c 'systemctl stop mariadb apache2; umount /media/data; sed -i /muster\|media/d /etc/fstab
  rm -f /etc/mysql/mariadb.conf.d/*muster* /etc/apache2/sites-*/muster.conf /var/www/html/conf.php'
plan 2
echo "second run: killed $(kill_through) times"
[ "$(run cat /media/data/important)" = keep ] || fail "the file on the data disk is gone"
[ "$(run cat /var/www/html/upload/photo)" = mine ] || fail "the site's file is gone"
[ "$(run mysql -N -e 'SELECT k FROM demo.t')" = 42 ] || fail "the row is gone"
[ "$(run curl -s http://127.0.0.1/)" = "version 2" ] || fail "the site does not serve version 2"
run muster-agent apply /root/plan.json | grep -q '0 changed, 9 ok' || fail "a further run changes something"
echo "data safe"

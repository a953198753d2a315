#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What goes wrong on a machine, one after the other in one guest of agent_host.sh: each time a clear
# failed event, nothing broken, and the next run goes on. A repository of its own, made by the test
# and served on the guest's loopback, is the mirror that misbehaves. Then drift, told and not repaired.
# usage: bad_days.sh [muster-agent.deb]
set -euo pipefail
cd "$(dirname "$0")/../.."
host=tests/hosts/agent_host.sh
deb=${1:-build/pkg/muster-agent.deb}
dir=${MTEST_DIR:-/tmp/mtest}
root=$dir/lxc/${MTEST_NAME:-mtest}-a/rootfs
out=$(mktemp)

fail() { echo "bad_days: $*" >&2; cat "$out" >&2; exit 1; }
run() { "$host" run a "$@"; }
say() { printf '%4d s  %s\n' $SECONDS "$*"; }
until_ok() {
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "still not true: $*"
    sleep 0.1
  done
}
plan() { # resources
  printf '{"version":1,"deployment":"b","node":"a","rev":"0000000000000001","resources":[%s]}\n' "$1" >"$root/root/plan.json"
}
apply() { run muster-agent apply /root/plan.json >"$out" 2>&1; }
# The run ends with a failed event that says all of the words.
fails() { # word…
  local w
  ! apply || fail "the run did not fail"
  for w in "$@"; do
    grep '^failed' "$out" | grep -qF -- "$w" || fail "no failed event says '$w'"
  done
  [ ! -e "$root/usr/sbin/policy-rc.d" ] || fail "policy-rc.d was left behind"
}
goes_on() { apply || fail "the next run failed"; }
package() { # name…: the plan has this package of the test's repository
  plan "{\"type\":\"package\",\"id\":\"package:all\",\"lock_timeout\":3,\"names\":[\"$1\"]}"
}
# A package of $2 MiB that cannot be compressed, of version $3 in directory $4.
make_package() {
  run sh -c 'set -e; d=$4/$1; mkdir -p "$d/DEBIAN" "$d/usr/share/$1"
    printf "Package: %s\nVersion: $3\nArchitecture: all\nMaintainer: t <t@localhost>\nDescription: t\n" "$1" >"$d/DEBIAN/control"
    head -c "${2}M" /dev/urandom >"$d/usr/share/$1/data"
    dpkg-deb -Znone -b "$d" "$d.deb" >/dev/null; rm -r "$d"' sh "$1" "$2" "${3:-1}" "${4:-/srv/repo}"
}
# Valid-Until makes apt ask the clock. The directory is served as http://127.0.0.1:8080/.
publish() { # [directory]
  run sh -c 'set -e; cd "$1"; rm -f Packages Release
    for p in *.deb; do dpkg-deb -f "$p"; printf "Filename: %s\nSize: %s\nSHA256: %s\n\n" "$p" "$(stat -c %s "$p")" "$(sha256sum <"$p" | cut -d" " -f1)"; done >Packages
    { printf "Suite: test\nDate: %s\nValid-Until: %s\nSHA256:\n" "$(date -uR)" "$(date -uR -d "+7 days")"
      printf " %s %s Packages\n" "$(sha256sum <Packages | cut -d" " -f1)" "$(stat -c %s Packages)"; } >Release' sh "${1:-/srv/repo}"
}

"$host" down
gnupg=$(mktemp -d)
trap '"$host" down; gpgconf --homedir "$gnupg" --kill all; rm -rf "$out" "$gnupg"' EXIT
"$host" up
cp "$deb" "$root/root/agent.deb"
until_ok run systemctl is-active dbus
run sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -oDpkg::Use-Pty=0 install /root/agent.deb mariadb-server galera-4 apache2 libapache2-mod-php php-cli python3-minimal libfaketime >/dev/null' 2>"$out" || fail "set-up"
for p in one two half late full; do make_package muster-test-$p 1; done
make_package muster-test-big 24
publish
run sh -c 'rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
  echo "deb [trusted=yes] http://127.0.0.1:8080/ ./" >/etc/apt/sources.list
  printf "Acquire::Retries 0;\n" >/etc/apt/apt.conf.d/90test
  cat >/root/mirror.py' <<'PY'
# Serves a directory at an address: answers 404 where a file NAME.404 is, half of it where NAME.half is.
import os, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 8080)); s.listen(16)
while True:
    c, _ = s.accept()
    while True:
        request = b""
        while b"\r\n\r\n" not in request:
            part = c.recv(65536)
            if not part: break
            request += part
        if not part: break
        path = sys.argv[2] + "/" + os.path.basename(request.split()[1].decode())
        if os.path.exists(path + ".404") or not os.path.exists(path):
            c.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"); continue
        data = open(path, "rb").read()
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
        if os.path.exists(path + ".half"):
            c.sendall(data[:len(data) // 2]); break
        c.sendall(data)
    c.close()
PY
run systemd-run -q --unit mirror python3 /root/mirror.py 127.0.0.1 /srv/repo
until_ok run curl -sf http://127.0.0.1:8080/Release
say "ready"

# Somebody else has apt's lock: it waits, says for whom, gives up with an error; then goes on.
package muster-test-one
run systemd-run -q --unit holder python3 -c 'import fcntl,time
f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX); open("/run/held", "w"); time.sleep(600)'
until_ok run test -e /run/held
fails "python3" "keeps the package system locked"
grep -q '^progress.*waits for python3' "$out" || fail "no progress event says for whom it waits"
run systemctl stop holder
goes_on
say "lock held by another process"

# The mirror answers 404, or half a file.
touch "$root/srv/repo/muster-test-two.deb.404"
package muster-test-two
fails "http://127.0.0.1:8080/muster-test-two.deb" "404"
rm "$root/srv/repo/muster-test-two.deb.404"
goes_on
say "404"
touch "$root/srv/repo/muster-test-half.deb.half"
package muster-test-half
fails "http://127.0.0.1:8080/muster-test-half.deb"
rm "$root/srv/repo/muster-test-half.deb.half"
goes_on
say "half a file"

# A repository that its own key signs. Another key in the plan: nothing is installed. Then its package
# is, although the machine's own mirror has a higher version of it.
key() { # name: makes it
  gpg --homedir "$gnupg" --batch --quiet --passphrase '' --quick-gen-key "$1" ed25519 sign never 2>/dev/null
}
armored() { # key: as the controller writes it into plans
  echo "-----BEGIN PGP PUBLIC KEY BLOCK-----"
  echo
  gpg --homedir "$gnupg" --export "$1" | base64 -w 64
  echo "-----END PGP PUBLIC KEY BLOCK-----"
}
from_signed() { # key
  plan "{\"type\":\"package\",\"id\":\"package:all\",\"lock_timeout\":3,\"names\":[\"muster-test-own\"],\"repository\":{\"url\":\"http://127.0.0.2:8080\",\"suite\":\"./\",\"components\":[],
    \"key\":$(armored "$1" | jq -Rs .)}}"
}
own_version() { run dpkg-query -W -f '${Version}' muster-test-own 2>/dev/null || true; }
source=$root/etc/apt/sources.list.d/muster-all.sources
make_package muster-test-own 1 2
publish
make_package muster-test-own 1 1 /srv/signed
publish /srv/signed
key right
key wrong
gpg --homedir "$gnupg" --batch --quiet --local-user right --clearsign <"$root/srv/signed/Release" >"$root/srv/signed/InRelease"
run systemd-run -q --unit signed python3 /root/mirror.py 127.0.0.2 /srv/signed
until_ok run curl -sf http://127.0.0.2:8080/InRelease
from_signed wrong
fails "http://127.0.0.2:8080" "NO_PUBKEY" "the key in the plan is not the one that signs this repository"
if [ -n "$(own_version)" ] || [ -e "$source" ]; then fail "something of a repository with the wrong key is there"; fi
from_signed right
goes_on
[ "$(own_version)" = 1 ] || fail "version $(own_version) came instead of the repository's"
run muster-agent check /root/plan.json >"$out" 2>&1 || fail "a second look differs"
# What is served is not what was signed.
run sed -i s/^Suite:.*/Suite:\ other/ /srv/signed/InRelease
rm "$source"
fails "http://127.0.0.2:8080" "BADSIG"
[ ! -e "$source" ] || fail "a repository that is not what its key signed became a source"
package muster-test-own
goes_on
if [ -e "$root/etc/apt/preferences.d/muster-all" ] || [ "$(own_version)" != 1 ]; then fail "the repository is still there, or its package is not"; fi
say "signed repository"

# The clock is a year late, or early.
make_package muster-test-clock 1
publish
package muster-test-clock
for offset in -365d +365d; do
  run sh -c 'echo "$1" >/etc/faketimerc; echo /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 >/etc/ld.so.preload
    date >/dev/null' sh $offset
  fails "clock"
  rm "$root/etc/ld.so.preload"
done
goes_on
say "clock off by a year"

# The root disk is full: in the middle of unpacking, and altogether.
run sh -c 'mkdir -p /usr/share/muster-test-big && mount -t tmpfs -o size=8m small /usr/share/muster-test-big'
package muster-test-big
fails "muster-test-big" "No space left"
run umount /usr/share/muster-test-big
package muster-test-full
goes_on
package muster-test-big
goes_on
say "disk full while unpacking"
run sh -c 'mkdir -p /srv/small && mount -t tmpfs -o size=1m small /srv/small && head -c 1M /dev/zero >/srv/small/fill || true'
plan '{"type":"file","id":"file:f","path":"/srv/small/f","content":"0123456789"}'
fails "/srv/small/f" "No space left"
[ ! -e "$root/srv/small/f" ] || fail "a part of the file is there"
run rm /srv/small/fill
goes_on
say "no room for a file"

# The data disk is full when the data directory is to be made, and when the database is to run.
on_data="\"volume\":\"$("$host" volume a)\",\"filesystem\":\"ext4\",\"deployment\":\"b\""
disk="{\"type\":\"disk\",\"id\":\"disk:d\",\"size\":$((3 << 30)),$on_data},{\"type\":\"mount\",\"id\":\"mount:d\",\"path\":\"/media/d\",$on_data}"
datadir='{"type":"datadir","id":"datadir:d","path":"/media/d/mysql","mount":"/media/d","service":"mariadb"}'
fill() { run sh -c 'head -c 4G /dev/zero >/media/d/fill 2>/dev/null || test -s /media/d/fill'; }
plan "$disk"
goes_on
fill
plan "$disk,$datadir"
fails "datadir:d" "No space left on /media/d" "make the volume larger"
run test ! -e /media/d/mysql
run rm /media/d/fill
goes_on
fill
plan "$disk,$datadir,{\"type\":\"synced\",\"id\":\"synced:d\",\"cluster\":\"b\",\"mount\":\"/media/d\"}"
fails "synced:d" "No space left on /media/d" "the database cannot run"
run rm /media/d/fill
plan "$disk,$datadir"
goes_on
say "data disk full"

# The root disk became read-only: for the run, in a view of its own, as the guest's writers hold it.
package muster-test-late
# shellcheck disable=SC2016
view='mount --bind / /mnt; mount -o remount,ro,bind /mnt; for d in proc sys dev run tmp; do mount --rbind /$d /mnt/$d; done; exec chroot /mnt "$@"'
apply() { run unshare -m sh -ec "$view" sh muster-agent apply /root/plan.json >"$out" 2>&1; }
fails "ead-only file system"
apply() { run muster-agent apply /root/plan.json >"$out" 2>&1; }
goes_on
say "read-only root"

# dpkg was killed in the middle.
run sh -c 'dpkg --remove muster-test-one muster-test-two >/dev/null && dpkg --unpack /srv/repo/muster-test-one.deb >/dev/null'
package muster-test-one
goes_on
[ -z "$(run dpkg --audit)" ] || fail "dpkg --audit complains"
say "interrupted dpkg"

# PHP is disabled in Apache, alone or with the MPM that it needs: its code is not served, the check says
# why, the next run repairs it.
page() { # path: the answer's body and status line
  # shellcheck disable=SC2016
  run php -r '$c = stream_context_create(["http" => ["ignore_errors" => true]]);
    echo @file_get_contents("http://127.0.0.1" . $argv[1], false, $c), " ", $http_response_header[0] ?? "no answer";' "$1" | tr "\n" " " >"$out"
}
plan '{"type":"web","id":"web:a","root":"/var/www/html","modules":["rewrite"],"site":""}'
goes_on
# shellcheck disable=SC2016
echo '<?php $password = "s3cret"; echo 6 * 7;' >"$root/var/www/html/code.php"
# shellcheck disable=SC2016
for how in 'a2dismod -q -f "$1"' 'a2dismod -q -f "$1" mpm_prefork && a2enmod -q mpm_event'; do
  page /code.php
  grep -q '^42 .* 200' "$out" || fail "PHP does not run"
  run sh -ec "$how; systemctl restart apache2" sh "$(basename "$(ls "$root"/etc/apache2/mods-available/php*.load)" .load)" >"$out" 2>&1 || fail "PHP cannot be disabled"
  page /code.php
  { grep -q ' 403' "$out" && ! grep -q s3cret "$out"; } || fail "code is served as text"
  code=0
  run muster-agent check /root/plan.json >"$out" 2>&1 || code=$?
  { [ $code -eq 10 ] && grep -q 'PHP is not active in Apache' "$out"; } || fail "check: exit status $code"
  goes_on
done
page /code.php
grep -q '^42 .* 200' "$out" || fail "PHP does not run"
say "PHP disabled"

# The power went when apache2 was configured for the first time, and PHP's MPM was enabled already: its
# own script fails for ever then.
run sh -ec 'systemctl stop apache2; sed -i "/^Package: apache2$/,/^$/s/^Status: .*/Status: install ok half-configured/" /var/lib/dpkg/status'
! run dpkg --configure -a >"$out" 2>&1 || fail "apache2's script does not mind another MPM any more"
plan '{"type":"package","id":"package:all","names":["apache2","libapache2-mod-php"]},
  {"type":"web","id":"web:a","root":"/var/www/html","modules":["rewrite"],"site":""}'
goes_on
[ -z "$(run dpkg --audit)" ] || fail "dpkg --audit complains"
run systemctl restart apache2
page /code.php
grep -q '^42 .* 200' "$out" || fail "PHP does not run"
run rm /var/www/html/code.php
say "apache2 half configured"

# Drift is told and not repaired; a restart repairs it.
plan '{"type":"file","id":"file:f","path":"/etc/muster-test","content":"in sync"}'
mkdir -p "$root/var/lib/muster-agent"
cp "$root/root/plan.json" "$root/var/lib/muster-agent/plan.json"
status() { run muster-agent status --json | grep -qF -- "$1"; }
run systemctl restart muster-agent
until_ok status '"phase":"ready"'
echo "by hand" >"$root/etc/muster-test"
run systemctl reload muster-agent
until_ok status '"drift":["file:f"]'
code=0
run muster-agent check >"$out" 2>&1 || code=$?
[ $code -eq 10 ] || fail "check: exit status $code instead of 10"
[ "$(cat "$root/etc/muster-test")" = "by hand" ] || fail "what drifted was changed"
run systemctl restart muster-agent
until_ok grep -qF "in sync" "$root/etc/muster-test"
until_ok status '"phase":"ready"'
! status drift || fail "drift is still told"
say "drift"
echo "bad_days: ok"

#!/bin/bash
# cloud: none. Two machines that muster did not make: their user-data is written for somebody to paste,
# up waits for the agents, then the cluster is formed. Bare guests, without any cloud.
source "$(dirname "$0")/lib.sh"

host=tests/hosts/agent_host.sh
export MTEST_DIR=/tmp/mtest-none MTEST_NAME=mnone MTEST_NET=10.79.0
up=
away() {
  [ -z "$up" ] || kill "$up" 2>/dev/null || true
  "$host" down
  rm -rf "$work"
}
trap away EXIT
"$host" down
"$host" up

f=$work/none.yaml
cat >"$f" <<YAML
deployment: byhand
cloud: none
controller: {address: $MTEST_NET.1}
zones:
  - {name: home, private: {cidr: $MTEST_NET.0/24}}
nodes:
  - {name: a, zone: home, address: $MTEST_NET.11, datadisk: {size: 3G}}
  - {name: b, zone: home, address: $MTEST_NET.12, datadisk: {size: 3G}}
database: {}
web: {php: [mysql, mysqli, opcache, exif, xsl, json]}
YAML
state=$work/state/muster/byhand

"$muster" validate -f "$f" >/dev/null || die "validate"
"$muster" plan -f "$f" >"$work/plan" 2>&1 || { cat "$work/plan"; die "plan asks for something"; }
"$muster" up -f "$f" >"$work/up" 2>&1 &
up=$!
written() { [ -e "$state/user-data.a" ] && [ -e "$state/user-data.b" ]; }
until_true 20 "the user-data is written" written
[ "$(stat -c %a "$state/user-data.a" "$state/user-data.b" | sort -u)" = 600 ] || die "others can read the keys"
until_true 10 "and said where" grep -q "$state/user-data.b" "$work/up"

# What cloud-init does with it.
paste_into() { # guest
  local dir=$work/$1
  python3 - "$state/user-data.$1" "$dir" <<'PY'
import os, re, sys
text = open(sys.argv[1]).read().split("\nruncmd:")[0]
for block in text.split("\n- path: ")[1:]:
    path, rest = block.split("\n", 1)
    mode = re.search(r"permissions: '(\d+)'", rest)
    content = "".join(line[4:] + "\n" for line in rest.split("content: |\n", 1)[1].splitlines())
    to = sys.argv[2] + path
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with open(to, "w") as out:
        out.write(content)
    os.chmod(to, int(mode[1] if mode else "644", 8))
PY
  cp -a "$dir"/. "$MTEST_DIR/lxc/$MTEST_NAME-$1/rootfs/"
  "$host" run "$1" systemctl daemon-reload
  "$host" run "$1" systemctl enable --now --no-block muster-first-boot.service
}
booted() { case "$("$host" run "$1" systemctl is-system-running)" in running | degraded) ;; *) false ;; esac; }
for g in a b; do
  until_true 60 "guest $g has booted" booted $g
  paste_into $g
done
first=$(sha256sum "$state/user-data.a")
rc=0
wait "$up" || rc=$?
up=
[ $rc -eq 0 ] || { tail -n 40 "$work/up"; die "up: $rc"; }
ok "$(grep 'is ready' "$work/up")"
[ "$(sha256sum "$state/user-data.a")" = "$first" ] || die "the user-data changed under the operator's hands"
for g in a b; do
  [ "$("$host" run $g mariadb -N -e "SELECT variable_value FROM information_schema.global_status WHERE variable_name='wsrep_cluster_size'")" = 2 ] ||
    die "$g is not in a cluster of two"
done
ok "a cluster of two"
"$muster" up -f "$f" >"$work/up" 2>&1 || { cat "$work/up"; die "the second up"; }
grep -q "nothing to create, 0 changed" "$work/up" || { cat "$work/up"; die "the second up did something"; }
ok "nothing left to do"

#!/bin/bash
# A node joins a deployment that serves, and leaves it again: the others go on meanwhile.
source "$(dirname "$0")/lib.sh"

f=$work/grow.yaml
cp "$file" "$f"
size_is() { # NODE-COUNT: every node says so
  [ "$("$muster" status -f "$f" --json | jq -r '[.nodes[].db.cluster_size] | unique | join(" ")')" = "$1" ]
}
started() { "$muster" ssh -f "$f" "$1" systemctl show -P ActiveEnterTimestampMonotonic mariadb; }

"$muster" up -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
before="$(started fra) $(started par)"
sed -i '/name: par,/a\  - {name: par2, zone: Paris (ESX), datadisk: {size: 20G, offering: EBS Protected}, ports: {52201: 22, 8080: 80}}' "$f"
"$muster" up -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up with a third node"; }
size_is 3 || die "not three nodes in the cluster"
[ "$before" = "$(started fra) $(started par)" ] || die "a database was restarted"
url=$("$muster" status -f "$f" --json | jq -r '.nodes[] | select(.name=="par2") | .url')
curl -fsS "$url/" >/dev/null ||
  die "the new site does not answer"
ok "a third node has joined; no database was restarted"
sed -i '/name: par2,/d' "$f"
"$muster" up -y -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up without the third node"; }
size_is 2 || die "not two nodes in the cluster"
[ "$before" = "$(started fra) $(started par)" ] || die "a database was restarted"
[ "$(data_disks)" = 3 ] || die "the data disk of the node that left is gone"
ok "it has left; its data disk is kept"

#!/bin/bash
# The donor loses its power while it sends its data to the other node. Nobody helps: the join ends
# (it fails, or is given up), the one with the data founds the cluster again, both serve.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

events() { "$muster" events -f "$file" 2>/dev/null; }
# grep reads to the end: events must not be cut off, that would be a failure of its own
said() { events | grep -E "$1" >/dev/null; }
transfers() { "$muster" ssh -f "$file" fra pgrep -f wsrep_sst >/dev/null 2>&1; }
synced() { [ "$("$muster" ssh -f "$file" "$1" sudo mariadb -N -e "\"SHOW STATUS LIKE 'wsrep_cluster_size'\"" 2>/dev/null | cut -f2)" = 2 ]; }

"$muster" up -f "$file" --progress plain >"$work/up" 2>&1 &
up=$!
until said 'par .*joining: joins the cluster of epoch 1' && transfers; do
  kill -0 $up 2>/dev/null || { tail -n 40 "$work/up"; die "up ended before the transfer was seen"; }
  sleep 0.05
done
vm=$("$muster" show -f "$file" --json | jq -r '.resources[] | select(.resource=="vm:fra") | .id')
"$vdc" fault vm "$vm" power-off >/dev/null
ok "the donor lost its power: $(events | tail -n 1 | cut -c1-100)"
cloud startVirtualMachine id="$vm" >/dev/null
wait $up || { tail -n 40 "$work/up"; die "up"; }
said 'par .*primary: joined epoch [2-9]' || { events | grep cluster; die "the first join was not disturbed"; }
{ synced fra && synced par; } || die "no cluster of two"
curl -fsS "$(url_of fra)/" | grep -q 'served by fra' || die "the site of fra"
curl -fsS "$(url_of par)/" | grep -q 'served by par' || die "the site of par"
ok "both nodes serve; the joins of par: $(events | grep -E 'par .*(joining|join|joined epoch|gives)')"

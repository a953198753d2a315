#!/bin/bash
# One of two members is lost, and what it acknowledged with it: `cluster recover --fence` has the cloud
# stop its VM before the other one goes on, and the hub does the same by itself where the file says so.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

vm_state() { cloud listVirtualMachines id="$(id_of "vm:$1")" | jq -r '.virtualmachine[0].state // ""'; }
refused() { # CODE TEXT COMMAND…
  local rc=0
  "${@:3}" >"$work/out" 2>&1 </dev/null || rc=$?
  { [ $rc -eq "$1" ] && grep -qF -- "$2" "$work/out"; } || { cat "$work/out"; die "exit $rc instead of $1 with '$2': ${*:3}"; }
}
recover() { "$muster" cluster -f "$file" recover --fence "$@"; }
up() { "$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }; }

up
refused 2 "there is nothing to recover" recover --from fra --without par --confirm par
refused 2 "the other node" recover --from fra --without fra --confirm fra
refused 2 "belong to 'cluster recover'" "$muster" cluster -f "$file" status --fence
[ "$(vm_state par)" = Running ] || die "the VM of par: $(vm_state par)"
ok "nothing is stopped beside a node that serves"

# ---- both run, and do not reach each other: one of them is stopped for sure
"$vdc" fault link 'Frankfurt (ESX)' 'Paris (ESX)' >/dev/null
until_true 60 "fra has no quorum" state_is fra non-primary
refused 7 "not confirmed" recover --from fra --without par
[ "$(vm_state par)" = Running ] || die "the VM of par: $(vm_state par)"
"$vdc" fault call stopVirtualMachine --error 530 --text "not now" >/dev/null
refused 4 "may run" recover --from fra --without par --confirm par
state_is fra non-primary || die "fra goes on beside one that may run: $(coordinator fra)"
recover --from fra --without par --confirm par --because "the link is cut" >"$work/out" 2>&1 || { cat "$work/out"; die "recover --fence"; }
[ "$(vm_state par)" = Stopped ] || die "the VM of par: $(vm_state par)"
until_true 60 "fra serves" state_is fra primary
"$muster" cluster -f "$file" history fra | grep -F 'its VM was stopped: the link is cut' || die "history"
ok "one of two that both run is stopped, and the other one serves"
"$vdc" fault link 'Frankfurt (ESX)' 'Paris (ESX)' --restore >/dev/null

# ---- the same by itself
sed -i 's/^database: {/&survivor: fence, /' "$file"
up
until_true 180 "par serves again" state_is par primary
"$muster" serve -f "$file" >"$work/serve.log" 2>&1 &
hub=$!
speaks() { grep -q '2 of 2 nodes speak' "$work/serve.log"; }
until_true 60 "the hub has both" speaks
power_off par
until_true 60 "fra has no quorum" state_is fra non-primary
until_true 300 "fra serves, and nobody was asked" state_is fra primary
[ "$(vm_state par)" = Stopped ] || die "the VM of par: $(vm_state par)"
sql fra 'CREATE TABLE album.alone (id INT PRIMARY KEY)' || die "a statement"
"$muster" events -f "$file" | grep -F 'its VM is stopped, and the other one goes on' >/dev/null || die "no event says so"
up
until_true 180 "par serves again" state_is par primary
[ "$(sql par 'SELECT COUNT(*) FROM album.alone')" = 0 ] || die "par lacks what fra got alone"
kill $hub
wait $hub || die "serve: $?"
ok "survivor: fence"

#!/bin/bash
# The same stack on stock CloudStack: an isolated network from an offering, an address of its own, and
# a private network that is there already. Two nodes in one zone, real guests.
source "$(dirname "$0")/lib.sh"

before=$(host_state)
as_before() { [ "$(host_state)" = "$before" ]; }
"$vdc" start >/dev/null
zone=$(cloud listZones | jq -r '.zone[] | select(.name=="Frankfurt (ESX)") | .id')
offering=$(cloud listNetworkOfferings | jq -r '.networkoffering[] | select(.name=="DefaultSharedNetworkOffering") | .id')
cloud createNetwork name=backbone displaytext=backbone zoneid="$zone" networkofferingid="$offering" \
  gateway=10.10.1.1 netmask=255.255.255.0 startip=10.10.1.10 endip=10.10.1.200 >/dev/null

f=$work/stock.yaml
python3 - "$file" "$f" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
text = text.replace("deployment: saas", "deployment: stock")
text = text.replace("cloud: local", "cloud: {local: {dialect: cloudstack}}")
text = re.sub(r"  - name: Paris.*?(?=nodes:)", "", text, flags=re.S)
text = text.replace("group: Default", "network: backbone")
text = text.replace("zone: Paris (ESX),    ", "zone: Frankfurt (ESX),").replace("zone: Paris (ESX)", "zone: Frankfurt (ESX)")
first, second = text.split("name: par", 1)
second = second.replace("{52200: 22, 80: 80}", "{52201: 22, 8080: 80}", 1)
open(sys.argv[2], "w").write(first + "name: par" + second)
PY

"$muster" up -f "$f" >"$work/up" 2>&1 || { tail -n 40 "$work/up"; die "up"; }
ok "up: $(grep 'is ready' "$work/up")"
calls=$("$vdc" logs --calls | jq -r .command | sort -u)
for call in createNetwork associateIpAddress listNetworkOfferings createEgressFirewallRule; do
  grep -qx "$call" <<<"$calls" || die "$call was not called"
done
for call in createLocalNetwork createPrivateDirectConnect listDirectConnectGroups; do
  ! grep -qx "$call" <<<"$calls" || die "$call is not a call of stock CloudStack"
done
ok "stock calls only"
for node in fra par; do
  url=$("$muster" status -f "$f" --json | jq -r ".nodes[] | select(.name==\"$node\") | .url")
  curl -fsS "$url/" >/dev/null || die "$url does not answer"
  ok "$url answers"
done
"$muster" plan -f "$f" --detailed-exitcode >"$work/plan" || { cat "$work/plan"; die "not settled"; }
ok "nothing left to do"
"$muster" snapshot create -f "$f" --because "before the end" --json >"$work/made" || die "snapshot create"
[ "$(jq -r '[.snapshots[] | .node + " " + .state + " " + .because] | join(", ")' "$work/made")" = \
  "fra BackedUp before the end, par BackedUp before the end" ] || { cat "$work/made"; die "snapshot create"; }
foreign=$(cloud createSnapshot volumeid="$(jq -r '.snapshots[0].volume' "$work/made")" name=stock-fra-data |
  jq -r '.snapshot.id // .id')
"$muster" snapshot list -f "$f" --json >"$work/listed"
diff <(jq -S . "$work/made") <(jq -S . "$work/listed") || die "snapshot list"
rc=0
"$muster" snapshot delete -f "$f" "$foreign" 2>"$work/refused" || rc=$?
[ "$rc" = 7 ] || { cat "$work/refused"; die "a snapshot of somebody else: exit $rc"; }
"$muster" snapshot delete -f "$f" "$(jq -r '.snapshots[1].id' "$work/made")" || die "snapshot delete"
[ "$("$muster" snapshot list -f "$f" --node par --json | jq '.snapshots | length')" = 0 ] || die "not deleted"
"$muster" plan -f "$f" --detailed-exitcode >"$work/plan" || { cat "$work/plan"; die "snapshots are no resources"; }
ok "snapshots: ours are listed and deleted, another is not"
"$muster" destroy -y --with-data -f "$f" >"$work/down" 2>&1 || { cat "$work/down"; die "destroy"; }
grep -q '^1 snapshot of data disks remains:' "$work/down" || { cat "$work/down"; die "destroy does not say what remains"; }
last=$(jq -r '.snapshots[0].id' "$work/made")
"$muster" snapshot delete -f "$f" "$last" || die "snapshot delete after destroy"
[ "$(cloud listSnapshots | jq -r '[.snapshot[].id] | join(" ")')" = "$foreign" ] || die "snapshots: $(cloud listSnapshots)"
cloud deleteSnapshot id="$foreign" >/dev/null
ok "destroy leaves snapshots and says so"
[ "$(count listVirtualMachines virtualmachine) $(count listPublicIpAddresses publicipaddress) $(data_disks)" = "0 0 0" ] ||
  die "left over"
[ "$(cloud listNetworks | jq -r '[.network[].name] | join(" ")')" = backbone ] || die "networks: $(cloud listNetworks)"
ok "all gone but the network that was there before"
host_ids
"$vdc" destroy -y >/dev/null
until_true 20 "the host is as before" as_before

#!/bin/bash
# What changed behind our back, what changed in the file, what only the operator can decide. The
# guests are simulated, all else is real.
source "$(dirname "$0")/lib.sh"

f=$work/drift.yaml
sed -e 's/^deployment:.*/deployment: drift/' -e 's/^cloud:.*/cloud: {local: {compute: simulator}}/' \
  -e '/^database:/,$d' "$file" >"$f"
cp "$f" "$work/first.yaml"

up() { "$muster" up --cloud-only -f "$f" --agent-package build/pkg/muster-agent.deb "$@" >"$work/out" 2>&1; }
up_ok() { up "$@" || { cat "$work/out"; die "up $*"; }; }
# refused CODE TEXT up-options…
refused() {
  local code=$1 text=$2 rc=0
  shift 2
  up "$@" || rc=$?
  [ "$rc" -eq "$code" ] || { cat "$work/out"; die "up $*: exit $rc, expected $code"; }
  grep -q -- "$text" "$work/out" || { cat "$work/out"; die "up $*: nothing about '$text'"; }
  ok "$(tail -n 1 "$work/out" | cut -c1-160)"
}
settled() { "$muster" plan -f "$f" --detailed-exitcode >"$work/plan" 2>&1 || { cat "$work/plan"; die "not settled: $*"; }; ok "$*"; }
# action RESOURCE: what plan would do about it
action() { "$muster" plan -f "$f" --json | jq -r ".resources[] | select(.resource==\"$1\") | .action"; }
planned() {
  [ "$(action "$1")" = "$2" ] || { "$muster" plan -f "$f"; die "plan: $1: $(action "$1"), expected $2"; }
  ok "plan: $1: $2"
}
id_of() { "$muster" show -f "$f" --json | jq -r ".resources[] | select(.resource==\"$1\") | .id"; }

# ---- a cloud that knows RSA keys only
"$vdc" start >/dev/null
"$vdc" fault call registerSSHKeyPair --error 431 --text "Public key is invalid" >/dev/null
refused 4 "ssh-keygen -t rsa"
"$vdc" fault clear >/dev/null
networks=$(count listNetworks network)
ssh-keygen -q -t rsa -b 2048 -N "" -f "$work/rsa"
sed -i "/^defaults:/a\\  keypair: {name: drift-rsa, public_key: $work/rsa.pub}" "$f"
up_ok
settled "raised with an RSA key"
[ "$networks" -le 4 ] || die "networks: $networks"
[ "$(count listNetworks network)" = 4 ] || die "networks twice"
"$muster" destroy -y --with-data -f "$f" >/dev/null 2>&1
cp "$work/first.yaml" "$f"

up_ok
settled "raised"

# ---- behind our back
has_happened() {
  [ "$(count listPortForwardingRules portforwardingrule)" = 4 ] &&
    [ "$(cloud listVirtualMachines | jq -r '.virtualmachine[] | select(.name=="drift-par") | .state')" = Stopped ]
}
cloud deletePortForwardingRule id="$(id_of forward:fra/80)" >/dev/null
cloud stopVirtualMachine id="$(id_of vm:par)" forced=true >/dev/null
cloud detachVolume id="$(id_of volume:fra)" >/dev/null
cloud deleteFirewallRule id="$(id_of firewall:par/80)" >/dev/null
cloud deleteTags resourceids="$(id_of volume:par)" resourcetype=Volume >/dev/null
cloud createPortForwardingRule ipaddressid="$(id_of address:paris-esx)" virtualmachineid="$(id_of vm:par)" \
  protocol=tcp publicport=8443 privateport=443 openfirewall=true >/dev/null
until_true 20 "everything has happened" has_happened
planned forward:fra/80 create
planned vm:par change
planned attach:fra create
planned firewall:par/80 create
planned volume:par change
[ "$("$muster" plan -f "$f" --json | jq '[.resources[] | select(.action=="destroy")] | length')" = 2 ] ||
  die "the extra rule and its firewall rule are not told"
rc=0
"$muster" plan -f "$f" --detailed-exitcode >/dev/null || rc=$?
[ $rc -eq 10 ] || die "plan --detailed-exitcode: $rc"
up_ok
settled "repaired"
[ "$(count listPortForwardingRules portforwardingrule)" = 4 ] || die "extra rule still there"
[ "$(count listFirewallRules firewallrule)" = 4 ] || die "extra firewall rule still there"

# ---- in the file, in place
fra=$(id_of vm:fra) disk=$(id_of volume:fra)
sed -i -e 's/name: fra, \(.*\)size: 200G\(.*\)80: 80/name: fra, \1size: 300G\28080: 80/' "$f"
sed -i -e '/name: par,/a\  - {name: ber, zone: Berlin, datadisk: {size: 200G, offering: EBS Protected}, ports: {52200: 22}}' \
  -e '/name: par,/a\  - {name: par2, zone: Paris (ESX), datadisk: {size: 200G, offering: EBS Protected}, ports: {52201: 22}}' \
  -e '/^nodes:/i\  - name: Berlin\n    gateway: {cidr: 10.1.3.0/24, egress: [all]}\n    private: {cidr: 10.10.3.0/24, group: Default}' "$f"
planned volume:fra change
planned vm:ber create
planned gateway:berlin create
up_ok
settled "grown: a disk, a port, a node, a zone"
[ "$(id_of vm:fra) $(id_of volume:fra)" = "$fra $disk" ] || die "something was replaced that should not"
[ "$(cloud listVolumes id="$disk" | jq '.volume[0].size')" = $((300 << 30)) ] || die "the disk did not grow"
[ "$(count listVirtualMachines virtualmachine)" = 4 ] || die "not four VMs"

# ---- what only the operator can decide
cp "$f" "$work/good.yaml"
sed -i '0,/offering: 2048-1/s//offering: 4096-1/' "$f"
planned vm:fra replace
refused 7 "--replace fra"
refused 2 "no node of that name" --replace nowhere
cp "$work/good.yaml" "$f"
sed -i 's/size: 300G/size: 100G/' "$f"
refused 7 "never made smaller"
cp "$work/good.yaml" "$f"
sed -i 's#gateway: {cidr: 10.1.2.0/24#gateway: {cidr: 10.1.9.0/24#' "$f"
refused 7 "cannot be renumbered"
cp "$work/good.yaml" "$f"
settled "refusals change nothing"
[ "$(id_of vm:fra)" = "$fra" ] || die "fra was replaced"

up_ok --replace fra
settled "fra was recreated"
[ "$(id_of vm:fra)" != "$fra" ] || die "fra is the old VM"
[ "$(id_of volume:fra)" = "$disk" ] || die "the data disk was replaced"

# ---- a node leaves the file
sed -i '/name: par2,/d' "$f"
planned vm:par2 destroy
planned volume:par2 left
refused 7 "would be destroyed"
[ "$(count listVirtualMachines virtualmachine)" = 4 ] || die "destroyed without a yes"
up_ok -y
settled "par2 is gone"
[ "$(count listVirtualMachines virtualmachine) $(data_disks)" = "3 4" ] || die "VM there or disk gone"
"$muster" destroy -y -f "$f" --node par2 --with-data >/dev/null 2>&1
[ "$(data_disks)" = 3 ] || die "the disk of par2 is still there"
ok "and its disk, when told so"
"$muster" destroy -y -f "$f" --node par >/dev/null 2>&1
[ "$(count listVirtualMachines virtualmachine) $(data_disks) $(count listNetworks network)" = "2 3 6" ] ||
  die "destroy --node par took too much or too little"
par=$(id_of volume:par)
up_ok
settled "par is back"
[ "$(id_of volume:par)" = "$par" ] || die "par has another disk"

# ---- the data disk was destroyed at the cloud
lost=$(id_of volume:par)
cloud detachVolume id="$lost" >/dev/null
is_loose() { [ "$(cloud listVolumes id="$lost" | jq -r '.volume[0].virtualmachineid // ""')" = "" ]; }
until_true 20 "the disk is detached" is_loose
cloud deleteVolume id="$lost" >/dev/null
planned volume:par refused
refused 7 "$lost was destroyed"
cp "$f" "$work/good.yaml"
sed -i "/name: par,/s/size: 200G/size: 200G, wipe: $lost/" "$f"
up_ok
settled "an empty disk with consent"
cp "$work/good.yaml" "$f"
settled "and it needs the consent no more"

# ---- the journal is lost
rm -rf "$work/state"
planned vm:fra none
refused 7 "with another key" # ours is lost, too
up_ok --adopt
settled "known by its tags"
[ "$(count listVirtualMachines virtualmachine) $(data_disks)" = "3 3" ] || die "twice there"
ber_vm=$(id_of vm:ber) ber_volume=$(id_of volume:ber)
cp "$work/state/muster/drift/ssh_key"* "$work/"
rm -rf "$work/state"
mkdir -p "$work/state/muster/drift"
chmod 0700 "$work/state/muster/drift"
cp "$work/ssh_key"* "$work/state/muster/drift/"
cloud deleteTags resourceids="$ber_vm" resourcetype=UserVm >/dev/null
cloud deleteTags resourceids="$ber_volume" resourcetype=Volume >/dev/null
is_replaced() { [ "$(action "$1")" = replace ]; }
is_refused() { [ "$(action "$1")" = refused ]; }
until_true 10 "the tags of ber are gone" is_refused vm:ber
refused 7 "--adopt"
up_ok --adopt
settled "adopted"

# ---- destroyed and not expunged, by somebody else or because this account may not
cloud destroyVirtualMachine id="$(id_of vm:ber)" >/dev/null
until_true 10 "ber waits to be expunged" is_replaced vm:ber
up_ok
settled "ber was recreated"
"$vdc" fault call destroyVirtualMachine --error 531 --text "expunge is not for you" >/dev/null
"$muster" destroy -y -f "$f" --node ber >"$work/out" 2>&1 || { cat "$work/out"; die "destroy without the right to expunge"; }
"$vdc" fault clear >/dev/null
[ "$(count listVirtualMachines virtualmachine)" = 2 ] || die "ber is still there"
up_ok
settled "ber is back"

# ---- what the API cannot delete is told and left
"$vdc" fault call deleteNetwork --times 1000 --error 432 --text "private networks are not deleted" >/dev/null
rc=0
"$muster" destroy -y --with-data -f "$f" >"$work/out" 2>&1 || rc=$?
"$vdc" fault clear >/dev/null
[ $rc -eq 4 ] || { cat "$work/out"; die "gateway networks have to go: exit $rc"; }
grep -q "private network.*left" "$work/out" || { cat "$work/out"; die "private networks are not told as left"; }
grep -q "private networks are not deleted" "$work/out" || { cat "$work/out"; die "the server's text is lost"; }
ok "left on purpose: $(grep -c left "$work/out") networks"
rm -rf "$work/state" # what is ours is known by its tags
"$muster" destroy -y --with-data -f "$f" >"$work/out" 2>&1 || { cat "$work/out"; die "destroy again"; }
for what in "listVirtualMachines virtualmachine" "listNetworks network" "listPublicIpAddresses publicipaddress" \
  "listPortForwardingRules portforwardingrule" "listFirewallRules firewallrule"; do
  # shellcheck disable=SC2086
  [ "$(count $what)" = 0 ] || die "left over: $what"
done
[ "$(data_disks)" = 0 ] || die "left over: disks"
ok "nothing is left"

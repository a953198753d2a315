#!/bin/bash
# kill -9 of `up` at ten points of one deployment, then `up`: ready, and nothing is there twice.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

events() { "$muster" events -f "$file" --json 2>/dev/null | wc -l; }

point=0
for target in 1 4 9 15 20 24 28 32 36 40; do
  "$muster" up -f "$file" --progress quiet >/dev/null 2>"$work/err" &
  up=$!
  while kill -0 $up 2>/dev/null && [ "$(events)" -lt $((point + target)) ]; do sleep 0.02; done
  if kill -9 $up 2>/dev/null; then
    wait $up 2>/dev/null || true
    ok "killed after $(events) events"
  else
    wait $up || die "up: $(cat "$work/err")"
    die "it ended before its last point; choose nearer ones"
  fi
  point=$(events)
done
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || die "up after the kills: $(tail -n 30 "$work/out")"
is_ready || die "not ready"

same() { # call member expected what
  local n
  n=$(count "$1" "$2")
  [ "$n" = "$3" ] || die "$4: $n, expected $3"
}
same listVirtualMachines virtualmachine 2 VMs
[ "$(data_disks)" = 2 ] || die "data disks: $(data_disks), expected 2"
same listNetworks network 4 networks
same listPublicIpAddresses publicipaddress 2 addresses
same listPortForwardingRules portforwardingrule 4 "port forwards"
same listEgressFirewallRules firewallrule 2 "egress rules"
same listSSHKeyPairs sshkeypair 1 "key pairs"
ok "nothing is there twice"
"$muster" destroy -f "$file" -y --with-data >/dev/null 2>&1 || die destroy
for call in listVirtualMachines:virtualmachine listVolumes:volume listNetworks:network; do
  same "${call%:*}" "${call#*:}" 0 "left over"
done
ok "destroyed"

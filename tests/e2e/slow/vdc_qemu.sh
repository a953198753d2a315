#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that is a real machine: its kernel boots, cloud-init runs its user data, a volume comes and
# goes while it runs, it reboots, loses power and comes back; at the end nothing is left. Minutes,
# where KVM does not work. Run as root.
# usage: vdc_qemu.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/../vdc_lib.sh" "${1:-$(dirname "$0")/../../../build/dev/bin/muster-vdc}"
boot_s=600

# Commands in the guest go through its port forward.
inside() {
    ssh -i "$tmp/key" -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
        -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10 "debian@$address" "sudo sh -c '$*'"
}

boot_id() {
    inside cat /proc/sys/kernel/random/boot_id
}

booted_anew() { # boot id before
    local now
    now=$(boot_id) && [ "$now" != "$1" ]
}

qemu_pid() {
    cat "$vms/mvdc-${id:0:8}/qemu.pid"
}

# It may lie around until the machine's init asks for it.
ended() { # pid
    ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null
}

state() {
    api listVirtualMachines id="$id" | get '.virtualmachine[0].state'
}

begin
"$VDC" start
zone=$(api listZones name="Frankfurt (ESX)" | get '.zone[0].id')
template=$(api listTemplates templatefilter=featured zoneid="$zone" | get '.template[0].id')
offering=$(api listServiceOfferings name=1024-2 | get '.serviceoffering[0].id')
disk=$(api listDiskOfferings name=EBS | get '.diskoffering[0].id')
public=$(api createLocalNetwork zonename="Frankfurt (ESX)" cidr=10.1.1.0/24 gateway=10.1.1.1 |
    get '.localnetwork[0].id')
group=$(api createDirectConnectGroup name=dcg-qemu | get '.directconnectgroup[0].id')
private=$(api createPrivateDirectConnect zonename="Frankfurt (ESX)" cidr=10.2.1.0/24 \
    gateway=10.2.1.1 dcgid="$group" | get '.privatedirectconnect[0].id')
ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
api registerSSHKeyPair name=qemu publickey="$(cat "$tmp/key.pub")" >/dev/null
userdata=$(base64 -w0 <<'EOT'
#cloud-config
runcmd:
  - [sh, -c, 'echo "from user data" > /root/mark']
EOT
)
vm=$(api deployVirtualMachine zoneid="$zone" templateid="$template" serviceofferingid="$offering" \
    networkids="$public,$private" name=real-1 keypair=qemu userdata="$userdata" rootdisksize=5 \
    hypervisor=KVM)
id=$(get .virtualmachine.id <<<"$vm")
[ "$(get .virtualmachine.hypervisor <<<"$vm")" = KVM ] || fail "not the driver that was asked for"
say "machine deployed"
ip=$(api listPublicIpAddresses associatednetworkid="$public" | get '.publicipaddress[0].id')
address=$(api listPublicIpAddresses id="$ip" | get '.publicipaddress[0].ipaddress')
api createPortForwardingRule ipaddressid="$ip" protocol=tcp publicport=2222 privateport=22 \
    virtualmachineid="$id" openfirewall=true >/dev/null
until_ok "$boot_s" inside test -e /run/cloud-init/result.json
[ "$(inside cloud-init status)" = "status: done" ] || fail "cloud-init did not end well"
inside cat /run/cloud-init/result.json | jq -e '.v1.datasource | startswith("DataSourceCloudStack")' \
    >/dev/null || fail "another datasource than the router"
[ "$(inside cat /root/mark)" = "from user data" ] || fail "user data did not run"
[ "$(inside uname -n)" = real-1 ] || fail "host name"
[ "$(inside uname -r)" != "$(uname -r)" ] || fail "it has no kernel of its own"
[ "$(inside cat /sys/class/dmi/id/product_name)" = "CloudStack KVM Hypervisor" ] || fail "product"
[ "$(inside getent hosts data-server | cut -d' ' -f1)" = 10.1.1.1 ] || fail "data-server"
[ "$(inside nproc)" = 2 ] || fail "processors"
[ "$(inside df --output=size -BG / | tail -1 | tr -dc 0-9)" -ge 4 ] || fail "the root disk did not grow"
mac=$(get '.virtualmachine.nic[1].macaddress' <<<"$vm")
[ "$(inside cat /sys/class/net/eth1/address)" = "$mac" ] || fail "the second NIC"
grep -q 'Linux version' "$vms/mvdc-${id:0:8}/console.log" || fail "no console"
say "booted; user data ran"

volume=$(api createVolume name=data size=2 zoneid="$zone" diskofferingid="$disk" | get .volume.id)
serial=$(tr -d - <<<"$volume" | cut -c1-20)
link=/dev/disk/by-id/virtio-$serial
api attachVolume id="$volume" virtualmachineid="$id" >/dev/null
until_ok 60 inside test -b "$link"
inside "mkfs.ext4 -q $link && mount $link /mnt && echo kept >/mnt/f && echo kept >/root/f && sync"
api resizeVolume id="$volume" size=3 >/dev/null
[ "$(inside cat /sys/class/block/vdb/size)" = $((3 << 21)) ] || fail "the volume did not grow"
say "volume plugged and grown while it runs"

before=$(boot_id)
api rebootVirtualMachine id="$id" >/dev/null
until_ok "$boot_s" booted_anew "$before"
until_ok 60 inside test -b "$link"
inside mount "$link" /mnt
[ "$(inside cat /mnt/f)" = kept ] || fail "the volume's content after a reboot"
say "rebooted"

"$VDC" fault vm real-1 pause
! timeout 20 ssh -p 2222 -o BatchMode=yes -o ConnectTimeout=5 "debian@$address" true 2>/dev/null ||
    fail "a paused machine answers"
"$VDC" fault vm real-1 resume
until_ok 60 inside true

# Killed with everything that it had in memory only.
inside "echo synced >/mnt/g && sync && echo lost >/mnt/h"
before=$(boot_id)
pid=$(qemu_pid)
"$VDC" fault vm real-1 power-off
[ "$(state)" = Stopped ] || fail "a machine without power is $(state)"
ended "$pid" || fail "QEMU is left"
api startVirtualMachine id="$id" >/dev/null
until_ok "$boot_s" booted_anew "$before"
inside mount "$link" /mnt
[ "$(inside cat /mnt/g)" = synced ] || fail "what was synced is gone"
inside test -s /mnt/h && fail "what was not synced is there"
[ "$(inside cat /root/f)" = kept ] || fail "the root disk's content"
say "lost power, started again"

# The daemon killed: the machine goes on, and its volume can be taken off by the next.
kill -9 "$("$VDC" status --json | jq .pid)"
"$VDC" start >/dev/null
[ "$(state)" = Running ] || fail "the machine did not outlive the daemon"
inside umount /mnt
api detachVolume id="$volume" >/dev/null
inside test -e "$link" && fail "the volume is still in the machine"
api deleteVolume id="$volume" >/dev/null
say "volume unplugged"

pid=$(qemu_pid)
api stopVirtualMachine id="$id" >/dev/null
ended "$pid" || fail "QEMU is left after a stop"
grep -q 'Power down' "$vms/mvdc-${id:0:8}/console.log" || fail "it was not shut down but killed"
ip -o link | grep -q "mvdcv${id:0:8}" && fail "TAP devices are left after a stop"
api startVirtualMachine id="$id" >/dev/null
pid=$(qemu_pid)
"$VDC" destroy -y >/dev/null
ended "$pid" || fail "QEMU is left after destroy"
host_as_before
echo "$test: ok"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Faults of machines and disks: a guest loses power and with it what it had not synced, on its root
# disk and on volumes with ext4 and xfs, and boots again; a guest is frozen; a volume is pulled out;
# disks are filled. Run as root.
# usage: vdc_machine.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"

state() {
    api listVirtualMachines id="$id" | get '.virtualmachine[0].state'
}

booted() {
    guest systemctl is-system-running
}

# One value in each place, with or without sync; the places are the root disk and both volumes.
places=(/root /ext4 /xfs)
write() { # name, text, further shell text
    local place
    for place in "${places[@]}"; do
        guest sh -c "echo $2 >$place/$1; ${3:-}"
    done
}

volume() { # name
    local one
    one=$(api createVolume name="$1" size=2 zoneid="$zone" diskofferingid="$disk" | get .volume.id)
    api attachVolume id="$one" virtualmachineid="$id" >/dev/null
    echo "$one"
}

by_id() { # volume's id
    echo "/dev/disk/by-id/virtio-$(tr -d - <<<"$1" | cut -c1-20)"
}

# A process that copied the machine's mounts and keeps them.
hold() {
    unshare -m --propagation private sleep 1000 &
    holders+=($!)
    until_ok 5 grep -q sleep /proc/$!/comm
}

begin
"$VDC" start
zone=$(api listZones name="Frankfurt (ESX)" | get '.zone[0].id')
template=$(api listTemplates templatefilter=featured zoneid="$zone" | get '.template[0].id')
offering=$(api listServiceOfferings name=1024-1 | get '.serviceoffering[0].id')
disk=$(api listDiskOfferings name=EBS | get '.diskoffering[0].id')
public=$(api createLocalNetwork zonename="Frankfurt (ESX)" cidr=10.1.1.0/24 gateway=10.1.1.1 |
    get '.localnetwork[0].id')
id=$(api deployVirtualMachine zoneid="$zone" templateid="$template" serviceofferingid="$offering" \
    networkids="$public" name=victim rootdisksize=3 | get .virtualmachine.id)
container=mvdc-${id:0:8}
until_ok 60 booted
ext4=$(volume ext4) xfs=$(volume xfs)
guest sh -c "mkdir /ext4 /xfs && mkfs.ext4 -q $(by_id "$ext4") && mkfs.xfs -q $(by_id "$xfs") &&
    mount $(by_id "$ext4") /ext4 && mount $(by_id "$xfs") /xfs"
say "guest with two volumes"

write kept synced
write changed before
guest sync
write lost unsynced
write changed after
guest sh -c 'setsid sleep 1000 >/dev/null 2>&1 &'
read -r init _ <"$vms/$container/running"
ns=$(readlink "/proc/$init/ns/pid")
"$VDC" fault vm victim power-off
[ "$(state)" = Stopped ] || fail "the guest is $(state)"
! find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/pid' -lname "$ns" 2>/dev/null | grep -q . ||
    fail "processes of the guest are left"
"$VDC" fault vm victim power-off 2>/dev/null && fail "a stopped guest lost its power"
api startVirtualMachine id="$id" >/dev/null
until_ok 60 booted
guest sh -c "mount $(by_id "$ext4") /ext4 && mount $(by_id "$xfs") /xfs"
for place in "${places[@]}"; do
    [ "$(guest cat "$place/kept")" = synced ] || fail "$place: what was synced is gone"
    [ "$(guest cat "$place/changed")" != after ] || fail "$place: a change was kept without a sync"
    ! guest grep -q unsynced "$place/lost" 2>/dev/null || fail "$place: a file was kept without a sync"
done
say "power-off: synced data is there, other data is not"

# The same while a foreign process holds copies of the mounts: the disks must not stay dead with it.
write kept again
guest sync
hold
"$VDC" fault vm "$id" power-off
api startVirtualMachine id="$id" >/dev/null
until_ok 60 booted
guest sh -c "mount $(by_id "$ext4") /ext4 && mount $(by_id "$xfs") /xfs && touch /root/t /ext4/t /xfs/t && sync"
for place in "${places[@]}"; do
    [ "$(guest cat "$place/kept")" = again ] || fail "$place: lost with foreign copies of the mounts"
done
kill "${holders[@]}"
wait "${holders[@]}" 2>/dev/null || true
holders=()
say "power-off with foreign copies of the mounts"

# Frozen: nothing in it runs, and it goes on where it was.
# shellcheck disable=SC2016
guest sh -c 'setsid sh -c "i=0; while :; do i=\$((i + 1)); echo \$i >/run/count; done" >/dev/null 2>&1 &'
counts() { [ "$(guest cat /run/count)" -gt 0 ]; }
until_ok 5 counts
read -r init _ <"$vms/$container/running"
count=/proc/$init/root/run/count
"$VDC" fault vm victim pause
before=$(cat "$count")
[ "$(state)" = Running ] || fail "a frozen guest is $(state)"
[ "$(cat "$count")" = "$before" ] || fail "a frozen guest runs"
"$VDC" fault vm victim resume
goes_on() { [ "$(cat "$count")" != "$before" ]; }
until_ok 5 goes_on
say "pause, resume"

# Frozen and then without power.
"$VDC" fault vm victim pause
"$VDC" fault vm victim power-off
api startVirtualMachine id="$id" >/dev/null
until_ok 60 booted
guest mount "$(by_id "$ext4")" /ext4
say "power-off of a frozen guest"

"$VDC" fault disk victim fill
guest sh -c 'echo x >/root/more' 2>/dev/null && fail "there is room on a full root disk"
"$VDC" fault disk victim fill --undo
guest sh -c 'echo x >/root/more' || fail "no room on the root disk after --undo"
"$VDC" fault disk victim fill --volume ext4
guest sh -c 'echo x >/ext4/more' 2>/dev/null && fail "there is room on a full volume"
guest sh -c 'echo x >/root/more' || fail "filling a volume filled the root disk"
"$VDC" fault disk victim fill --volume ext4 --undo
guest sh -c 'echo x >/ext4/more && rm /ext4/more' || fail "no room on the volume after --undo"
"$VDC" fault disk victim fill --volume xfs 2>/dev/null && fail "filled a volume that is not mounted"
[ "$(stat -c %b "$vms/$container/disk.img")" -lt $((1 << 21)) ] || fail "filling wrote to the machine's disk"
say "full disks"

# Pulled out while it is mounted: the guest gets errors; elsewhere its synced content is there.
guest sh -c 'echo synced >/ext4/pulled && sync'
"$VDC" fault volume ext4 detach
guest sh -c 'echo x >/ext4/more' 2>/dev/null && fail "a volume that was pulled out takes data"
has_link "$(tr -d - <<<"$ext4" | cut -c1-20)" && fail "a volume that was pulled out is shown"
api listVolumes id="$ext4" | jq -e '.volume[0].virtualmachineid == null' >/dev/null || fail "attached still"
guest umount /ext4
api attachVolume id="$ext4" virtualmachineid="$id" >/dev/null
guest mount "$(by_id "$ext4")" /ext4
[ "$(guest cat /ext4/pulled)" = synced ] || fail "the volume lost what was synced"
# Again, and back while the guest still has the dead one mounted.
"$VDC" fault volume "$ext4" detach
api attachVolume id="$ext4" virtualmachineid="$id" >/dev/null
guest sh -c "mkdir /again && mount $(by_id "$ext4") /again"
[ "$(guest cat /again/pulled)" = synced ] || fail "the volume's content beside the dead one"
say "a volume pulled out"

for bad in "vm" "vm victim" "vm victim explode" "vm nobody pause" "volume ext4" "volume nothing detach" \
    "disk victim" "disk victim fill --volume nothing" "link fra"; do
    status=0
    # shellcheck disable=SC2086
    "$VDC" fault $bad >/dev/null 2>&1 || status=$?
    ((status == 2)) || fail "fault $bad: exit status $status"
done
say "wrong arguments"

"$VDC" fault vm victim power-off
host_ids
"$VDC" destroy -y >/dev/null
host_as_before
echo "$test: ok"

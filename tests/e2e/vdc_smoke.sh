#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local cloud from start to destroy: networks, guest, user data, port forward, volume; the
# daemon killed in the middle; at the end the host is as it was. Run as root.
# usage: vdc_smoke.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"

begin
"$VDC" start
say "started"

zone=$(api listZones name="Frankfurt (ESX)" | get '.zone[0].id')
template=$(api listTemplates templatefilter=featured zoneid="$zone" | get '.template[0].id')
offering=$(api listServiceOfferings name=2048-1 | get '.serviceoffering[0].id')
disk=$(api listDiskOfferings name=EBS | get '.diskoffering[0].id')
api listNetworks | jq -e '. == {"count": 0, "network": []}' >/dev/null || fail "empty listNetworks"
api listVirtualMachines | jq -e '. == {}' >/dev/null || fail "empty listVirtualMachines"

public=$(api createLocalNetwork zonename="Frankfurt (ESX)" cidr=10.1.1.0/24 gateway=10.1.1.1 \
    displaytext=gateway-fra | get '.localnetwork[0].id')
group=$(api createDirectConnectGroup name=dcg-smoke | get '.directconnectgroup[0].id')
private=$(api createPrivateDirectConnect zonename="Frankfurt (ESX)" cidr=10.2.1.0/24 \
    gateway=10.2.1.1 displaytext=private-fra dcgid="$group" | get '.privatedirectconnect[0].id')
far=$(api createPrivateDirectConnect zonename="Paris (ESX)" cidr=10.2.2.0/24 \
    gateway=10.2.2.1 displaytext=private-par dcgid="$group" | get '.privatedirectconnect[0].id')
ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
api registerSSHKeyPair name=smoke publickey="$(cat "$tmp/key.pub")" >/dev/null
say "networks"

userdata=$(base64 -w0 <<'EOF'
#cloud-config
runcmd:
  - [sh, -c, 'echo "from user data" > /root/mark']
EOF
)
vm=$(api deployVirtualMachine zoneid="$zone" templateid="$template" serviceofferingid="$offering" \
    networkids="$public,$private" name=smoke-1 keypair=smoke userdata="$userdata")
id=$(get '.virtualmachine.id' <<<"$vm")
container=mvdc-${id:0:8}
say "guest deployed"
until_ok 60 guest test -e /run/cloud-init/result.json
[ "$(guest cloud-init status)" = "status: done" ] || fail "cloud-init did not end well"
[ "$(guest cat /root/mark)" = "from user data" ] || fail "user data did not run"
until_ok 30 guest systemctl is-system-running
say "guest is up: $(guest systemd-analyze | head -1)"

# Egress is closed until a rule opens it, and then only towards the package hosts.
guest timeout 4 apt-get -qq -o APT::Update::Error-Mode=any update >/dev/null 2>&1 && fail "egress is open"
api createEgressFirewallRule networkid="$public" protocol=all cidrlist=10.1.1.0/24 >/dev/null
guest apt-get -qq update || fail "no way to the package hosts"
guest getent hosts example.com && fail "a name outside was resolved"
[ "$(guest ip -4 route show default)" = "default via 10.1.1.1 dev eth0 " ] || fail "default route"
say "egress"

ip=$(api listPublicIpAddresses associatednetworkid="$public" | get '.publicipaddress[0].id')
address=$(api listPublicIpAddresses id="$ip" | get '.publicipaddress[0].ipaddress')
api createPortForwardingRule ipaddressid="$ip" protocol=tcp publicport=2222 privateport=22 \
    virtualmachineid="$id" openfirewall=true >/dev/null
ssh_guest() {
    ssh -i "$tmp/key" -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
        -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 "debian@$address" "$@"
}
[ "$(ssh_guest sudo id -u)" = 0 ] || fail "ssh through the port forward"
api createTags resourceids="$id" resourcetype=UserVm 'tags[0].key=role' 'tags[0].value=db' >/dev/null
[ "$(api listVirtualMachines 'tags[0].key=role' 'tags[0].value=db' | get .count)" = 1 ] ||
    fail "list by tag"
say "port forward, tags"

# The private networks of the group are joined; the second NIC is left to be configured.
guest ip addr add "$(get '.virtualmachine.nic[1].ipaddress' <<<"$vm")/24" dev eth1
guest ip link set eth1 up
guest ip route add 10.2.2.0/24 via 10.2.1.1
until_ok 5 guest ping -c1 -W1 10.2.2.1
say "private networks are joined"

volume=$(api createVolume name=data size=10 zoneid="$zone" diskofferingid="$disk" | get .volume.id)
api attachVolume id="$volume" virtualmachineid="$id" >/dev/null
serial=$(tr -d - <<<"$volume" | cut -c1-20)
has_link "$serial" || fail "the volume is not in the guest"
api resizeVolume id="$volume" size=12 >/dev/null
grown() {
    [ "$(guest blockdev --getsize64 /dev/sdb)" -eq $((12 << 30)) ]
}
until_ok 5 grown
# Partitions that the guest tells its kernel of get their nodes, and lose them again.
partition() {
    guest /usr/bin/python3 -c '
import ctypes, fcntl, struct, sys
part = ctypes.create_string_buffer(struct.pack("qqi64s64s", 1 << 20, 5 << 30, 1, b"", b""), 152)
with open("/dev/sdb", "rb") as disk:
    fcntl.ioctl(disk, 0x1269, struct.pack("iiiP", int(sys.argv[1]), 0, 152, ctypes.addressof(part)))
' "$1"
}
no_part() {
    guest sh -c '! test -e /dev/sdb1'
}
partition 1
until_ok 5 guest test -b /dev/sdb1
until_ok 5 has_link "$serial-part1"
partition 2
until_ok 5 no_part
guest sh -c 'mkfs.ext4 -q /dev/sdb && mkdir -p /data && mount /dev/sdb /data && echo kept > /data/f'
if api detachVolume id="$volume" >/dev/null 2>&1; then
    fail "a mounted volume was detached"
fi
say "volume"

# A snapshot while the guest writes: what it had synced is there, the filesystem is whole, and the
# guest goes on. Also when the copying process is killed while the guest is kept from writing.
guest sh -c 'echo synced >/data/s && sync /data/s && head -c 300M /dev/urandom >/data/large'
guest systemd-run -q --unit writer sh -c 'while :; do date >>/data/w; done'
snapshot=$(api createSnapshot volumeid="$volume" name=smoke | get .snapshot.id)
[ "$(api listSnapshots id="$snapshot" | get '.snapshot[0].state')" = BackedUp ] || fail "the snapshot's state"
wrote=$(guest stat -c %s /data/w)
writes_on() {
    [ "$(guest stat -c %s /data/w)" -gt "$wrote" ]
}
until_ok 10 writes_on
guest sh -c 'head -c 300M /dev/urandom >/data/large'
/usr/bin/python3 - "$volume" >"$tmp/job" <<'EOF'
import json, os, subprocess, sys
from cs import CloudStack
s = json.loads(subprocess.check_output([os.environ["VDC"], "status", "--json"]))
c = CloudStack(endpoint=s["endpoint"], key=s["api_key"], secret=s["secret_key"])
a = c.createSnapshot(volumeid=sys.argv[1], name="killed")
print(a["jobid"])
EOF
of_job() {
    pgrep --ns $$ --nslist mnt -f "muster-vdc $1"
}
copied() {
    [ "$(api queryAsyncJobResult jobid="$(cat "$tmp/job")" | get .jobstatus)" = 1 ]
}
held_or_copied() {
    of_job "hold $id" || copied
}
until_ok 60 held_or_copied
pid=$(of_job "job $(cat "$tmp/job")") && kill -9 "$pid"
wrote=$(guest stat -c %s /data/w)
until_ok 10 writes_on
until_ok 60 copied
guest systemctl stop writer
for one in "$snapshot" "$(api listSnapshots name=killed | get '.snapshot[0].id')"; do
    copy=$(api createVolume name=copy snapshotid="$one" | get .volume.id)
    api attachVolume id="$copy" virtualmachineid="$id" >/dev/null
    link=/dev/disk/by-id/virtio-$(tr -d - <<<"$copy" | cut -c1-20)
    guest fsck.ext4 -fn "$link" >"$tmp/fsck" || fail "the snapshot's filesystem: $(cat "$tmp/fsck")"
    guest mount "$link" /mnt
    [ "$(guest cat /mnt/s)" = synced ] || fail "what was synced is not in the snapshot"
    guest umount /mnt
    api detachVolume id="$copy" >/dev/null
    api deleteVolume id="$copy" >/dev/null
done
api deleteSnapshot id="$snapshot" >/dev/null
api deleteSnapshot id="$snapshot" >/dev/null 2>&1 && fail "a snapshot was deleted twice"
guest umount /data
say "snapshots" # one is left for destroy

# CloudStack's own kind of network comes into being with its first guest, here one with a password.
like=$(api listNetworkOfferings name=DefaultIsolatedNetworkOfferingWithSourceNatService |
    get '.networkoffering[0].id')
stock=$(api createNetwork name=stock zoneid="$zone" networkofferingid="$like" gateway=10.3.1.1 \
    netmask=255.255.255.0 | get .network.id)
[ "$(api listNetworks id="$stock" | get '.network[0].state')" = Allocated ] || fail "a router without guests"
secret=$(api listTemplates templatefilter=featured zoneid="$zone" |
    get '.template[] | select(.passwordenabled).id')

# Killed in the middle of a job: the job is finished by the next daemon.
/usr/bin/python3 - "$here" "$zone" "$secret" "$offering" "$stock" >"$tmp/job" <<'EOF'
import json, os, subprocess, sys
from cs import CloudStack
s = json.loads(subprocess.check_output([os.environ["VDC"], "status", "--json"]))
c = CloudStack(endpoint=s["endpoint"], key=s["api_key"], secret=s["secret_key"])
a = c.deployVirtualMachine(zoneid=sys.argv[2], templateid=sys.argv[3], name="smoke-2",
                           serviceofferingid=sys.argv[4], networkids=sys.argv[5])
print(a["jobid"])
os.kill(s["pid"], 9)
EOF
"$VDC" start >/dev/null
job_done() {
    [ "$(api queryAsyncJobResult jobid="$(cat "$tmp/job")" | get .jobstatus)" = 1 ]
}
until_ok 60 job_done
[ "$(api listVirtualMachines name=smoke-1 | get '.virtualmachine[0].state')" = Running ] ||
    fail "the guest did not outlive the daemon"
ssh_guest true || fail "the port forward did not outlive the daemon"
say "kill -9 of the daemon in the middle of a deployment"

container=mvdc-$(api listVirtualMachines name=smoke-2 | get '.virtualmachine[0].id[:8]')
password=$(api queryAsyncJobResult jobid="$(cat "$tmp/job")" | get .jobresult.virtualmachine.password)
until_ok 60 guest test -e /run/cloud-init/result.json
guest /usr/bin/python3 -W ignore -c 'import crypt, spwd, sys
shadow = spwd.getspnam("debian").sp_pwdp
sys.exit(crypt.crypt(sys.argv[1], shadow) != shadow)' "$password" || fail "the password is not set"
container=mvdc-${id:0:8}
say "isolated network, password"

# A reboot from inside, then from outside: the volume is there, with what was written.
init=$(cat "$vms/$container/running")
guest reboot
rebooted() {
    [ "$(cat "$vms/$container/running")" != "$init" ] && guest systemctl is-system-running
}
until_ok 60 rebooted
has_link "$serial" || fail "the volume is gone after a reboot from inside"
api rebootVirtualMachine id="$id" >/dev/null
until_ok 60 guest systemctl is-system-running
guest mount /dev/sdb /mnt
[ "$(guest cat /mnt/f)" = kept ] || fail "the volume's content"
guest umount /mnt
api detachVolume id="$volume" >/dev/null
has_link "$serial" && fail "the volume is still in the guest"
say "reboots, detach"

api deleteNetwork id="$public" >/dev/null 2>&1 && fail "a network in use was deleted"
for name in smoke-1 smoke-2; do
    one=$(api listVirtualMachines name="$name" | get '.virtualmachine[0].id')
    api destroyVirtualMachine id="$one" expunge=true >/dev/null
done
api deleteVolume id="$volume" >/dev/null
for one in "$public" "$private" "$far" "$stock"; do
    api deleteNetwork id="$one" >/dev/null
done
api listNetworks | jq -e '.count == 0' >/dev/null || fail "networks are left"
say "torn down by the API"

host_ids
"$VDC" destroy -y >/dev/null
host_as_before
echo "$test: ok"

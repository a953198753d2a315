#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Links between zones: latency, cuts one way and both ways, changed while they run; the process that
# carries the packets and the daemon killed. Guests are namespaces on the networks' bridges. Run as
# root.
# usage: vdc_link.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"
# shellcheck source=tests/e2e/vdc_stub.sh
. "$here/vdc_stub.sh"

# The least round trip of five, in microseconds: of a busy machine it says the most.
rtt_us() { # from, address
    ip netns exec "mvdc-t-$1" ping -q -c5 -i0.05 -W2 "$2" |
        sed -n 's,.* = \([0-9]*\)\.\([0-9]*\)/.*,\1\2,p' | sed 's/^0*\(.\)/\1/'
}

rtt_is() { # from, address, microseconds that are set
    local got
    got=$(rtt_us "$1" "$2")
    ((got >= $3 - 100 && got <= $3 + 3000)) ||
        fail "from $1 to $2: $got us, set are $3 us"
}

reaches() {
    ip netns exec "mvdc-t-$1" ping -q -c1 -W1 "$2" >/dev/null
}

unreachable() {
    ! reaches "$@"
}

# The counter of the direction from Frankfurt to Paris, or back.
count() { # forth|back, member
    "$VDC" link list --json |
        jq ".links[] | select(.a == \"Frankfurt (ESX)\" and .b == \"Paris (ESX)\") | .$1.$2"
}

begin
"$VDC" start --no-wait >/dev/null
group=$(api createDirectConnectGroup name=dcg-link | get '.directconnectgroup[0].id')
private "$group" "Frankfurt (ESX)" fra 10.2.1
private "$group" "Frankfurt (ESX)" fra2 10.2.11
private "$group" "Paris (ESX)" par 10.2.2
private "$group" "New York" nyc 10.2.3
say "four private networks in three zones"

rtt_is fra 10.2.2.50 9090
rtt_is par 10.2.1.50 9090
rtt_is fra 10.2.2.1 9090
rtt_is fra 10.2.3.50 80000
[ "$(rtt_us fra 10.2.11.50)" -le 3000 ] || fail "delay within one zone"
"$VDC" link | grep -q '^Frankfurt (ESX) - Paris (ESX) *up, rtt 9.09 ms' || fail "link list"
[ "$("$VDC" link --json | jq '.links | length')" = 91 ] || fail "not all pairs of 14 zones"
(($(count forth bytes) > 0 && $(count back bytes) > 0)) || fail "nothing was counted"
say "round trips as they are set"

"$VDC" link fra PAR --rtt 30ms --rate 100mbit
rtt_is fra 10.2.2.50 30000
rtt_is par 10.2.3.50 80000
"$VDC" link fra par --rtt 10ms --one-way
rtt_is fra 10.2.2.50 20000
"$VDC" link paris frankfurt --loss 100 --one-way
until_ok 5 unreachable fra 10.2.2.50
(($(count back lost) > 0 && $(count forth lost) == 0)) || fail "lost packets are not counted"
"$VDC" link fra par --restore
until_ok 5 reaches fra 10.2.2.50
rtt_is fra 10.2.2.50 9090
say "changed while it runs"

# A stream of whole segments passes with right checksums, at no more than the rate.
"$VDC" link fra par --rate 80mbit
ip netns exec mvdc-t-par timeout 20 /usr/bin/python3 -c '
import hashlib, socket
s = socket.create_server(("10.2.2.50", 9000))
c, _ = s.accept()
h = hashlib.sha256()
while data := c.recv(1 << 16):
    h.update(data)
print(h.hexdigest())' >"$tmp/received" &
server=$!
head -c 8000000 /dev/urandom >"$tmp/sent"
listening() { ip netns exec mvdc-t-par ss -Hltn | grep -q ':9000 '; }
until_ok 5 listening
start=$(date +%s%3N)
ip netns exec mvdc-t-fra /usr/bin/python3 -c '
import socket, sys
with socket.create_connection(("10.2.2.50", 9000)) as c:
    c.sendall(open(sys.argv[1], "rb").read())' "$tmp/sent"
wait "$server"
took=$(($(date +%s%3N) - start))
[ "$(cat "$tmp/received")" = "$(sha256sum <"$tmp/sent" | cut -d' ' -f1)" ] || fail "other bytes arrived"
# 64 Mbit at 80 Mbit/s take 800 ms; a round trip's worth may leave faster than it came.
[ "$took" -ge 700 ] || fail "8 MB took $took ms over a link of 80 Mbit/s"
"$VDC" link fra par --restore
say "rate and content of a stream"

# Cut from Frankfurt to Paris only: Paris still sends, and nobody answers.
"$VDC" link fra par --cut --one-way
until_ok 5 unreachable fra 10.2.2.50
[ "$(rtt_us fra 10.2.11.50)" -le 3000 ] || fail "a cut between zones cuts within the zone"
reaches fra 10.2.3.50 || fail "a cut of one pair cuts another"
ip netns exec mvdc-t-fra timeout 20 /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.2.1.50", 9001))
print(s.recvfrom(100)[0].decode())' >"$tmp/one-way" &
server=$!
arrived() {
    ip netns exec mvdc-t-par /usr/bin/python3 -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"still here", ("10.2.1.50", 9001))'
    grep -q 'still here' "$tmp/one-way"
}
until_ok 10 arrived
wait "$server"
"$VDC" link | grep -q '^Frankfurt (ESX) - Paris (ESX) *cut ->' || fail "link list does not show the cut"
"$VDC" link fra par --cut
until_ok 5 unreachable fra 10.2.2.50
until_ok 5 unreachable par 10.2.1.50
# The state outlives daemon and process.
kill -9 "$("$VDC" status --json | jq .pid)"
relay=/var/lib/muster/vdc/net/g$group/relay.pid
first=$(cat "$relay")
kill -9 "$first"
"$VDC" start --no-wait >/dev/null
other_relay() { [ "$(cat "$relay")" != "$first" ] && kill -0 "$(cat "$relay")"; }
until_ok 20 other_relay
reaches par 10.2.3.50 || fail "the link between Paris and New York did not come back"
unreachable fra 10.2.2.50 || fail "the cut was forgotten"
"$VDC" link fra par --restore
until_ok 5 reaches fra 10.2.2.50
say "cuts, one way and both ways, across kills"

# The daemon alone killed: the same process goes on.
first=$(cat "$relay")
kill -9 "$("$VDC" status --json | jq .pid)"
reaches fra 10.2.2.50 || fail "the link went with the daemon"
"$VDC" start --no-wait >/dev/null
[ "$(cat "$relay")" = "$first" ] || fail "another process carries the packets"
kill -9 "$first"
until_ok 20 other_relay
until_ok 5 reaches fra 10.2.2.50
rtt_is fra 10.2.2.50 9090
say "daemon killed, process killed"

for bad in "fra fra --cut" "fra lo --cut" "fra atlantis --cut" "fra par" "fra par --rtt 9" \
    "fra par --rate fast" "fra par --loss 101" "fra" "fra par --json"; do
    status=0
    # shellcheck disable=SC2086
    "$VDC" link $bad >/dev/null 2>"$tmp/err" || status=$?
    ((status == 2)) || fail "link $bad: exit status $status"
done
say "wrong arguments"

# A zone whose last network goes takes its router along; the others stay joined.
id=$(network_id nyc)
remove_stub nyc
api deleteNetwork id="$id" >/dev/null
! ip netns list | grep -q "mvdc-g$group-$(api listZones name="New York" | get '.zone[0].id' | cut -c1-8)" ||
    fail "the router of New York is left"
reaches fra 10.2.2.50 || fail "Frankfurt and Paris are not joined any more"
for name in fra fra2 par; do
    id=$(network_id $name)
    remove_stub $name
    api deleteNetwork id="$id" >/dev/null
done
! ip netns list | grep -q "mvdc-g$group" || fail "the group left namespaces"
[ ! -e "$relay" ] || fail "the group left its process"
say "torn down by the API"

private "$group" "Frankfurt (ESX)" fra 10.2.1
private "$group" "Paris (ESX)" par 10.2.2
reaches fra 10.2.2.50 || fail "a group that was empty joins nothing"
remove_stub fra
remove_stub par
host_ids
"$VDC" destroy -y >/dev/null
host_as_before
echo "$test: ok"

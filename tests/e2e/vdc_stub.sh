# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Private networks with a cheap guest each: a namespace on the network's bridge, with address .50.
# Sourced after vdc_lib.sh.

network_id() { # name
    api listNetworks | get ".network[] | select(.name == \"$1\") | .id"
}

provisioned() {
    api listNetworks | jq -e ".network[] | select(.name == \"$1\") | .isprovisioned" >/dev/null
}

# A private network of the group in the zone, and its guest.
private() { # group, zone, name, first three numbers of the network
    api createPrivateDirectConnect zonename="$2" cidr="$4.0/24" gateway="$4.1" displaytext="$3" \
        dcgid="$1" >/dev/null
    until_ok 20 provisioned "$3"
    local id ns=mvdc-t-$3
    id=$(network_id "$3")
    ip netns add "$ns"
    ip link add "mvdct$3" type veth peer name eth0 netns "$ns"
    ip link set "mvdct$3" master "mvdcb${id:0:8}" up
    ip -n "$ns" addr add "$4.50/24" dev eth0
    ip -n "$ns" link set lo up
    ip -n "$ns" link set eth0 up
    ip -n "$ns" route add default via "$4.1"
}

remove_stub() { # name
    ip netns del "mvdc-t-$1"
}

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures the link between two zones: round trip and throughput of ten streams as set, without a
# rate, and without any delay, in one run. No number here decides a test. Run as root.
# usage: link.sh [path of muster-vdc]
set -euo pipefail

set -- "${1:-$(dirname "$0")/../../build/bin/muster-vdc}"
# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/../e2e/vdc_lib.sh" "$@"
# shellcheck source=tests/e2e/vdc_stub.sh
. "$here/vdc_stub.sh"

command -v iperf3 >/dev/null || apt-get -qq -y --no-install-recommends install iperf3 >/dev/null

rtt() {
    ip netns exec mvdc-t-fra ping -q -c100 -i0.02 "$1" |
        sed -n 's,.* = [^/]*/\([^/]*\)/[^/]*/\([^ ]*\) ms.*,\1 \2,p'
}

listening() {
    ip netns exec "mvdc-t-$1" ss -Hltn | grep -q ':5201 '
}

gbit() { # to whom, address
    ip netns exec "mvdc-t-$1" iperf3 -s -1 -D
    until_ok 5 listening "$1"
    ip netns exec mvdc-t-fra iperf3 -J -c "$2" -P 10 -t 5 -O 1 |
        jq '.end.sum_received.bits_per_second / 1e9'
}

row() { # title, to whom, address
    local mean deviation speed
    read -r mean deviation < <(rtt "$3")
    speed=$(gbit "$2" "$3")
    printf '%-36s %8.3f ms ± %.3f %8.2f Gbit/s\n' "$1" "$mean" "$deviation" "$speed"
    last=$speed
}

begin
"$VDC" start --no-wait >/dev/null
group=$(api createDirectConnectGroup name=dcg-link | get '.directconnectgroup[0].id')
private "$group" "Frankfurt (ESX)" fra 10.2.1
private "$group" "Frankfurt (ESX)" fra2 10.2.11
private "$group" "Paris (ESX)" par 10.2.2
row "within the zone, no link" fra2 10.2.11.50
"$VDC" link fra par --rtt 0ms --rate none
row "link without delay, without rate" par 10.2.2.50
direct=$last
"$VDC" link fra par --restore --rate none
row "link of 9.09 ms, without rate" par 10.2.2.50
printf '%-36s %8.2f\n' "ratio, with delay to without" "$(bc -l <<<"$last / $direct")"
"$VDC" link fra par --restore
row "link of 9.09 ms, 3 Gbit/s" par 10.2.2.50

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second NIC and its routes on two guests of agent_host.sh, one with ifupdown, one with
# systemd-networkd: now and right after a reboot, without the agent's service; and what is refused.
# usage: routes.sh [muster-agent.deb]
set -euo pipefail
cd "$(dirname "$0")/../.."
host=tests/hosts/agent_host.sh
deb=${1:-build/pkg/muster-agent.deb}
dir=${MTEST_DIR:-/tmp/mtest}
name=${MTEST_NAME:-mtest}
tmp=$(mktemp -d)

fail() { echo "routes: $*" >&2; exit 1; }
root() { echo "$dir/lxc/$name-$1/rootfs"; }
run() { "$host" run "$@"; }
until_ok() {
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "still not true: $*"
    sleep 0.1
  done
}
booted() { case "$(run "$1" systemctl is-system-running)" in running | degraded) ;; *) false ;; esac; }

plan() { # guest address via to
  cat >"$(root "$1")/root/plan.json" <<JSON
{"version":1,"deployment":"r","node":"$1","rev":"0000000000000001","resources":[
{"type":"route","id":"route:private","mac":"02:77:00:00:01:0$([ "$1" = a ] && echo 1 || echo 2)","address":"$2","via":"$3","to":["$4"]}]}
JSON
}
apply() { run "$1" muster-agent apply /root/plan.json; }
# The NIC has the address and the route, in the kernel.
is_there() { # guest
  run "$1" ip -4 addr show dev eth1 | grep -q " 10.5.0.2/24 " &&
    run "$1" ip route show 10.6.0.0/24 | grep -q "via 10.5.0.1 dev eth1"
}
refused() { # words of the reason
  local status=0
  apply a >"$tmp/out" 2>&1 || status=$?
  [ $status -eq 7 ] || fail "exit status $status instead of 7: $(cat "$tmp/out")"
  grep -q "$1" "$tmp/out" || fail "'$1' is not in: $(cat "$tmp/out")"
  [ -z "$(run a ip -4 addr show dev eth1)" ] || fail "the NIC was changed by what was refused"
}

"$host" down
trap '"$host" down; rm -rf "$tmp"' EXIT
"$host" up
for g in a b; do
  dpkg-deb -x "$deb" "$tmp/deb"
  cp -r "$tmp/deb/usr" "$(root $g)/"
  until_ok booted $g
done
# Guest b: as an image whose network is systemd-networkd's.
# shellcheck disable=SC2016
run b sh -c 'printf "auto lo\niface lo inet loopback\n" >/etc/network/interfaces
  printf "[Match]\nName=eth0\n[Network]\nAddress=%s\nGateway=%s\n" "$1/24" "$2" >/etc/systemd/network/10-eth0.network
  printf "[Match]\nName=eth1\n[Network]\nLinkLocalAddressing=no\n" >/etc/systemd/network/20-eth1.network
  systemctl -q mask networking; systemctl -q enable systemd-networkd' sh \
  "${MTEST_NET:-10.77.0}.12" "${MTEST_NET:-10.77.0}.1"
"$host" power b
until_ok booted b

# What is refused changes nothing.
mkdir -p "$(root a)/etc/muster-agent"
echo '{"main":"tcp://10.9.9.9:5562"}' >"$(root a)/etc/muster-agent/bootstrap.json"
plan a 10.5.0.2/24 10.7.0.1 10.6.0.0/24; refused "not in the network of the NIC"
plan a 10.5.0.2/24 10.5.0.2 10.6.0.0/24; refused "own address"
plan a 10.5.0.2/24 10.5.0.1 10.9.9.0/24; refused "address of the controller"
plan a "${MTEST_NET:-10.77.0}.77/24" "${MTEST_NET:-10.77.0}.78" 10.6.0.0/24; refused "address of the default gateway"
rm "$(root a)/etc/muster-agent/bootstrap.json"
plan a 10.5.0.2/24 10.5.0.1 0.0.0.0/0; refused "replace the default route"
echo "refusals: ok"

# Others with the NIC's MAC: nobody takes them for it; what is a part of a bridge is refused.
plan a 10.5.0.2/24 10.5.0.1 10.6.0.0/24
run a ip link add br0 type bridge
run a ip link set eth1 master br0
refused "eth1 is a part of br0"
run a ip link del br0
for g in a b; do
  for n in aa0 zz0; do
    run $g ip link add $n type bridge
    run $g ip link set $n address "$(run $g cat /sys/class/net/eth1/address)" up
  done
done
echo "one MAC: ok"

for g in a b; do
  plan $g 10.5.0.2/24 10.5.0.1 10.6.0.0/24
  apply $g >"$tmp/out" 2>&1 || fail "guest $g: $(cat "$tmp/out")"
  is_there $g || fail "guest $g: not there after apply"
  apply $g | grep -q "0 changed, 1 ok" || fail "guest $g: a second run changes something"
  "$host" power $g
  until_ok is_there $g
  until_ok booted $g
  run $g muster-agent apply --check /root/plan.json >/dev/null 2>&1 || fail "guest $g: differs after the reboot"
  echo "guest $g: ok"
done
[ -e "$(root a)/etc/network/interfaces.d/60-muster-eth1" ] || fail "guest a: not in ifupdown's way"
[ -e "$(root b)/etc/systemd/network/20-eth1.network.d/60-muster.conf" ] || fail "guest b: not in networkd's way"
echo "routes: ok"

#!/bin/bash
# The cloud side: what a plan costs beside many foreign VMs, and how much longer eight nodes in four
# zones take than one, when every job of the cloud takes the same time. Guests are simulated.
source "$(dirname "$0")/../e2e/lib.sh"

latency=${BENCH_JOB_LATENCY:-1000}
"$vdc" start --job-latency 0 >/dev/null
export CLOUDSTACK_ENDPOINT CLOUDSTACK_KEY CLOUDSTACK_SECRET
CLOUDSTACK_ENDPOINT=$("$vdc" status --json | jq -r .endpoint)
CLOUDSTACK_KEY=$("$vdc" status --json | jq -r .api_key)
CLOUDSTACK_SECRET=$("$vdc" status --json | jq -r .secret_key)

# stack NAME ZONES NODES-PER-ZONE: a file
stack() {
  local zones=("Frankfurt (ESX)" "Paris (ESX)" "Amsterdam" "Berlin") z n
  printf 'deployment: %s\ncloud: {local: {compute: simulator}}\n' "$1"
  printf 'defaults: {template: Debian 12, offering: 2048-1}\nzones:\n'
  for ((z = 0; z < $2; z++)); do
    printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n' "${zones[z]}" $((z + 1))
    printf '    private: {cidr: 10.10.%d.0/24, group: Default}\n' $((z + 1))
  done
  printf 'nodes:\n'
  for ((z = 0; z < $2; z++)); do
    for ((n = 0; n < $3; n++)); do
      printf '  - {name: n%d%d, zone: %s, datadisk: {size: 10G, offering: EBS Protected}, ports: {%d: 22, %d: 80}}\n' \
        $z $n "${zones[z]}" $((52200 + n)) $((8000 + n))
    done
  done
}
now() { date +%s%3N; }
calls() { "$vdc" logs --calls | wc -l; }
up() { "$muster" up --cloud-only -f "$1" --agent-package build/pkg/muster-agent.deb >"$work/out" 2>&1 || { cat "$work/out"; die "up"; }; }

stack bench 2 1 >"$work/bench.yaml"
up "$work/bench.yaml"
printf '%-34s %8s %8s %10s\n' "plan beside foreign VMs" "calls" "ms" "RSS kB"
there=0
for total in 10 100 1000; do
  /usr/bin/python3 - $there $total <<'PY'
import os, sys, time
from cs import CloudStack
cloud = CloudStack(endpoint=os.environ["CLOUDSTACK_ENDPOINT"], key=os.environ["CLOUDSTACK_KEY"], secret=os.environ["CLOUDSTACK_SECRET"])
zone = [z for z in cloud.listZones()["zone"] if z["name"] == "London"][0]["id"]
template = [t for t in cloud.listTemplates(templatefilter="executable")["template"] if t["name"] == "Debian 12" and t.get("zoneid", zone) == zone][0]["id"]
offering = cloud.listServiceOfferings(name="512-1")["serviceoffering"][0]["id"]
network = cloud.listNetworks(keyword="crowd").get("network")
if not network:
    no = cloud.listNetworkOfferings(name="DefaultIsolatedNetworkOfferingWithSourceNatService")["networkoffering"][0]["id"]
    network = [cloud.createNetwork(name="crowd", displaytext="crowd", zoneid=zone, networkofferingid=no, gateway="10.200.0.1", netmask="255.255.0.0")["network"]]
for n in range(int(sys.argv[1]), int(sys.argv[2])):
    cloud.deployVirtualMachine(zoneid=zone, templateid=template, serviceofferingid=offering, networkids=network[0]["id"],
                               name="crowd-%d" % n, hypervisor="Simulator")
while cloud.listVirtualMachines(state="Running", page=1, pagesize=1)["count"] < int(sys.argv[2]):
    time.sleep(0.2)
PY
  there=$total
  before=$(calls)
  start=$(now)
  "$muster" plan -f "$work/bench.yaml" >/dev/null & pid=$!
  rss=0
  while [ -e "/proc/$pid/status" ]; do
    r=$(awk '/VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null || true)
    [ "${r:-0}" -gt "$rss" ] && rss=$r
  done
  wait "$pid"
  printf '%-34s %8d %8d %10d\n' "$total" $(($(calls) - before)) $(($(now) - start)) "$rss"
done
"$muster" destroy -y --with-data -f "$work/bench.yaml" >/dev/null 2>&1

"$vdc" stop >/dev/null
"$vdc" start --job-latency "$latency" >/dev/null
printf '\n%-34s %8s\n' "cloud part, each job takes $latency ms" "ms"
for shape in "one 1 1" "eight 4 2"; do
  # shellcheck disable=SC2086
  stack $shape >"$work/$shape.yaml"
  start=$(now)
  up "$work/$shape.yaml"
  took=$(($(now) - start))
  printf '%-34s %8d\n' "${shape%% *}" $took
  [ "${shape%% *}" = one ] && one=$took || printf '%-34s %8s\n' "eight / one" "$(bc <<<"scale=2; $took / $one")"
  "$muster" destroy -y --with-data -f "$work/$shape.yaml" >/dev/null 2>&1
done

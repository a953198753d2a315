# shellcheck shell=bash
# What the end-to-end tests share. Sourced; expects to run as root on a machine whose local cloud is
# not in use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

muster=$PWD/build/bin/muster
vdc=$PWD/build/bin/muster-vdc
# shellcheck source=tests/e2e/host_state.sh
source tests/e2e/host_state.sh
work=$(mktemp -d /tmp/muster-e2e-XXXXXX)
# The directory that the tests of one_deployment.sh have in common, else empty.
shared=${MTEST_SHARED:-}
export XDG_STATE_HOME=${shared:-$work}/state
# The example of the README, to be edited elsewhere; and the same on a template that has the packages
# already, which raises in half the time: for what does not test their installation.
bare=$work/bare.yaml file=$work/saas.yaml
sed "s|archive: {path: album}|archive: {path: $PWD/docs/examples/album}|" docs/examples/saas.yaml >"$bare"
sed 's/template: Debian 12/& with servers/' "$bare" >"$file"

die() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
ok() { printf 'ok: %s\n' "$*"; }

# until_true SECONDS WHAT COMMAND…: polls a condition.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || die "not within the time: $what"
    sleep 0.5
  done
  ok "$what"
}

# The cloud's own view, through another client; how to reach it is asked once.
cloud() {
  local access=$work/cloud-access
  [ -s "$access" ] || "$vdc" status --json |
    jq -r '@sh "export CLOUDSTACK_ENDPOINT=\(.endpoint) CLOUDSTACK_KEY=\(.api_key) CLOUDSTACK_SECRET=\(.secret_key)"' >"$access"
  (
    # shellcheck disable=SC1090 # it was just written
    source "$access"
    exec /usr/bin/python3 -m cs "$@"
  )
}

# How many entities a list call finds (a jq filter may follow the member); the client prints nothing
# for an empty list.
count() { cloud "$1" | jq -s "[.[] | .$2[]? ${3:-}] | length"; }
data_disks() { count listVolumes volume '| select(.type == "DATADISK")'; }

url_of() { "$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name==\"$1\") | .url"; }
is_ready() { [ "$("$muster" status -f "$file" --json | jq -r .state)" = ready ]; }
# On a node: a command as root, a statement, what its agent and its coordinator say.
on() { "$muster" ssh -f "$file" "$1" sudo "${@:2}" 2>/dev/null; }
sql() { on "$1" mariadb -N -e "'$2'"; }
agent_json() { on "$1" muster-agent status --json; }
coordinator() { agent_json "$1" | jq -r .coordinator.state; }
why() { agent_json "$1" | jq -r .coordinator.why; }
state_is() { [ "$(coordinator "$1")" = "$2" ]; }
# The cloud's id of a resource of the deployment, such as vm:fra.
id_of() { "$muster" show -f "${f:-$file}" --json | jq -r ".resources[] | select(.resource==\"$1\") | .id"; }
power_off() { "$vdc" fault vm "$(id_of "vm:$1")" power-off >/dev/null; }
vm_gone() { [ -z "$(cloud listVirtualMachines id="$1" 2>/dev/null | jq -r '.virtualmachine[0].id // ""')" ]; }
# A node's machine and data disk are lost, and the controller does not know.
destroy_behind() { # NODE
  local volume vm
  volume=$(id_of "volume:$1") vm=$(id_of "vm:$1")
  power_off "$1"
  cloud destroyVirtualMachine id="$vm" expunge=true >/dev/null
  until_true 60 "the machine of $1 is gone" vm_gone "$vm"
  cloud detachVolume id="$volume" >/dev/null 2>&1 || true
  cloud deleteVolume id="$volume" >/dev/null || die "deleteVolume"
}
# When the node's systemd started: containers share the host's boot id.
booted_at() { "$muster" ssh -f "$file" "$1" systemctl show -P UserspaceTimestampMonotonic 2>/dev/null; }

# A test that has a file of its own calls it $f.
cleanup() {
  local rc=$? file=${f:-$file} n
  if [ $rc -ne 0 ]; then
    for n in $("$muster" show -f "$file" --json 2>/dev/null | jq -r '.resources[].resource | select(startswith("vm:")) | .[3:]'); do
      printf -- '--- %s\n' "$n"
      timeout 20 "$muster" ssh -f "$file" "$n" sudo journalctl -b -u mariadb -u muster-agent --no-pager -o short-precise -n 120 2>/dev/null || true
    done
    printf -- '--- status\n'
    "$muster" status -f "$file" || true
    printf -- '--- events\n'
    "$muster" events -f "$file" 2>/dev/null | tail -n 40 || true
    "$vdc" logs 2>/dev/null | tail -n 40 || true
  fi
  [ -n "$shared" ] && [ $rc -eq 0 ] || "$vdc" destroy -y >/dev/null 2>&1 || true
  rm -rf "$work" "$host_known"
  exit $rc
}
trap cleanup EXIT

if [ -e /var/lib/muster/vdc ] && [ ! -e "$XDG_STATE_HOME" ]; then
  trap - EXIT
  die "the local cloud of this machine is in use; 'muster vdc destroy' removes it"
fi

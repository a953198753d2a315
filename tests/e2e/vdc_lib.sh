# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the local cloud's tests share. Sourced with the test's own arguments: the path of muster-vdc,
# or nothing. Needs root, and a machine whose local cloud is not in use.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
test=$(basename "$0" .sh)
VDC=$(realpath "${1:-$here/../../build/dev/bin/muster-vdc}")
export VDC
# shellcheck source=tests/e2e/host_state.sh
source "$here/host_state.sh"
vms=/var/lib/muster/vdc/vms
tmp=$(mktemp -d "/tmp/mvdc-$test.XXXXXX")
began=$(date +%s.%N)

fail() {
    echo "$test: FAILED: $*" >&2
    exit 1
}

say() {
    printf '%6.1f s  %s\n' "$(bc <<<"$(date +%s.%N) - $began")" "$*"
}

same_state() {
    host_state >"$tmp/after"
    diff "$tmp/before" "$tmp/after" >"$tmp/differs"
}

# Of this machine as the test sees it: others may test in namespaces of their own.
no_processes() {
    ! pgrep --ns $$ --nslist mnt -f \
        'muster-vdc (serve|job|hold|metadata|relay)|conf-file=/var/lib/muster|qemu-system.*-name mvdc-|lxc monitor. /var/lib/muster'
}

host_as_before() {
    until_ok 10 no_processes
    for _ in 1 2 3 4 5; do
        if same_state; then
            say "host as it was"
            return
        fi
        sleep 0.2
    done
    cat "$tmp/differs" >&2
    fail "the host is not as it was"
}

# Waits until a command succeeds, at most $1 seconds.
until_ok() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "still not true: $*"
        sleep 0.1
    done
}

api() {
    /usr/bin/python3 "$here/vdc_api.py" "$@"
}

# The value at a path of jq's, which must not be empty.
get() {
    jq -er "$1"
}

# Runs in the guest named by $container.
guest() {
    # shellcheck disable=SC2154
    lxc-attach -P "$vms" -n "$container" --clear-env -- "$@" </dev/null
}

# The guest sees the volume under the volume's name.
has_link() {
    guest test -b "/dev/disk/by-id/virtio-$1"
}

holders=()
cleanup() {
    local status=$?
    [ ${#holders[@]} -eq 0 ] || kill "${holders[@]}" 2>/dev/null || true
    if [ "$status" -ne 0 ] && [ -e /var/lib/muster/vdc ]; then
        "$VDC" logs | tail -20 >&2 || true
    fi
    [ -n "${KEEP:-}" ] || "$VDC" destroy -y >/dev/null 2>&1 || true
    rm -rf "$tmp" "$host_known"
    exit "$status"
}

begin() {
    [ "$(id -u)" -eq 0 ] || fail "needs root"
    [ ! -e /var/lib/muster/vdc ] || fail "a local cloud is on this machine already; not touching it"
    host_state >"$tmp/before"
    trap cleanup EXIT
}

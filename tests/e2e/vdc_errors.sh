#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local cloud on bad days: tools missing, the port taken, no space for the template. Every error
# is one line that says what to do, and the next start works. Run as root.
# usage: vdc_errors.sh [path of muster-vdc]
set -euo pipefail
shopt -s inherit_errexit

# What it hides and mounts, it hides from itself only.
if [ -z "${MVDC_PRIVATE:-}" ]; then
    MVDC_PRIVATE=1 exec unshare -m --propagation private "$0" "$@"
fi

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"
cache=/var/cache/muster/vdc

# A start must fail with one line on stderr that has the text.
start_says() {
    if "$VDC" start >"$tmp/out" 2>"$tmp/said"; then
        fail "start succeeded, not: $1"
    fi
    if [ "$(wc -l <"$tmp/said")" -ne 1 ] || ! grep -qF "$1" "$tmp/said"; then
        cat "$tmp/said" >&2
        fail "start did not say in one line: $1"
    fi
    say "$(cat "$tmp/said")"
}

no_template() {
    [ -z "$(find "$cache" -maxdepth 1 -name 'debian-12-*')" ] || fail "a template is left: $(ls "$cache")"
}

missing() {
    mount --bind /dev/null "$1"
    start_says "apt-get install $2"
    umount "$1"
    [ ! -e /var/lib/muster/vdc ] || fail "a start without $1 left something"
}

begin
missing "$(command -v dnsmasq)" dnsmasq-base
missing "$(command -v mmdebstrap)" mmdebstrap

/usr/bin/python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", 8899))
time.sleep(1000)' &
holders+=($!)
until_ok 5 ss -Hltn src 127.0.0.1:8899
start_says "port 8899 of 127.0.0.1 is taken by another program"
kill "${holders[@]}"
wait "${holders[@]}" 2>/dev/null || true
holders=()
host_ids
"$VDC" destroy # nothing in it: no question
host_as_before

# No space from the beginning; and again, with the daemon still there.
mkdir -p "$cache"
mount -t tmpfs -o size=64m,mode=755 mvdc-cache "$cache"
start_says "MiB are free below $cache, the build needs 1500; free some space and try again"
no_template
start_says "MiB are free below $cache, the build needs 1500; free some space and try again"

# The space is used up by others while the template is built.
mount -o remount,size=2g "$cache"
used() {
    df --output=used -m "$cache" | tail -1
}
begun() {
    [ "$(used)" -gt 40 ]
}
squeeze() {
    mount -o remount,size=$(($(used) + 16))m "$cache" # fails when more was written meanwhile
}
shrink() {
    until_ok 60 begun
    until_ok 5 squeeze
}
shrink &
start_says "the disk became full below $cache; the build needs 1500 MiB"
wait $!
no_template
umount "$cache"

"$VDC" start >/dev/null
"$VDC" status | grep -q 'is ready' || fail "no template after all"
say "the next start works"
host_ids
"$VDC" destroy
host_as_before
echo "$test: ok"

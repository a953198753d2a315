#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local cloud's API as another client sees it. In namespaces of its own, so that no other local
# cloud is in its way and no guest of it reaches anything. Run as root.
# usage: vdc_cs.sh [path of muster-vdc [check ...]]
set -euo pipefail
shopt -s inherit_errexit

if [ -z "${MVDC_PRIVATE:-}" ]; then
    MVDC_PRIVATE=1 exec unshare --mount --net --pid --fork --mount-proc --propagation private "$0" "$@"
fi
ip link set lo up
# Of mounts that were copied with the namespace, none is this cloud's.
sed -n 's,^[^ ]* \(/var/lib/muster/[^ ]*\).*,\1,p' /proc/self/mounts | tac | xargs -r -n1 umount -l || true
# A mount goes when its directory is removed, also in another namespace: so not on the machine's own
# /var/lib/muster, which another local cloud may remove at any time.
mount -t tmpfs mvdc-run /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work mvdc-lib /var/lib
mkdir -p /var/lib/muster
mount -t tmpfs mvdc-state /var/lib/muster

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"
trap cleanup EXIT
"$VDC" start >/dev/null
say "started"
/usr/bin/python3 "$here/vdc_cs.py" "${@:2}"
"$VDC" destroy -y >/dev/null
echo "$test: ok"

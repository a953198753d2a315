#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local cloud's API as another client sees it. In namespaces of its own, so that no other local
# cloud is in its way and no guest of it reaches anything. Run as root.
# usage: vdc_cs.sh [path of muster-vdc [check ...]]
set -euo pipefail
shopt -s inherit_errexit

if [ -z "${MVDC_PRIVATE:-}" ]; then
    mkdir -p /var/lib/muster
    trap 'rmdir --ignore-fail-on-non-empty /var/lib/muster' EXIT
    MVDC_PRIVATE=1 unshare --mount --net --pid --fork --mount-proc --propagation private "$0" "$@"
    exit
fi
ip link set lo up
# Of mounts that were copied with the namespace, none is this cloud's.
sed -n 's,^[^ ]* \(/var/lib/muster/[^ ]*\).*,\1,p' /proc/self/mounts | tac | xargs -r -n1 umount -l
mount -t tmpfs mvdc-state /var/lib/muster
mount -t tmpfs mvdc-run /run

# shellcheck source=tests/e2e/vdc_lib.sh
. "$(dirname "$0")/vdc_lib.sh" "$@"
trap cleanup EXIT
"$VDC" start >/dev/null
say "started"
/usr/bin/python3 "$here/vdc_cs.py" "${@:2}"
"$VDC" destroy -y >/dev/null
echo "$test: ok"

#!/bin/bash
# The same file with real machines: one node of it, its database, site and data disk, in QEMU. Minutes
# where KVM does not work.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../lib.sh"

f=$work/qemu.yaml
sed -e 's/^cloud:.*/cloud: {local: {compute: qemu}}/' -e '/name: par,/d' "$bare" >"$f"
"$muster" up -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
ok "$(grep 'is ready' "$work/out")"
curl -fsS "$(url=$("$muster" status -f "$f" --json | jq -r '.nodes[0].url') && printf '%s/' "$url")" >/dev/null || die "the site does not answer"
[ "$("$muster" ssh -f "$f" fra systemd-detect-virt)" != lxc ] || die "that is a container"
"$muster" ssh -f "$f" fra findmnt -n -o SOURCE /media/datadisk-mariadb | grep -q '^/dev/vd' || die "the data disk is no virtio disk"
ok "a machine of its own: $("$muster" ssh -f "$f" fra uname -v)"
"$muster" up -f "$f" 2>&1 | grep -q '0 changed' || die "a second up changes something"
ok "a second up changes nothing"
"$muster" destroy -y --with-data -f "$f" >/dev/null 2>&1 || die "destroy"
[ "$(count listVirtualMachines virtualmachine) $(data_disks)" = "0 0" ] || die "left over"
ok "gone"

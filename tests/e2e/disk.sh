#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of disk that the agent may meet, on loop devices, with the agent's own worker. Without
# consent no byte of a disk that is not blank or ours changes, and each refusal names its rule. Then
# our own disk: killed at every point while it is made, and while it grows. Root; everything happens
# in a mount namespace of its own.
# usage: disk.sh [NAME…]   only these rows
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${MUSTER_DISK_INSIDE:-}" ]; then
  exec env MUSTER_DISK_INSIDE=1 unshare --mount --propagation private "$0" "$@"
fi
agent=$PWD/build/dev/bin/muster-agent-worker
work=$(mktemp -d /tmp/muster-disk-XXXXXX)
mib=$((1024 * 1024))
size=$((320 * mib)) # mkfs.xfs makes nothing smaller than 300 MiB
volume=11111111-aaaa-4aaa-8aaa-111111111111
serial=11111111aaaa4aaa8aaa
only=" $* "
rows=0

die() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
ok() {
  rows=$((rows + 1))
  printf 'ok: %s\n' "$*"
}
wanted() { [ "$only" = '  ' ] || [[ $only == *" $1 "* ]]; }

loops=()
cleanup() {
  kill "$watcher" 2>/dev/null || true
  for m in /mnt/data "$work/at"; do ! mountpoint -q "$m" || umount "$m"; done
  for l in "${loops[@]}"; do
    delpart "$l" 1 2>/dev/null || true
    losetup -d "$l" 2>/dev/null || true
  done
  umount /mnt /run /etc /var/lib "$work/over"
  rm -rf "$work"
}

# --- a machine of our own: its disks are those that a row attaches ------------------------------
nodes=$(ls -d /dev/loop-control /dev/null /dev/zero /dev/urandom /dev/random)
mkdir "$work/dev" "$work/over"
mount -t tmpfs tmpfs "$work/dev"
for n in $nodes; do cp -a "$n" "$work/dev/"; done
ln -s /proc/self/fd "$work/dev/fd"
mount --move "$work/dev" /dev
mount -t tmpfs tmpfs "$work/over"
for d in /var/lib /etc /run /mnt; do
  mkdir -p "$work/over$d" "$work/over/work$d"
  mount -t overlay overlay -o "lowerdir=$d,upperdir=$work/over$d,workdir=$work/over/work$d" $d
done
: >/etc/fstab
# What udev would do: nodes of partitions, as the kernel has them. Without a process for each look.
partitions() {
  local never d node numbers
  local -A made=()
  exec {never}<> <(:)
  while ! read -r -t 0.05 -u "$never"; do
    for d in /sys/block/loop*/loop*p*/dev; do
      node=${d%/dev}
      node=/dev/${node##*/}
      [ -e "${node%p*}" ] || continue
      read -r numbers <"$d" || continue
      [ -b "$node" ] && [ "${made[$node]:-}" = "$numbers" ] && continue
      rm -f "$node"
      mknod "$node" b "${numbers%:*}" "${numbers#*:}"
      made[$node]=$numbers
    done
  done
}
partitions >/dev/null 2>&1 </dev/null &
watcher=$!
trap cleanup EXIT

loop_device() { # IMAGE [OPTION…]: sets $device; others on this machine take devices, too
  local image=$1
  shift
  for _ in 1 2 3 4 5 6 7 8; do
    device=$(losetup -f)
    [ -b "$device" ] || mknod "$device" b 7 "${device#/dev/loop}"
    ! losetup "$@" "$device" "$image" || return 0
    rm "$device"
  done
  die "no loop device"
}
# attach [IMAGE [OPTION…]]: sets $disk, with the volume's serial
attach() {
  local image=${1:-$work/disk}
  shift || true
  loop_device "$image" "$@"
  disk=$device
  loops+=("$disk")
  mkdir -p /dev/disk/by-id
  ln -sf "../../${disk#/dev/}" /dev/disk/by-id/virtio-$serial
}
detach() {
  ! mountpoint -q /mnt/data || umount /mnt/data
  for l in "${loops[@]}"; do
    delpart "$l" 1 2>/dev/null || true
    losetup -d "$l"
    rm -f "$l" "$l"p*
  done
  loops=()
  rm -rf /dev/disk /var/lib/muster-agent/disk "$work"/disk*
  : >/etc/fstab
}
fresh() { truncate -s $size "$work/disk"; }

filesystem=ext4
plan() { # [MEMBER…]: further members of the step
  local more=${1:+,$1} mounted='' members
  members="\"volume\":\"$volume\",\"path\":\"/mnt/data\",\"filesystem\":\"$filesystem\""
  [ -z "${mounting:-}" ] || mounted=",{\"type\":\"mount\",\"id\":\"mount:data\",$members,\"deployment\":\"test\"},
{\"type\":\"grow\",\"id\":\"grow:data\",$members}"
  cat >"$work/plan.json" <<JSON
{"version":1,"deployment":"test","node":"a","rev":"0123456789abcdef","secrets":{},"resources":[
{"type":"disk","id":"disk:data","volume":"$volume","size":$size,"filesystem":"$filesystem","deployment":"test"$more}
$mounted]}
JSON
}
apply() { "$agent" apply "$work/plan.json" >"$work/out" 2>&1; }
sum() { openssl dgst -sha256 -r <"$work/disk"; } # several times as fast as sha256sum

# refused NAME RULE: neither a dry run nor a run changes a byte
refused() {
  local name=$1 rule=$2 before rc
  before=$(sum)
  for how in --check ''; do
    rc=0
    # shellcheck disable=SC2086
    "$agent" apply $how "$work/plan.json" >"$work/out" 2>&1 || rc=$?
    [ $rc = 7 ] || die "$name: exit status $rc instead of 7: $(cat "$work/out")"
    grep -q "($rule)" "$work/out" || die "$name: refused, but not by $rule: $(cat "$work/out")"
  done
  rc=0
  "$agent" disk --explain --json "$work/plan.json" >"$work/explained" 2>&1 || rc=$?
  [ $rc = 7 ] || die "$name: --explain ends with $rc: $(cat "$work/explained")"
  grep -q "$rule)" "$work/explained" || die "$name: --explain does not name $rule: $(cat "$work/explained")"
  [ "$(sum)" = "$before" ] || die "$name: the disk was changed"
  ok "$name: $(sed -n 's/^muster-agent: disk:data: refused: //p' "$work/out" | cut -c1-150)"
}

poke() { # OFFSET FORMAT
  # shellcheck disable=SC2059
  printf "$2" | dd of="$work/disk" bs=1 seek="$1" conv=notrunc status=none
}
foreign_mount() { # OFFSET
  mkdir -p "$work/at"
  loop_device "$work/disk" --offset "$1"
  mount "$device" "$work/at"
}
foreign_umount() {
  umount "$work/at"
  losetup -d "$device"
  rm "$device"
}
important() { # puts a file that must not be lost onto a foreign filesystem
  foreign_mount "$1"
  echo irreplaceable >"$work/at/important"
  foreign_umount
}
important_is_there() { # OFFSET
  foreign_mount "$1"
  grep -qx irreplaceable "$work/at/important" || die "the important file is gone"
  foreign_umount
}
gpt() { sgdisk --clear --new=1:2048:0 "$@" "$work/disk" >/dev/null; }
# CAP_SYS_RESOURCE, with which the kernel lets ext4 grow while it is mounted
may_grow_ext4() { (((16#$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24) & 1)); }
uuid_of() { # what the agent derives is read from a disk that it made
  [ -s "$work/ours.img" ] || {
    mounting='' plan
    fresh
    attach
    apply || die "a disk of ours: $(cat "$work/out")"
    cp --sparse=always "$work/disk" "$work/ours.img"
    detach
  }
  sgdisk -i 1 "$work/ours.img" | sed -n 's/^Partition unique GUID: //p'
}
row() { # NAME RULE: the disk is in $work/disk
  attach
  plan
  refused "$1" "$2"
  detach
}

# --- foreign ------------------------------------------------------------------------------------
for fs in ext4 xfs btrfs; do
  force=-f
  [ $fs != ext4 ] || force=-F
  if wanted whole-$fs; then
    fresh
    mkfs.$fs -q $force "$work/disk" >"$work/mkfs" 2>&1
    important 0
    attach
    plan
    refused whole-$fs R4
    important_is_there 0
    detach
  fi
  if wanted gpt-$fs; then
    fresh
    gpt
    truncate -s $((300 * mib)) "$work/part"
    mkfs.$fs -q $force "$work/part" >"$work/mkfs" 2>&1
    dd if="$work/part" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
    rm "$work/part"
    important $mib
    attach
    plan
    refused gpt-$fs R8
    important_is_there $mib
    detach
  fi
done
signature() { # KIND BASE
  case $1 in
    lvm) poke $(($2 + 512)) 'LABELONE\1\0\0\0\0\0\0\0\0\0\0\0\40\0\0\0LVM2 001' ;;
    luks) poke "$2" 'LUKS\272\276\0\1aes\0' ;;
    mdraid) poke $(($2 + 4096)) '\374\116\053\251\1\0\0\0' ;;
    zfs) for i in 0 1 2 3 4 5 6 7; do poke $(($2 + 131072 + i * 1024)) '\14\261\272\0\0\0\0\0'; done ;;
    swap) poke $(($2 + 4086)) 'SWAPSPACE2' ;;
  esac
}
for kind in lvm luks mdraid zfs swap; do
  if wanted whole-$kind; then
    fresh
    signature $kind 0
    row whole-$kind 'R[45]'
  fi
  if wanted gpt-$kind; then
    fresh
    gpt
    signature $kind $mib
    row gpt-$kind R8
  fi
done
if wanted blank-partitioned; then
  fresh
  gpt
  row blank-partitioned R8
fi
if wanted msdos; then
  fresh
  poke 446 '\0\0\0\0\203\0\0\0\0\10\0\0\0\0\1\0'
  poke 510 '\125\252'
  row msdos R8
fi
if wanted gpt-lost-first; then
  fresh
  gpt
  dd if=/dev/zero of="$work/disk" bs=512 seek=1 count=1 conv=notrunc status=none
  row gpt-lost-first 'R[48]'
fi
if wanted lost-superblock; then
  fresh
  mkfs.ext4 -q -F -b 1024 "$work/disk"
  dd if=/dev/zero of="$work/disk" bs=1M count=4 conv=notrunc status=none
  row lost-superblock R5
fi
if wanted lost-start-btrfs; then # a copy of its superblock is at 64 MiB
  fresh
  mkfs.btrfs -q -f "$work/disk" >"$work/mkfs" 2>&1
  dd if=/dev/zero of="$work/disk" bs=1M count=60 conv=notrunc status=none
  dd if=/dev/zero of="$work/disk" bs=64K seek=1025 count=$((size / 65536 - 1025)) conv=notrunc status=none
  row lost-start-btrfs R5
fi
if wanted random; then
  head -c $size /dev/urandom >"$work/disk"
  row random R5
fi
if wanted byte-at-end; then
  fresh
  poke $((size - 1)) x
  row byte-at-end R5
fi
if wanted other-volume; then
  fresh
  gpt --change-name=1:muster-data --partition-guid=1:33333333-cccc-4ccc-8ccc-333333333333
  row other-volume R8
fi
if wanted other-filesystem; then
  uuid=$(uuid_of)
  fresh
  gpt --change-name=1:muster-data --partition-guid=1:"$uuid"
  mkfs.ext4 -q -F -E offset=$mib "$work/disk" 300M
  important $mib
  attach
  plan
  refused other-filesystem R8
  important_is_there $mib
  detach
fi
if wanted unfinished-without-record; then
  uuid=$(uuid_of)
  fresh
  gpt --change-name=1:muster-data --partition-guid=1:"$uuid"
  poke $((2 * mib)) 'half made'
  row unfinished-without-record R11
fi

# --- devices that are not as they should be -----------------------------------------------------
if wanted wrong-size; then
  truncate -s $((size + mib)) "$work/disk"
  row wrong-size R6
fi
if wanted truncated; then
  fresh
  attach
  truncate -s $((size / 2)) "$work/disk"
  losetup -c "$disk"
  plan
  refused truncated R6
  detach
fi
if wanted io-error; then
  fresh
  attach "$work/disk" --direct-io=on
  truncate -s $((size / 2)) "$work/disk" # the device keeps its size, and cannot read beyond here
  plan
  refused io-error 'R[45]'
  detach
fi
if wanted no-disk; then
  fresh
  plan
  refused no-disk R1
fi
if wanted two-candidates; then
  fresh
  attach
  cp --sparse=always "$work/disk" "$work/disk2"
  attach "$work/disk2"
  rm -r /dev/disk
  plan
  refused two-candidates R1
  detach
fi
if wanted read-only; then
  fresh
  attach "$work/disk" --read-only
  plan
  refused read-only R2
  detach
fi
if wanted mounted; then
  fresh
  mkfs.ext4 -q -F "$work/disk"
  attach
  mkdir -p "$work/at"
  mount -o ro "$disk" "$work/at"
  plan
  refused mounted R3
  umount "$work/at"
  detach
fi
if wanted busy; then
  fresh
  attach
  exec 9>"$work/held"
  python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL); print("held", flush=True); sys.stdin.read()' \
    "$disk" < <(tail -f /dev/null & echo $! >"$work/tail"; wait) >"$work/held" &
  holder=$!
  until [ -s "$work/held" ]; do sleep 0.02; done
  plan
  refused busy R2
  kill $holder "$(cat "$work/tail")"
  wait $holder || true
  exec 9>&-
  detach
fi

# --- blank, ours --------------------------------------------------------------------------------
converged() { # NAME: a run ends well, the next one changes nothing
  apply || die "$1: $(cat "$work/out")"
  apply || die "$1, again: $(cat "$work/out")"
  grep -q ' 0 changed' "$work/out" || die "$1: a second run changes something: $(cat "$work/out")"
}
for filesystem in ext4 xfs; do
  mounting=1
  if wanted blank-$filesystem; then
    fresh
    attach
    plan
    converged blank
    [ "$(stat -fc %T /mnt/data)" != "$(stat -fc %T /mnt)" ] || die "nothing is mounted"
    "$agent" disk --explain "$work/plan.json" | grep -q '^\*.* ours .*nothing' || die "--explain: $("$agent" disk --explain "$work/plan.json")"
    ok "blank-$filesystem: made, mounted, second run changes nothing"
    mount -o remount,ro /mnt/data
    "$agent" apply --check "$work/plan.json" >"$work/out" 2>&1 || true
    grep -q 'mount:data.*read-only' "$work/out" || die "a read-only mount is not named: $(cat "$work/out")"
    converged "made writable again"
    ok "blank-$filesystem: a read-only mount is named and repaired"
    detach
  fi
  if wanted kill-make-$filesystem; then
    n=0
    while :; do
      n=$((n + 1))
      fresh
      attach
      plan
      rc=0
      { MUSTER_KILL_AT=$n apply || rc=$?; } 2>/dev/null
      [ $rc = 0 ] || [ $rc = 137 ] || die "killed at $n: exit status $rc: $(cat "$work/out")"
      converged "after a kill at point $n"
      detach
      [ $rc = 137 ] || break
    done
    ok "kill-make-$filesystem: killed at each of $((n - 1)) points, always made by the next run"
  fi
  # A disk that grew while it is mounted, with data on it.
  if wanted grow-$filesystem; then
    n=0
    while :; do
      n=$((n + 1))
      fresh
      attach
      plan
      apply || die "make: $(cat "$work/out")"
      head -c $((8 * mib)) /dev/urandom >/mnt/data/important
      was=$(sha256sum </mnt/data/important)
      blocks=$(stat -fc %b /mnt/data)
      size=$((size + 160 * mib))
      truncate -s $size "$work/disk"
      losetup -c "$disk"
      plan
      rc=0
      { MUSTER_KILL_AT=$n apply || rc=$?; } 2>/dev/null
      cp "$work/out" "$work/killed"
      [ $rc = 0 ] || [ $rc = 137 ] || grep -q CAP_SYS_RESOURCE "$work/killed" || die "grow, killed at $n: exit status $rc: $(cat "$work/out")"
      if [ $filesystem = xfs ] || may_grow_ext4; then
        converged "growth after a kill at point $n"
        [ "$(stat -fc %b /mnt/data)" -gt $((blocks * 13 / 10)) ] || die "grow: the filesystem did not grow"
      else # the kernel forbids the last step here, which must be said, and break nothing
        ! apply || die "grow: it ends well without the right to grow"
        grep -q 'R13.*CAP_SYS_RESOURCE' "$work/out" || die "grow: $(cat "$work/out")"
        # the run never comes to its end, so the last kill tells that there are no more points
        ! grep -q failed "$work/killed" || rc=0
      fi
      [ "$(sha256sum </mnt/data/important)" = "$was" ] || die "grow: the data is not what it was"
      umount /mnt/data
      sgdisk -v "$work/disk" | grep -q 'No problems found' || die "grow: $(sgdisk -v "$work/disk")"
      case $filesystem in
        ext4) e2fsck -fn "${disk}p1" >/dev/null 2>&1 || die "grow: fsck" ;;
        xfs) xfs_repair -n "${disk}p1" >/dev/null 2>&1 || die "grow: xfs_repair" ;;
      esac
      size=$((320 * mib))
      detach
      [ $rc = 137 ] || break
    done
    ok "grow-$filesystem: killed at each of $((n - 1)) points, larger after the next run, no byte lost"
  fi
done
filesystem=ext4
mounting=''

if wanted torn-table; then # the power went between the two copies of a growing table
  mounting=1
  fresh
  attach
  plan
  apply || die "make: $(cat "$work/out")"
  echo irreplaceable >/mnt/data/important
  umount /mnt/data
  poke 600 xxxx
  converged torn-table
  grep -qx irreplaceable /mnt/data/important || die "torn-table: the file is gone"
  umount /mnt/data
  sgdisk -v "$work/disk" | grep -q 'No problems found' || die "torn-table: $(sgdisk -v "$work/disk")"
  mounting=''
  ok "torn-table: the first copy of our table is made again from the second"
  detach
fi
# Ours, with data on it, and not whole any more: refused; when it is repaired, all goes on.
damaged() { # NAME RULE EXIT-STATUS
  rc=0
  apply || rc=$?
  [ $rc = "$3" ] || die "$1: exit status $rc instead of $3: $(cat "$work/out")"
  grep -q "$volume.*($2[;)]" "$work/out" || die "$1: refused, but not by $2, or without the volume: $(cat "$work/out")"
  ! mountpoint -q /mnt/data || die "$1: it is mounted"
  rc=0
  fsck.ext4 -y "${disk}p1" >"$work/fsck" 2>&1 || rc=$?
  [ $rc -le 1 ] || die "$1: fsck: $(cat "$work/fsck")"
  apply || die "$1: $(cat "$work/out")"
  grep -qrx irreplaceable /mnt/data || die "$1: the file is gone"
  ok "$1: refused by $2; repaired, it is mounted with all that was on it"
}
for how in zeroed checksum unclear; do
  wanted "damaged-$how" || continue
  mounting=1
  fresh
  attach
  plan
  apply || die "make: $(cat "$work/out")"
  mkdir /mnt/data/directory
  echo irreplaceable >/mnt/data/directory/important
  umount /mnt/data
  case $how in
    zeroed) dd if=/dev/zero of="${disk}p1" bs=1024 seek=1 count=1 conv=notrunc status=none ;;
    checksum) printf xxxx | dd of="${disk}p1" bs=1 seek=$((1024 + 120)) conv=notrunc status=none ;; # in the label
    unclear) # a directory that lost its inode
      debugfs -w -R 'clri /directory' "${disk}p1" 2>/dev/null
      debugfs -w -R 'set_super_value state 2' "${disk}p1" 2>/dev/null
      ;;
  esac
  blockdev --flushbufs "$disk"
  case $how in
    zeroed) damaged "damaged-$how" R11 7 ;;
    checksum) damaged "damaged-$how" R12 1 ;; # fsck does not tell this from a disk that is busy
    *) damaged "damaged-$how" R12 7 ;;
  esac
  mounting=''
  detach
done
if wanted other-deployment; then
  mounting=1
  fresh
  attach
  plan
  apply || die "make: $(cat "$work/out")"
  umount /mnt/data
  sed -i 's/"deployment":"test","node"/"deployment":"else","node"/; s/"deployment":"test"/"deployment":"else"/' "$work/plan.json"
  rc=0
  apply || rc=$?
  [ $rc = 7 ] || die "other-deployment: exit status $rc: $(cat "$work/out")"
  grep -q 'belongs to .*(R8)' "$work/out" || die "other-deployment: $(cat "$work/out")"
  ! mountpoint -q /mnt/data || die "other-deployment: it is left mounted"
  mounting=''
  ok "other-deployment: refused by R8 and not left mounted"
  detach
fi
if wanted no-serial; then # ours is told from others of its size by its marks, also while mounted
  mounting=1
  fresh
  attach
  rm -r /dev/disk
  plan
  converged no-serial
  mounting=''
  ok "no-serial: found by size, then by our marks"
  detach
fi
if wanted consent; then
  fresh
  mkfs.ext4 -q -F "$work/disk"
  attach
  plan '"wipe":"22222222-bbbb-4bbb-8bbb-222222222222"'
  refused consent-for-another R7
  plan "\"wipe\":\"$volume\""
  converged consent
  delpart "$disk" 1
  dd if=/dev/zero of="$disk" bs=1M count=2 status=none
  mkfs.ext4 -q -F "$disk"
  refused consent-used-once R7
  detach
fi
printf '%d rows\n' "$rows"
[ "$rows" -gt 0 ]

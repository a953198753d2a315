#!/bin/bash
# The service of the shared directories at two nodes, without machines around them: real Syncthing, a network
# namespace each. What is tried here is the loss of Syncthing's index while the files are there; see
# tests/e2e/share.sh for the rest.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d /tmp/muster-share-XXXXXX)
program=$PWD/build/bin/muster-agent-share
declare -A pid=()
away() {
  local rc=$? n
  for n in fra par; do
    [ $rc -eq 0 ] || { printf -- '--- %s\n' $n; tail -n 30 "$dir/$n.log" 2>/dev/null; cat "$dir/$n/run/muster-share/status.json" 2>/dev/null; } || true
    stop $n 2>/dev/null || true
    ip netns del "ms$n" 2>/dev/null || true
  done
  rm -rf "$dir"
  exit $rc
}
trap away EXIT
die() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
ok() { printf 'ok: %s\n' "$*"; }
until_true() { # SECONDS WHAT COMMAND…
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || die "not within the time: $what"
    sleep 0.2
  done
  ok "$what"
}

# ---- two nodes
for n in fra par; do
  mkdir -p "$dir/$n/run" "$dir/$n/credentials" "$dir/$n/data/album/photos"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/O=muster/CN=$n" \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth \
    -keyout "$dir/$n/credentials/key.pem" -out "$dir/$n/credentials/cert.pem" 2>/dev/null
  HOME=$dir syncthing --config="$dir/$n/credentials" --data="$dir/$n/credentials" --device-id >"$dir/$n/device" 2>/dev/null
  ip netns add "ms$n"
  ip -n "ms$n" link set lo up
done
ip link add veth0 netns msfra type veth peer name veth0 netns mspar
ip -n msfra addr add 10.9.0.1/24 dev veth0
ip -n mspar addr add 10.9.0.2/24 dev veth0
for n in fra par; do
  ip -n "ms$n" link set veth0 up
  jq -n --arg node $n --arg home "$dir/$n/data/album" --arg fra "$(cat "$dir/fra/device")" --arg par "$(cat "$dir/par/device")" \
    '{app: "album", node: $node, home: $home, directories: [{path: "photos", ignore: []}],
      members: [{name: "fra", address: "10.9.0.1", device: $fra}, {name: "par", address: "10.9.0.2", device: $par}]}' \
    >"$dir/$n/credentials/settings.json"
done
photos() { printf '%s/%s/data/album/photos' "$dir" "$1"; }
state() { printf '%s/%s/data/.muster-share' "$dir" "$1"; }
# As systemd does it: another process when it ends.
start() {
  (
    trap 'kill "$child" 2>/dev/null; wait "$child"; exit' TERM
    while :; do
      ip netns exec "ms$1" unshare -m sh -c "mount --bind '$dir/$1/run' /run && exec env CREDENTIALS_DIRECTORY='$dir/$1/credentials' '$program'" >>"$dir/$1.log" 2>&1 &
      child=$!
      wait $child 2>/dev/null || true
      sleep 0.2
    done
  ) &
  pid[$1]=$!
}
stop() {
  if [ -n "${pid[$1]:-}" ]; then
    kill "${pid[$1]}" || true
    wait "${pid[$1]}" || true
  fi
  pid[$1]=
}
said() { jq -r "$2" "$dir/$1/run/muster-share/status.json" 2>/dev/null; }
connected() { [ "$(said fra '.peers[0].connected')$(said par '.peers[0].connected')" = truetrue ]; }
digest() { (cd "$(photos "$1")" && find . -type f ! -name '.syncthing.*' -print0 | sort -z | xargs -0r sha256sum | sha256sum); }
equal() { [ "$(digest fra)" = "$(digest par)" ]; }
idle() { connected && equal && [ "$(said fra .needs)$(said par .needs)" = 00 ] && [ "$(said fra '.peers[0].needs')$(said par '.peers[0].needs')" = 00 ]; }
put() { # NODE NAME…
  local n=$1 f
  shift
  for f in "$@"; do
    mkdir -p "$(dirname "$(photos "$n")/$f")"
    head -c 2000 /dev/urandom >"$(photos "$n")/$f"
  done
}
start fra
start par
until_true 60 "the two are connected" connected
put fra $(seq -f 'keep%g' 60) $(seq -f 'gone%g' 20) gone/deep/x gone/deep/y mixed/x changed again
until_true 30 "the same on both" idle

# ---- the index of one is lost while the other one deletes
lose() { rm -r "$(state "$1")/index-v0.14.0.db"; }
stop fra
rm -r "$(photos par)"/gone* "$(photos par)/mixed/x" "$(photos par)/again"
echo par >"$(photos par)/changed"
put par new-at-par
told() { [ "$(said par .files)" = "$(find "$(photos par)" -type f | wc -l)" ]; }
until_true 30 "par has seen its own changes" told
sleep 1 # of different times
put fra new-at-fra mixed/new sub/new
echo 'once more' >"$(photos fra)/again"
lose fra
start fra
waits() { said fra .why | grep -q 'index was lost'; }
until_true 30 "fra says that its index was lost" waits
echo late >"$(photos fra)/written-meanwhile"
until_true 90 "both are the same again" idle
waits && die "fra still waits"
for f in gone1 gone20 gone mixed/x; do
  for n in fra par; do [ ! -e "$(photos $n)/$f" ] || die "$f came back at $n"; done
done
for f in new-at-par new-at-fra mixed/new sub/new keep1 keep60 written-meanwhile; do
  for n in fra par; do [ -s "$(photos $n)/$f" ] || die "$f is not at $n"; done
done
[ "$(cat "$(photos fra)/changed")" = par ] || die "the newer one is lost"
grep -q 'once more' "$(photos par)/again" || die "what was written again at fra is lost"
[ "$(find "$(state fra)/trash" -type f -name 'gone*' | wc -l)" = 20 ] || die "not in the trash"
[ -e "$(state fra)/trash/photos/gone/deep/x" ] || die "what was deep is not in the trash"
[ -z "$(find "$(state fra)/trash" -type f -name 'keep*')" ] || die "too much in the trash"
ok "what was deleted stays deleted, and nothing else is"

# ---- it is killed in the middle, and what is written then is told like everything
put fra after
until_true 30 "changes go on" idle
stop fra
rm "$(photos par)"/keep1 "$(photos par)/keep2"
until_true 30 "par has seen its own changes" told
lose fra
start fra
until_true 30 "fra says that its index was lost" waits
ip netns pids msfra | xargs kill -9 # systemd ends all of a service
until_true 90 "both are the same again" idle
for f in keep1 keep2; do
  for n in fra par; do [ ! -e "$(photos $n)/$f" ] || die "$f came back at $n"; done
done
ok "also when it is ended meanwhile"

# ---- the indexes of both
stop fra
stop par
put fra one-more
lose fra
lose par
start fra
start par
until_true 90 "both are the same again" idle
for f in one-more keep60; do [ -s "$(photos par)/$f" ] || die "$f is lost"; done
[ -z "$(find "$(photos par)" -name '*sync-conflict*keep*' -o -name 'keep*sync-conflict*')" ] || die "conflicts of equal files"
ok "the indexes of both"

# ---- files that were there before they were shared are no lost index
stop fra
stop par
for n in fra par; do rm -rf "$(state $n)" "$dir/$n/data/album/.stfolder"; done
lost() { grep -c 'index was lost' "$dir/fra.log"; }
before=$(lost)
put fra before-it
start fra
start par
until_true 60 "the same again" idle
[ -s "$(photos par)/before-it" ] || die "it did not come over"
[ "$(lost)" = "$before" ] || die "it was taken for a lost index"
ok "a first start"

#!/bin/bash
# The host part of an installation, the agents against by_hand.sh: the same two guests, booted, idle
# and with their disks, both nodes at once. In turns, so that a busy machine is busy for both, and with
# changing places, as the first of a round finds less in the machine's caches; the ratio of the medians
# is what counts.
# usage: host.sh [ROUNDS]   an even number is fair to both; 4 without an argument
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../e2e/lib.sh"
rounds=${1:-4}

sed -e '/^database:/,$d' -e 's/datadisk: {[^}]*}, //' "$bare" >"$work/idle.yaml"
# Directories that are kept the same on both nodes are not what the script does.
sed 's/^  writable: .*/  writable: [photos]/' "$bare" >"$work/full.yaml"
tar -C docs/examples/album -cf "$work/album.tar" .
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

on() { "$muster" ssh -f "$work/idle.yaml" "$@"; }
address() { on "$1" ip -br -4 address show eth1 | awk '{sub("/.*", "", $3); print $3}'; }

# Both nodes, booted, with an agent that has nothing to do, and then with their disks.
raise() {
  "$vdc" start >/dev/null
  "$muster" up -f "$work/idle.yaml" --progress quiet >/dev/null 2>"$work/err" || die "bare: $(cat "$work/err")"
  local n
  for n in fra par; do on $n cloud-init status --wait >/dev/null || true; done
  "$muster" up --cloud-only -f "$work/full.yaml" --progress quiet >/dev/null 2>"$work/err" || die "disks: $(cat "$work/err")"
}
away() {
  "$muster" destroy -f "$work/full.yaml" -y --with-data >/dev/null 2>&1 || die "destroy"
}

# Each sets the variable of its name, in milliseconds.
by_agents() {
  local n pid
  raise
  for n in fra par; do on $n sudo systemctl stop muster-agent; done
  "$muster" up -f "$work/full.yaml" --progress quiet >/dev/null 2>"$work/err" &
  pid=$!
  until ss -Hltnp | grep "\"muster\",pid=$pid," >/dev/null; do
    kill -0 $pid 2>/dev/null || die "up: $(cat "$work/err")"
    sleep 0.1
  done
  # Both at once, as the script is: an agent that has waited long for its controller dials seldom.
  for n in fra par; do on $n sudo systemctl start muster-agent & done
  wait $pid || die "up: $(cat "$work/err")"
  wait
  "$muster" events -f "$work/full.yaml" --json >"$work/events"
  # The last plan of each node is the full one.
  agents=$(jq -s '[.[] | select(.node == "fra" or .node == "par") | select(.kind == "plan" or .kind == "done")] | group_by(.node) |
    map((map(select(.kind == "plan")) | last.ts), (map(select(.kind == "done")) | last.ts)) | max - min' "$work/events")
  for n in fra par; do
    # the same plan once more, by hand: the agent's own time from the first check to the end
    for _ in 1 2 3 4 5; do
      on $n sudo muster-agent apply --json /var/lib/muster-agent/plan.json | jq 'select(.kind == "done").ms' >>"$work/again"
    done
    jq -r "select(.node==\"$n\" and .kind==\"changed\" and .origin==\"agent\") | [.id, .ms] | @tsv" "$work/events" >"$work/steps.$n"
  done
  away
}

by_hand() {
  local a_fra a_par n pid
  raise
  a_fra=$(address fra) a_par=$(address par)
  for n in fra par; do
    on $n sudo systemctl stop muster-agent
    on $n 'cat >/tmp/by_hand.sh' <tests/bench/by_hand.sh
    on $n 'cat >/tmp/album.tar' <"$work/album.tar"
  done
  on fra sudo bash /tmp/by_hand.sh fra "$a_fra" par "$a_par" fra secret123 /tmp/album.tar >"$work/hand.fra" 2>"$work/hand.fra.err" &
  pid=$!
  on par sudo bash /tmp/by_hand.sh par "$a_par" fra "$a_fra" fra secret123 /tmp/album.tar >"$work/hand.par" 2>"$work/hand.par.err" ||
    die "by hand, par: $(cat "$work/hand.par.err")"
  wait $pid || die "by hand, fra: $(cat "$work/hand.fra.err")"
  [ "$(on fra sudo mariadb -N -e "\"SHOW STATUS LIKE 'wsrep_cluster_size'\"" | cut -f2)" = 2 ] || die "by hand: no cluster of two"
  hand=$(tail -qn 1 "$work/hand.fra" "$work/hand.par" | awk '{if (!b || $1 < b) b = $1; if ($2 > e) e = $2} END {printf "%.0f\n", e - b}')
  away
}

for i in $(seq "$rounds"); do
  if [ $((i % 2)) = 1 ]; then
    by_agents
    by_hand
  else
    by_hand
    by_agents
  fi
  printf '%s\n' "$agents" >>"$work/agents"
  printf '%s\n' "$hand" >>"$work/hand"
  printf 'round %s: agents %s ms, by hand %s ms\n' "$i" "$agents" "$hand"
done
for n in fra par; do
  printf '%s, steps of the last round:\n' $n
  awk -F'\t' '{printf "  %-32s %8.1f s\n", $1, $2 / 1000}' "$work/steps.$n"
  sed "s/^/  by hand: /" "$work/hand.$n.err"
done
agents=$(median <"$work/agents") hand=$(median <"$work/hand")
printf '\nsecond run, %s of them: median %s ms, longest %s ms\n' "$(wc -l <"$work/again")" "$(median <"$work/again")" "$(sort -n "$work/again" | tail -n 1)"
printf 'host part, median: agents %.1f s, by hand %.1f s, ratio %.2f\n' "${agents}e-3" "${hand}e-3" "$(bc -l <<<"$agents / $hand")"

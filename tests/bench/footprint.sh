#!/bin/bash
# What the agent takes of a node with a database: memory and wake-ups when idle, peak while it applies,
# size of its package. Raises the example on the local cloud, prints, and takes it away again.
# "over" marks what is more than it should be: 9 and 6 MB of memory, and no wake-up but the heartbeats: each
# second a word to and from the other member (every word is written, read and acknowledged), every ten
# seconds the state, with a look at the database.
# usage: footprint.sh [SECONDS]   how long wake-ups are counted, 60 without an argument
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../e2e/lib.sh"
file=$bare
seconds=${1:-60}
trap '"$vdc" destroy -y >/dev/null 2>&1; rm -rf "$work"' EXIT

line() { # what value unit limit
  printf '%-44s %8s %-4s %s\n' "$1" "$2" "$3" "$(awk -v v="$2" -v l="$4" 'BEGIN {print "(at most " l ")" (v > l ? "  over" : "")}')"
}
on() { local node=$1; shift; "$muster" ssh -f "$file" "$node" "$@"; }
# shellcheck disable=SC2016 # a program for the node: totals of all that the agent runs
memory='for p in $(pgrep "muster-agent(-net?)?\$"); do cat /proc/$p/smaps_rollup; done'
# Each process and thread with how often it went to sleep and was woken: "name pid count".
# shellcheck disable=SC2016
sleeps='for p in $(pgrep muster-agent); do for t in /proc/$p/task/*; do echo "$(cat $t/comm) ${t##*/} $(awk "/^voluntary/ {print \$2}" $t/status)"; done; done'

"$vdc" start >"$work/vdc.log" 2>&1 || die "start: $(cat "$work/vdc.log")"
"$muster" up -f "$file" --progress quiet >/dev/null 2>"$work/err" || die "up: $(cat "$work/err")"
for node in fra par; do
  on $node "sudo sh -c '$sleeps'" >"$work/$node.before"
done
sleep "$seconds"
for node in fra par; do
  on $node "sudo sh -c '$sleeps'" >"$work/$node.after"
  on $node "sudo sh -c '$memory'" >"$work/memory"
  line "$node: RSS of all processes, idle" "$(awk '/^Rss/ {s += $2} END {print s}' "$work/memory")" kB 8789
  line "$node: PSS of all processes, idle" "$(awk '/^Pss:/ {s += $2} END {print s}' "$work/memory")" kB 5859
  while read -r name pid count; do
    before=$(awk -v p="$pid" '$2 == p {print $3}' "$work/$node.before")
    limit=3
    [ "$name" != muster-agent ] || limit=0.5
    [ -z "$before" ] || line "$node: wake-ups, $name" "$(awk -v a="$before" -v b="$count" -v s="$seconds" 'BEGIN {printf "%.2f", (b - a) / s}')" "/s" "$limit"
  done <"$work/$node.after"
  line "$node: worker's peak RSS while it applied" "$(on $node sudo journalctl -u muster-agent -o cat | awk '/peak memory/ && $(NF - 1) > m {m = $(NF - 1)} END {print m + 0}')" kB 32000
done
line "agent's package" "$(($(stat -c %s build/pkg/muster-agent.deb) / 1000))" kB 300

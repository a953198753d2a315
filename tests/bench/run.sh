#!/bin/bash
# Measures one deployment on the local cloud and prints a table. No number here decides a test;
# compare ratios within one run.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../e2e/lib.sh"
file=$bare

seconds() { awk "BEGIN {printf \"%.1f\", ($2 - $1) / 1000}"; }
now() { date +%s%3N; }

"$vdc" start >"$work/vdc.log" 2>&1 || die "start: $(cat "$work/vdc.log")"
t0=$(now)
"$muster" up -f "$file" --progress quiet >/dev/null 2>"$work/err" || die "up: $(cat "$work/err")"
t1=$(now)
# The same again, nothing to do, every node looked at: the median of five, without a hub and with one.
again() {
  local begun
  for _ in 1 2 3 4 5; do
    begun=$(now)
    "$muster" up -f "$file" --progress quiet >/dev/null 2>&1 || die "up"
    echo $(($(now) - begun))
  done | sort -n | sed -n 3p
}
without=$(again)
"$muster" serve -f "$file" 2>"$work/serve.log" &
hub=$!
listens() { [ -S "$XDG_STATE_HOME/muster/saas/hub.sock" ]; }
until_true 10 "a hub listens" listens
with=$(again)
kill $hub
wait $hub || true
"$muster" events -f "$file" --json >"$work/events"

printf '\nwhole up                          %8s s\n' "$(seconds "$t0" "$t1")"
printf 'further up, no hub running        %8d ms\n' "$without"
printf 'further up, a hub running         %8d ms  (ratio %s)\n' "$with" "$(awk "BEGIN {printf \"%.2f\", $with / $without}")"
ts() { jq -s "[.[] | select($1) | .ts] | $2" "$work/events"; }
start=$(ts '.id=="up" and .kind=="start"' min)
cloud_end=$(ts '.origin=="controller" and .kind=="changed"' max)
for node in fra par; do
  plan=$(ts ".node==\"$node\" and .kind==\"plan\"" min)
  end=$(ts ".node==\"$node\" and .kind==\"done\"" min)
  printf '%s: start to plan                %8s s\n' $node "$(seconds "$start" "$plan")"
  printf '%s: host part (plan to done)     %8s s\n' $node "$(seconds "$plan" "$end")"
  jq -r "select(.node==\"$node\" and (.kind==\"changed\" or .kind==\"ok\") and .origin==\"agent\") | [.id, .ms] | @tsv" "$work/events" |
    sort -u -k1,1 | while IFS=$'\t' read -r id ms; do printf '  %-32s %8.1f s\n' "$id" "$(awk "BEGIN {print $ms / 1000}")"; done
done
printf 'cloud part                        %8s s\n' "$(seconds "$start" "$cloud_end")"
for node in fra par; do
  # shellcheck disable=SC2016
  "$muster" ssh -f "$file" $node 'sudo sh -c "for p in \$(pgrep muster-agent); do cat /proc/\$p/smaps_rollup; done"' |
    awk -v n=$node '/^Rss/ {r += $2} /^Pss:/ {p += $2} END {printf "%s: agent idle, all processes      RSS %d kB, PSS %d kB\n", n, r, p}'
  "$muster" ssh -f "$file" $node sudo journalctl -u muster-agent -o cat |
    awk -v n=$node '/peak memory/ {if ($(NF - 1) > m) m = $(NF - 1)} END {printf "%s: worker, peak during apply        RSS %d kB\n", n, m}'
done
printf 'agent package                     %8d kB\n' "$(du -k build/pkg/muster-agent*.deb | cut -f1)"

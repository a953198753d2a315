#!/bin/bash
# Sending one file to several clients at once through the controller's HTTP server, beside nginx on
# the same machine in one run, in turns; and how long an event waits in the hub meanwhile. The ratios
# are what counts: throughput at least 0.8 of nginx's, the longest event below 100 ms.
# usage: files.sh [MB] [CLIENTS] [ROUNDS]   500 8 3 without arguments
set -euo pipefail
cd "$(dirname "$0")/../.."
mb=${1:-500} clients=${2:-8} rounds=${3:-3}
port=17700 nginx_port=17710
work=$(mktemp -d /tmp/muster-bench.XXXXXX)
pids=()
cleanup() {
  local p
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
die() { printf 'files.sh: %s\n' "$*" >&2; exit 1; }
until_ok() { # seconds command…
  local end=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || die "waited in vain for: $*"
    sleep 0.05
  done
}

cmake --preset bench >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log" >&2; exit 1; }
cmake --build build/bench --target bench_files >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log" >&2; exit 1; }

mkdir "$work/hub" "$work/blob" "$work/nginx"
head -c "${mb}M" /dev/urandom >"$work/blob/file"
cat >"$work/nginx.conf" <<CONF
worker_processes 1;
daemon off;
master_process off;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events {}
http {
  access_log off;
  sendfile on;
  client_body_temp_path $work/nginx/body;
  proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi;
  uwsgi_temp_path $work/nginx/uwsgi;
  scgi_temp_path $work/nginx/scgi;
  server { listen 127.0.0.1:$nginx_port; root $work; }
}
CONF

build/bench/bin/bench_files serve "$work/blob/file" $port "$work/hub" &
hub=$!
pids+=("$hub")
/usr/sbin/nginx -e "$work/nginx/error.log" -c "$work/nginx.conf" &
nginx=$!
pids+=("$nginx")
until_ok 10 curl -sfo /dev/null -r 0-0 "http://127.0.0.1:$((port + 2))/blob/file"
until_ok 10 curl -sfo /dev/null -r 0-0 "http://127.0.0.1:$nginx_port/blob/file"

now() { date +%s%3N; }
# Time of a process on a processor, in ms.
cpu() { awk -v hz="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); print int(($12 + $13) * 1000 / hz)}' "/proc/$1/stat"; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

# All clients at once; appends "ms cpu_ms" to the file of that name.
fetch_all() { # name url pid
  local began before i fetching=()
  before=$(cpu "$3")
  began=$(now)
  for ((i = 0; i < clients; i++)); do
    curl -sfo /dev/null "$2" &
    fetching+=($!)
  done
  for i in "${fetching[@]}"; do wait "$i" || die "a client of $1 got no file"; done
  printf '%d %d\n' $(($(now) - began)) $(($(cpu "$3") - before)) >>"$work/$1.times"
}

build/bench/bin/bench_files events $port "$work/hub" >"$work/events" &
peer=$!
pids+=("$peer")
until_ok 10 grep -q ready "$work/events"

fetch_all warm "http://127.0.0.1:$nginx_port/blob/file" $nginx
# The peer's events count only while the hub sends.
: >"$work/waits"
for ((r = 0; r < rounds; r++)); do
  lines=$(wc -l <"$work/events")
  fetch_all muster "http://127.0.0.1:$((port + 2))/blob/file" $hub
  tail -n "+$((lines + 1))" "$work/events" >>"$work/waits"
  fetch_all nginx "http://127.0.0.1:$nginx_port/blob/file" $nginx
done

total=$((mb * clients))
for name in muster nginx; do
  ms=$(cut -d' ' -f1 "$work/$name.times" | median)
  cpu=$(cut -d' ' -f2 "$work/$name.times" | median)
  printf '%-8s %6d MB to %d clients: %7.0f MB/s, %6d ms of processor\n' $name "$mb" "$clients" \
    "$(awk "BEGIN {print $total * 1000 / $ms}")" "$cpu"
  eval "${name}_ms=$ms ${name}_cpu=$cpu"
done
# shellcheck disable=SC2154 # set by eval above
awk -v m="$muster_ms" -v n="$nginx_ms" -v mc="$muster_cpu" -v nc="$nginx_cpu" 'BEGIN {
  printf "throughput to nginx'"'"'s %21.2f (at least 0.80)%s\n", n / m, n / m < 0.8 ? "  under" : ""
  printf "processor to nginx'"'"'s  %21.2f\n", nc ? mc / nc : 0 }'
grep -v ready "$work/waits" | sort -n | awk '$1 < 0 {lost++; next} {v[++n] = $1} END {
  printf "event to its acknowledgement meanwhile: median %d ms, longest %d ms of %d, lost %d (below 100)%s\n",
    v[int((n + 1) / 2)], v[n], n, lost, (lost || v[n] >= 100 ? "  over" : "") }'

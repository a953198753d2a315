#!/bin/bash
# Every test. First what finds a mistake cheapest: both builds, and the unit tests under ASan and
# UBSan. Then two rows of work side by side, since the tests on the local cloud mostly wait: those, one
# after the other; and lint, the other compiler, the fuzz corpus and the guests without a cloud, with
# the processor time that is left. With --slow also what takes many minutes. After a failure nothing
# more is begun.
# usage: run.sh [unit|--slow]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
ended=$(mktemp /tmp/muster-test-XXXXXX) # a line for each step: "ok NAME" or "FAILED NAME"
trap 'rm -f "$ended"' EXIT

step() { # name command…
  local name=$1 start=$SECONDS rc=0
  shift
  ! grep -q '^FAILED' "$ended" || return 0
  "$@" >"/tmp/muster-test-$name.log" 2>&1 || rc=$?
  if [ $rc -eq 0 ]; then
    printf 'ok      %-18s %4d s\n' "$name" $((SECONDS - start))
    echo "ok $name" >>"$ended"
  else
    printf 'FAILED  %-18s %4d s; the end of its output:\n%s\n' "$name" $((SECONDS - start)) \
      "$(tail -n 40 "/tmp/muster-test-$name.log" | sed 's/^/   | /')"
    echo "FAILED $name" >>"$ended"
  fi
}

configure_and_build() {
  cmake --preset "$1" && cmake --build "build/$1"
}

unit() {
  ctest --test-dir build/dev --output-on-failure -j2
}

fuzz_replay() {
  configure_and_build fuzz
  local f name
  for f in tests/fuzz/fuzz_*.c; do
    name=$(basename "$f" .c)
    mkdir -p "tests/fuzz/corpus/$name"
    "build/fuzz/bin/$name" -runs=20000 -max_total_time=10 -seed=1 "$(mktemp -d)" "tests/fuzz/corpus/$name"
  done
}

on_the_cloud() {
  local t args tests=(tests/e2e/*.sh)
  [ "$what" != --slow ] || tests+=(tests/e2e/slow/*.sh)
  for t in "${tests[@]}"; do
    case "$t" in *lib.sh | *stub.sh) continue ;; esac
    args=()
    case "$what $t" in
      *"--slow tests/e2e/matrix.sh") args=(all) ;;
      *"--slow tests/e2e/power.sh") args=(20) ;;
      *"--slow tests/e2e/outage.sh") args=(6 5) ;;
    esac
    step "e2e-$(basename "$t" .sh)" "$t" "${args[@]}"
  done
}

without_the_cloud() {
  local t every=31
  [ "$what" != --slow ] || every=1
  step lint tests/lint/run.sh
  step build-clang configure_and_build clang
  step fuzz fuzz_replay
  for t in routes bad_days; do step "host-$t" "tests/hosts/$t.sh"; done
  step kill-worker tests/hosts/kill_worker.sh $every
}

step build-dev configure_and_build dev
step unit unit
if [ "$what" = unit ]; then
  step lint tests/lint/run.sh
else
  step build-release ./dev build
  # Both rows want it; each puts back what it found.
  forward=$(sysctl -n net.ipv4.ip_forward)
  trap 'rm -f "$ended"; sysctl -qw net.ipv4.ip_forward="$forward"' EXIT
  sysctl -qw net.ipv4.ip_forward=1
  (renice -n 10 -p $BASHPID >/dev/null && without_the_cloud) &
  on_the_cloud
  wait $!
fi
failed=$(grep -c '^FAILED' "$ended" || true)
printf '\n%d passed, %d failed, %d s\n' "$(grep -c '^ok' "$ended" || true)" "$failed" $SECONDS
[ "$failed" -eq 0 ]

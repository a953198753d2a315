#!/bin/bash
# Every test, in the order in which a mistake is found cheapest: lint, both compilers, unit tests
# under ASan and UBSan, fuzz corpus, then end to end on the local cloud. With --slow also what takes
# many minutes.
# usage: run.sh [unit|--slow]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
passed=0
failed=()

step() { # name command…
  local name=$1 start=$SECONDS
  shift
  printf '== %s\n' "$name"
  if "$@" >"/tmp/muster-test-$name.log" 2>&1; then
    passed=$((passed + 1))
    printf '   ok (%d s)\n' $((SECONDS - start))
  else
    failed+=("$name")
    printf '   FAILED (%d s); the end of its output:\n' $((SECONDS - start))
    tail -n 40 "/tmp/muster-test-$name.log" | sed 's/^/   | /'
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

step build-dev configure_and_build dev
step unit unit
step lint tests/lint/run.sh
if [ "$what" != unit ]; then
  step build-clang configure_and_build clang
  step fuzz fuzz_replay
  step build-release ./dev build
  tests=(tests/e2e/*.sh)
  [ "$what" != --slow ] || tests+=(tests/e2e/slow/*.sh)
  for t in "${tests[@]}"; do
    case "$t" in *lib.sh | *stub.sh) continue ;; esac
    args=()
    [ "$what $t" != "--slow tests/e2e/matrix.sh" ] || args=(all)
    [ "$what $t" != "--slow tests/e2e/power.sh" ] || args=(20)
    [ "$what $t" != "--slow tests/e2e/outage.sh" ] || args=(6 5)
    [ ${#failed[@]} -eq 0 ] && step "e2e-$(basename "$t" .sh)" "$t" "${args[@]}"
  done
  for t in routes bad_days; do
    [ ${#failed[@]} -eq 0 ] && step "host-$t" "tests/hosts/$t.sh"
  done
  every=31
  [ "$what" != --slow ] || every=1
  [ ${#failed[@]} -eq 0 ] && step kill-worker tests/hosts/kill_worker.sh $every
fi
printf '\n%d passed, %d failed\n' "$passed" ${#failed[@]}
[ ${#failed[@]} -eq 0 ]

#!/bin/bash
# Every test. First what finds a mistake cheapest: both builds, and the unit tests under ASan and
# UBSan. Then several lanes side by side, each as on a machine of its own (lane.sh), since the tests on
# the local cloud mostly wait: one begins with what needs much processor time and no machine, and
# whoever is free takes the next test. Each line says how long a step took, and how much processor time
# (of a lane all but the kernel's own). With --slow also what takes many minutes. After a failure
# nothing more is begun.
# usage: run.sh [unit|--slow]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
lanes=4
dir=$(mktemp -d /tmp/muster-test-XXXXXX)
trap 'rm -rf "$dir"' EXIT
: >"$dir/ended" # a line for each step: "ok NAME" or "FAILED NAME"

step() { # name command…
  local name=$1 start=$SECONDS rc=0 cpu TIMEFORMAT='%U %S'
  shift
  ! grep -q '^FAILED' "$dir/ended" || return 0
  { time "$@" >"/tmp/muster-test-$name.log" 2>&1 || rc=$?; } 2>"$dir/cpu-$name"
  cpu=$(awk '{printf "%.0f", $1 + $2}' "$dir/cpu-$name")
  if [ $rc -eq 0 ]; then
    printf 'ok      %-18s %4d s  processor %4d s\n' "$name" $((SECONDS - start)) "$cpu"
    echo "ok $name" >>"$dir/ended"
  else
    printf 'FAILED  %-18s %4d s; the end of its output:\n%s\n' "$name" $((SECONDS - start)) \
      "$(tail -n 40 "/tmp/muster-test-$name.log" | sed 's/^/   | /')"
    echo "FAILED $name" >>"$dir/ended"
  fi
}

configure_and_build() {
  cmake --preset "$1" && cmake --build "build/$1"
}

unit() {
  ctest --test-dir build/dev --output-on-failure -j2
}

fuzz_replay() { # step takes its exit status, so that -e is off in it
  local f name
  cmake --preset fuzz && cmake --build build/fuzz --target fuzz_targets || return
  for f in tests/fuzz/fuzz_*.c; do
    name=$(basename "$f" .c)
    mkdir -p "tests/fuzz/corpus/$name"
    "build/fuzz/bin/$name" -runs=20000 -max_total_time=10 -seed=1 "$(mktemp -d)" "tests/fuzz/corpus/$name" || return
  done
}

# A line for each test of the lanes: name and command; the long ones first.
list() {
  local t args every=0 long='under_load faults stack power matrix none outage encrypted arbitrator founder backup disk'
  # All begin with the example as it is; the last may take it away.
  local first='operator not_knowing serve' second='left_behind nettest fence frontdoor'

  [ "$what" != --slow ] || every=1
  echo "e2e-together-1 tests/e2e/one_deployment.sh $first"
  echo "e2e-together-2 tests/e2e/one_deployment.sh $second"
  echo "kill-worker tests/hosts/kill_worker.sh $every"
  echo 'host-bad_days tests/hosts/bad_days.sh'
  for t in $long $(cd tests/e2e && printf '%s\n' *.sh | sed 's/\.sh$//' | grep -vE '(^|_)(lib|stub|host_state|deployment)$' | grep -vwE "$(tr ' ' '|' <<<"$first $second")"); do
    args=
    case "$what $t" in
      '--slow matrix') args=all ;;
      '--slow power') args=20 ;;
      '--slow outage') args='6 5' ;;
    esac
    echo "e2e-$t tests/e2e/$t.sh $args"
  done | awk '!seen[$1]++'
  echo 'host-routes tests/hosts/routes.sh'
  echo 'host-sessions tests/hosts/sessions.sh'
  echo 'host-share tests/hosts/share.sh'
  [ "$what" != --slow ] || printf 'slow-%s\n' "$(cd tests/e2e/slow && printf '%s\n' *.sh | sed 's|\(.*\)\.sh|\1 tests/e2e/slow/&|')"
}

# Takes the first line of the list away.
take() {
  exec 9>"$dir/lock"
  flock 9
  head -n 1 "$dir/list"
  sed -i 1d "$dir/list"
  exec 9>&-
}

lane_tests() { # lane
  local name command
  while read -r name command < <(take) && [ -n "$name" ]; do
    # shellcheck disable=SC2086 # it is a command with its arguments
    step "$name" env "MTEST_DIR=/tmp/mtest$1" "MTEST_NAME=mtest$1" tests/lane.sh "$1" $command
  done
}

processor_work() {
  step lint tests/lint/run.sh "$what"
  step build-clang configure_and_build clang
  step fuzz fuzz_replay
}

step build-dev configure_and_build dev
step unit unit
if [ "$what" = unit ]; then
  step lint tests/lint/run.sh
else
  step build-release ./dev build
  list >"$dir/list"
  (processor_work && lane_tests 1) &
  for ((lane = 2; lane <= lanes; lane++)); do lane_tests $lane & done
  wait
fi
failed=$(grep -c '^FAILED' "$dir/ended" || true)
printf '\n%d passed, %d failed, %d s\n' "$(grep -c '^ok' "$dir/ended" || true)" "$failed" $SECONDS
[ "$failed" -eq 0 ]

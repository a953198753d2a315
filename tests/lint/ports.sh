#!/bin/bash
# docs/protocol.md ("Ports") names every port of the code with its number; and the code uses the name: the
# number of a port of ours or of the database stands nowhere else.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0

in_code() {
  git grep -hE '^#define (PORT_[A-Z_]+|[A-Z_]+_PORT) +[0-9]+' -- 'common/*.h' 'agent/*.[ch]' 'controller/*.[ch]' |
    grep -v ' PORT_MAX ' | sed -E 's/^#define ([A-Z_]+) +([0-9]+).*$/\1|\2/'
}
# shellcheck disable=SC2016
in_page() { sed -nE 's#^\| `([A-Z_]+)` \| ([0-9]+) \|.*$#\1|\2#p' docs/protocol.md; }

diff <(in_code | sort) <(in_page | sort) || {
  printf 'the ports of docs/protocol.md differ from the code (<: only in the code, >: only in the page)\n'
  bad=1
}
# Numbers below 1024 mean other things, too: those are left to the reviewer.
numbers=$(in_code | sed -nE 's/^.*\|([0-9]{4,})$/\1/p' | sort -u | paste -sd '|')
git grep -nE "\b($numbers)\b" -- 'common/*.[ch]' 'agent/*.[ch]' 'controller/*.[ch]' 'cloud-init/*' |
  grep -vE ':#define [A-Z_]+ +[0-9]+' && {
  printf 'a port without its name (common/ports.h)\n'
  bad=1
}
exit $bad

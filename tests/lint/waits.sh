#!/bin/bash
# docs/waits.md names every time-out and period of the code (a constant whose name ends in _MS or _S), with
# its file and value; and a program's limit is such a constant, not a number in the middle of the code.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0

in_code() {
  git grep -nE '^#define [A-Z][A-Z0-9_]*_(MS|S) +' -- 'common/*.[ch]' 'agent/*.[ch]' 'controller/*.[ch]' |
    sed -E 's#^([^:]+):[0-9]+:\#define ([A-Z0-9_]+) +(.*)$#\2|\3|\1#; s# */\*.*\*/##; s# *\|#|#g' |
    grep -v '^NS_PER_'
}
# shellcheck disable=SC2016
in_page() { sed -nE 's#^\| `([A-Z0-9_]+)` \| ([^|]*) \| ([^|]*) \|.*$#\1|\2|\3#p' docs/waits.md; }

diff <(in_code | sort) <(in_page | sort) || {
  printf 'docs/waits.md differs from the code (<: only in the code, >: only in the page)\n'
  bad=1
}
git grep -nE '\.timeout_s = [0-9]+' -- 'common/*.c' 'agent/*.c' 'controller/*.c' && {
  printf 'a limit without a name; define X_MAX_S and describe it in docs/waits.md\n'
  bad=1
}
exit $bad

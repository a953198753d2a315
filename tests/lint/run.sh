#!/bin/bash
# The rules of the house that a machine can check.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
complain() { printf '%s\n' "$*"; bad=1; }
sources() { git ls-files -- 'common/*.[ch]' 'agent/*.[ch]' 'controller/*.[ch]' 'tests/*.[ch]'; }

# 1. Who includes whom: the rows muster_library(…) of CMakeLists.txt.
tests/lint/includes.sh || complain "an include that no row of CMakeLists.txt allows"

tests/lint/waits.sh || complain "docs/waits.md"
tests/lint/ports.sh || complain "docs/protocol.md, Ports"
tests/lint/vocabulary.sh || complain "a word that is not used here"

awk '/^```/ { code = !code } !code && !/^(\||    |<|`?[{"])/ { print FILENAME ":" FNR ": " $0 }' docs/*.md ./*.md |
  LC_ALL=C.UTF-8 grep -E '^[^:]+:[0-9]+: .{101,}' && complain "prose is at most 100 characters wide"

# 2. One foreign library, one file.
only() { # header files…
  local header=$1 f
  shift
  for f in $(git grep -lE "#include <$header>" -- '*.c' '*.h' || true); do
    case " $* " in *" $f "*) ;; *) complain "$f: includes <$header>; only $* may" ;; esac
  done
}
only 'zmq\.h' common/zsock.c common/zguard.c common/zap.c tests/unit/test_zguard.c tests/bench/agentswarm.c
only 'sodium\.h' common/keys.c
only 'sqlite3\.h' common/db.c
only 'curl/curl\.h' controller/cloud/http.c
only 'yaml\.h' controller/spec/yaml.c
only 'microhttpd\.h' common/httpd.c
only 'libmnl/libmnl\.h' agent/route/rtnl.c
only 'lxc/lxccontainer\.h' controller/localvdc/machine/lxc.c
only '(mariadb/)?mysql\.h' agent/galera/sql.c
only 'libmount(/libmount)?\.h' agent/sys/mnt.c
only 'nettle/.*\.h' common/sign.c

git grep -nE '\b(v?fork|posix_spawnp?|popen|system)\(' -- 'common/*.c' 'agent/*.c' 'controller/*.c' ':!common/child.c' &&
  complain "only common/child.c starts processes"

# A part of the supervisor touches its own state only.
for f in agent/supervisor/*.c; do
  own=$(basename "$f" .c)
  foreign=$(grep -noE 's->(net|worker|cluster|watch|engines|drift|state|hooks|measure|backup)\.' "$f" | grep -v "s->$own\." || true)
  [ -z "$foreign" ] || complain "$f: touches the state of another part: $foreign"
done

# 3. Files stay readable.
for f in $(git ls-files -- '*.c'); do
  n=$(wc -l <"$f")
  [ "$n" -le 600 ] || complain "$f: $n lines, at most 600"
  case "$f" in */main.c) [ "$n" -lt 100 ] || complain "$f: $n lines, a main stays under 100" ;; esac
done
git ls-files | grep -E '(^|/)utils?\.[ch]$' && complain "no utils.c"

# 4. Format, scripts.
tests/lint/blanks.sh || complain "blank lines"
# shellcheck disable=SC2046
clang-format --dry-run -Werror $(sources) || complain "clang-format: type: clang-format -i FILE"
# shellcheck disable=SC2046
shellcheck -x -P SCRIPTDIR $(git ls-files | grep -E '\.sh$|^dev$|^\.ci/run$|^docs/completion/.*bash$') || complain "shellcheck"

# The analyzer follows so many steps of a function: with ten times as many (--slow) it takes five
# times as long.
nodes=20000
[ "${1:-}" != --slow ] || nodes=225000
analyzer=()
for word in -analyzer-config max-nodes=$nodes; do
  analyzer+=(--extra-arg=-Xclang "--extra-arg=$word")
done
git ls-files -z -- 'common/*.c' 'agent/*.c' 'controller/*.c' |
  xargs -0 -P "$(nproc)" -n 6 clang-tidy --quiet -p build/dev "${analyzer[@]}" 2>/dev/null || complain "clang-tidy"

# 5. Every verb explains itself.
for verb in $(build/dev/bin/muster help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
  build/dev/bin/muster "$verb" --help >/dev/null || [ "$verb" = vdc ] || complain "muster $verb --help fails"
done
build/dev/bin/muster-agent help >/dev/null || complain "muster-agent help fails"
build/dev/bin/muster-vdc help >/dev/null || complain "muster-vdc help fails"

# 6. Each verb and long option of the help is in the man page and completed, and no other is there.
# shellcheck source=docs/completion/muster.bash
source docs/completion/muster.bash
options() { grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' | sed 's/^[^-]//' | sort -u; }
same() { # what wanted found
  diff <(sort -u <<<"$2") <(sort -u <<<"$3") >&2 || complain "$1 (<: only in help, >: only there)"
}
completed() { # word…
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _muster "build/dev/bin/$1"
  printf '%s\n' "${COMPREPLY[@]}"
}
for page in muster.1 muster-agent.8; do
  program=${page%.*}
  verbs=$("build/dev/bin/$program" help | sed -n 's/^  \([a-z-]*\)  *[a-z].*/\1/p')
  [ -n "$verbs" ] || complain "$program help names no verb"
  same "completion of the verbs of $program" "$verbs" "$(completed "$program" '')"
  all=
  for verb in $verbs; do
    wanted=$("build/dev/bin/$program" "$verb" --help 2>/dev/null | options || true)
    [ "$program $verb" != 'muster vdc' ] || wanted= # that help is muster-vdc's
    grep -qE "^\.B[RI]? .*\b$verb\b" <(sed -n '/^.SH COMMANDS/,/^.SH OPTIONS/p' "docs/man/$page") || complain "$page: '$verb' is missing"
    [ -z "$wanted" ] || same "completion of the options of $program $verb" "$wanted" "$(completed "$program" "$verb" --)"
    all+=$wanted$'\n'
  done
  same "options in $page" "$(options <<<"$all")" "$(sed 's/\\-/-/g' "docs/man/$page" | options)"
done
exit $bad

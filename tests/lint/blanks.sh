#!/bin/bash
# A blank line follows the declarations at the start of a block. Lines are judged as clang-format leaves
# them: a block opens with "{" at the end of a line; a declaration begins with a word of the type's, or
# with two words; "(void)x;" before the first one does not count.
# usage: blanks.sh [FILE…]
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || mapfile -t files < <(git ls-files -- 'common/*.[ch]' 'agent/*.[ch]' 'controller/*.[ch]' 'tests/*.[ch]')
[ $# -eq 0 ] || files=("$@")

# shellcheck disable=SC2016 # the program is awk's
awk '
  # The line without comments and with empty literals; `comment`: one goes on behind its end.
  function code_of(line,  out, at) {
    out = ""
    for (;;) {
      if (comment) {
        at = index(line, "*/")
        if (!at) return out
        line = substr(line, at + 2)
        comment = 0
      }
      if (!match(line, /"(\\.|[^"\\])*"|\047(\\.|[^\047\\])+\047|\/\*|\/\//)) return out line
      out = out substr(line, 1, RSTART - 1)
      if (substr(line, RSTART, 2) == "//") return out
      if (substr(line, RSTART, 2) == "/*") comment = 1
      else out = out "\"\""
      line = substr(line, RSTART + RLENGTH)
    }
  }
  function open_brackets(s,  a, b) {
    a = gsub(/[({[]/, "", s)
    b = gsub(/[)}\]]/, "", s)
    return a - b
  }
  function is_declaration(s) {
    if (s ~ /^(return|goto|else|case)[^A-Za-z0-9_]/) return 0
    if (s ~ /^_cleanup_/) return 1
    if (s ~ /^(static|const|volatile|struct|enum|union|unsigned|signed|char|short|int|long|float|double|bool|void)[ *(]/)
      return 1
    return s ~ /^[A-Za-z_][A-Za-z0-9_]* +\**(const +)?[A-Za-z_][A-Za-z0-9_]* *([=;,[]|$)/
  }
  FNR == 1 { comment = head = inside = macro = 0 }
  {
    behind = comment && with_code # the rest of a comment that began behind code
    code = code_of($0)
    gsub(/^[ \t]+|[ \t]+$/, "", code)
    if (comment && code != "") with_code = 1
    else if (!behind) with_code = 0
    if (macro || code ~ /^#/) {
      macro = $0 ~ /\\$/
      head = 0
      next
    }
    if (head && inside) {
      inside += open_brackets(code)
      if (inside <= 1 && code ~ /;$/) inside = 0
      next
    }
    if (head && code == "") {
      if ($0 !~ /[^ \t]/) head = !seen
      else if (!behind && !first) first = FNR
      next
    }
    if (head && is_declaration(code)) {
      inside = 1 + open_brackets(code)
      if (inside == 1 && code ~ /;$/) inside = 0
      first = 0
      seen = 1
      next
    }
    if (head && !(code ~ /^\(void\)[a-z_]+;$/ && !seen)) {
      if (seen && code !~ /^}/) {
        printf "%s:%d: a blank line is missing before this one\n", FILENAME, first ? first : FNR
        bad = 1
      }
      head = 0
    }
    if (code == "{" || code ~ /(\)|else|do|:) \{$/) {
      head = 1
      inside = seen = first = 0
    }
  }
  END { exit bad }' "${files[@]}"

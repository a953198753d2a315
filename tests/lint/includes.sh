#!/bin/bash
# Holds every #include of common/, agent/ and controller/ to the table of directories in CMakeLists.txt: a
# file includes headers of its own directory and of those that the directory's row USES; `internal.h` stays in
# its directory; every directory has a row. (CMake itself refuses a circle of shared libraries.)
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck disable=SC2016 # the program is awk's
git ls-files -- 'common/*.[ch]' 'agent/*.[ch]' 'controller/*.[ch]' | xargs awk '
  function directory_of(path) { sub("/[^/]*$", "", path); return path }
  function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }
  FILENAME == "CMakeLists.txt" {
    if ($0 !~ /^muster_library\(/ && !inside) next
    line = inside ? line " " $0 : $0
    inside = line !~ /\)/
    if (inside) next
    gsub(/muster_library\(|\)/, " ", line)
    n = split(line, word, " ")
    row[word[1]] = 1
    uses = 0
    for (i = 2; i <= n; i++) {
      if (word[i] == "USES" || word[i] == "LIBRARIES") uses = word[i] == "USES"
      else if (uses) allowed[word[1], word[i]] = 1
    }
    next
  }
  FNR == 1 { here = directory_of(FILENAME); main = FILENAME ~ /\/main(_[a-z]+)?\.c$/ }
  FNR == 1 && !(here in row) && !main { complain("no row muster_library(" here ") in CMakeLists.txt") }
  match($0, /^#include "[^"]+"/) {
    header = substr($0, RSTART + 10, RLENGTH - 11)
    if (header !~ /\//) next # made by the build
    there = directory_of(header)
    if (there == here) next
    if (header ~ /\/internal\.h$/) complain(header " is of its directory only")
    else if (main) next
    else if (!((here, there) in allowed)) complain("may not include \"" header "\"")
  }
  END { exit bad }' CMakeLists.txt

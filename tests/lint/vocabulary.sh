#!/bin/bash
# No file has a word of vocabulary.txt, in code, comments, messages or documents.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
while IFS=$'\t' read -r pattern instead; do
  case "$pattern" in '' | '#'*) continue ;; esac
  if git grep -niP -e "$pattern" -- common agent controller cloud-init docs tests dev '*.md' \
    ':!docs/glossary.md' ':!tests/lint/vocabulary.txt' ':!tests/fuzz/corpus'; then
    printf 'write: %s\n' "$instead"
    bad=1
  fi
done <tests/lint/vocabulary.txt
exit $bad

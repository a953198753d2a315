# shellcheck shell=bash
# bash completion for muster and muster-agent; source it, or put it into
# /usr/share/bash-completion/completions. Verbs and options are asked from the programs' own help.
_muster() {
  local program=$1 current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-} words=
  if [[ $current == -* ]]; then
    words=$("$program" "$verb" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')
  elif [ "$COMP_CWORD" -eq 1 ] || { [ "$verb" = help ] && [ "$COMP_CWORD" -eq 2 ]; }; then
    words=$("$program" help 2>/dev/null | sed -n 's/^  \([a-z-]*\)  *[a-z].*/\1/p')
  elif [ "$verb" = vdc ]; then
    words='start stop status destroy logs link account fault'
  fi
  if [ -n "$words" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _muster muster muster-agent

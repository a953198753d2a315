# shellcheck shell=bash
# bash completion for muster; source it, or put it into /usr/share/bash-completion/completions.
_muster() {
  local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-}
  local verbs='validate plan up watch status show events ssh disk destroy vdc version help'
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
    return
  fi
  case "$current" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$(muster "$verb" --help 2>/dev/null | grep -oE -- '--[a-z-]+')" -- "$current") ;;
    *)
      case "$verb" in
        vdc) mapfile -t COMPREPLY < <(compgen -W 'start stop status destroy logs link account fault' -- "$current") ;;
        help) mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
      esac
      ;;
  esac
}
complete -F _muster muster

#!/usr/bin/env bash
# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
# Sourced after the option variables have their defaults: "--some-name value" or "--some-name=value"
# sets $some_name. The options are the assignments between "# options" and "# end of options" of the
# script: name=default  # meaning. A bare whole number (nj=2, not "2") takes only whole numbers; true
# or false makes a switch (--redo) that also takes true or false; an array (set=()) takes every word
# up to the next option and may be repeated. Values are assigned as text and never evaluated.
# --help prints the comment block at the top of the script, then the options. Needs die (log.sh), and
# $script: the script's path, which $0 is no more where the script has changed its folder.

# shellcheck disable=SC2154 # script: set by who sources this
_options_help() {
  sed -n '2,/^[^#]/{/^# Copyright/d;s/^# \{0,1\}//p}' "$script"
  _options_block | while IFS= read -r _line; do
    _name=${_line%%=*}
    declare -n _value=$_name
    printf '  --%-13s %s [%s]\n' "${_name//_/-}" "${_line#*# }" "${_value[*]-}"
    unset -n _value
  done
}

# shellcheck disable=SC2154
_options_block() {
  sed -n '/^# options$/,/^# end of options$/{/^[a-z_]*=/p}' "$script"
}

declare -A _renamed=([init-adapter]=init-wap)

_option_nearest() { # NAME: " (did you mean --x?)" or nothing
  if [[ -n ${_renamed[${1//_/-}]-} ]]; then
    echo -n " (it is now --${_renamed[${1//_/-}]})"
    return
  fi
  _options_block | python -c 'import difflib, sys
names = [line.split("=")[0].replace("_", "-") for line in sys.stdin]
near = difflib.get_close_matches(sys.argv[1], names, 1)
print(f" (did you mean --{near[0]}?)" if near else " (see --help)", end="")' "${1//_/-}"
}

_option_line() { # NAME: the line that declares it; fails if there is none
  [[ $1 =~ ^[a-z][a-z0-9_]*$ ]] || return 1
  _options_block | grep "^$1="
}

whole_numbers() { # OPTION "1 2 3": the numbers, each once, without leading zeros; never a pattern
  local -a words
  local word
  local -A seen=()
  read -r -d '' -a words <<< "$2" || true
  for word in "${words[@]}"; do
    [[ $word =~ ^[0-9]{1,9}$ ]] || die "$1 takes whole numbers, got '$word'"
    word=$((10#$word))
    if [[ -z ${seen[$word]-} ]]; then printf '%s ' "$word"; fi
    seen[$word]=1
  done | sed 's/ $//'
}

while (( $# > 0 )); do
  case $1 in
    --help | -h)
      _options_help
      exit 0
      ;;
    --*)
      _name=${1#--}
      _value=
      _has_value=false
      if [[ $_name == *=* ]]; then
        _value=${_name#*=}
        _name=${_name%%=*}
        _has_value=true
      fi
      _name=${_name//-/_}
      _line=$(_option_line "$_name") || die "unknown option --${_name//_/-}$(_option_nearest "$_name")"
      shift
      if [[ $(declare -p "$_name") == "declare -a"* ]]; then
        declare -n _array=$_name
        if [[ $_has_value == true ]]; then
          _array+=("$_value")
        else
          (( $# > 0 )) && [[ $1 != --* ]] || die "--${_name//_/-} needs a value"
          while (( $# > 0 )) && [[ $1 != --* ]]; do
            _array+=("$1")
            shift
          done
        fi
        unset -n _array
        continue
      fi
      if [[ $_has_value == false ]]; then
        if [[ ${!_name} =~ ^(true|false)$ && ! ( ${1-} =~ ^(true|false)$ ) ]]; then
          _value=true
        else
          (( $# > 0 )) && [[ $1 != --* ]] || die "--${_name//_/-} needs a value"
          _value=$1
          shift
        fi
      fi
      if [[ $_line =~ ^[a-z_]+=[0-9] && ! $_value =~ ^(0|[1-9][0-9]*)$ ]]; then
        die "--${_name//_/-} needs a whole number, got '$_value'"
      fi
      if [[ ${!_name} =~ ^(true|false)$ && ! $_value =~ ^(true|false)$ ]]; then
        die "--${_name//_/-} is true or false, got '$_value'"
      fi
      printf -v "$_name" '%s' "$_value"
      ;;
    *) die "unexpected argument '$1' (options start with --, see --help)" ;;
  esac
done

#!/usr/bin/env bash
# Shared by the scripts of this directory: where things are, and how hosts are reached. Sourced, never run.
# Names of hosts and services are data: they are checked, quoted, and never evaluated.

if [ -z "${EXTERNAL_SPARK_HOME:-}" ]; then
  EXTERNAL_SPARK_HOME="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
fi
export EXTERNAL_SPARK_HOME
export EXTERNAL_SPARK_CONF_DIR="${EXTERNAL_SPARK_CONF_DIR:-$EXTERNAL_SPARK_HOME/conf}"
if [ -f "$EXTERNAL_SPARK_CONF_DIR/external-spark-env.sh" ]; then
  set -a
  # shellcheck source=/dev/null
  . "$EXTERNAL_SPARK_CONF_DIR/external-spark-env.sh"
  set +a
fi
export EXTERNAL_SPARK_PID_DIR="${EXTERNAL_SPARK_PID_DIR:-$EXTERNAL_SPARK_HOME/tmp}"
EXTERNAL_SPARK_USER="${USER:-$(id -un)}"

# fail MESSAGE...: control characters are shown, not sent to the terminal.
fail() {
  printf 'external-spark: %s\n' "$(printf '%s' "$*" | LC_ALL=C tr '\000-\010\013-\037\177' '?')" >&2
  exit 1
}

# is_name TEXT: safe as a part of a file name and as an argument.
is_name() {
  [[ "$1" =~ ^[A-Za-z0-9_][A-Za-z0-9_.:-]*$ ]]
}

# is_host TEXT: a host name or address, with or without user@.
is_host() {
  [[ "$1" =~ ^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.:-]*)$ ]]
}

# is_local HOST: this machine, reached without ssh.
is_local() {
  case "$1" in
    localhost | 127.* | ::1 | '[::1]') return 0 ;;
  esac
  [ "$1" = "$(hostname)" ]
}

# instance_of HOST: what tells several hosts of one machine apart in names of files; empty for the machine itself.
instance_of() {
  case "$1" in
    127.* | ::1 | '[::1]') printf '%s' "$1" | tr -d '[]' ;;
  esac
}

# hosts_of SECTION: the hosts of that section of conf/hosts, one a line; localhost without such a file.
hosts_of() {
  local file="$EXTERNAL_SPARK_CONF_DIR/hosts" section='' line number=0
  if [ ! -f "$file" ]; then
    printf 'localhost\n'
    return 0
  fi
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line="${line#$'\xef\xbb\xbf'}"
    line="${line%$'\r'}"
    line="${line%%#*}"
    line="${line#"${line%%[![:space:]]*}"}"
    line="${line%"${line##*[![:space:]]}"}"
    case "$line" in
      '') ;;
      '[dispatcher]') section=dispatcher ;;
      '[worker]') section=worker ;;
      '['*']')
        is_host "$line" || fail "$file:$number: unknown section $line (known: [dispatcher], [worker])"
        [ "$section" != "$1" ] || printf '%s\n' "$line"
        ;;
      *)
        [ -n "$section" ] || fail "$file:$number: a host before the first section"
        is_host "$line" || fail "$file:$number: not a host name: $line"
        [ "$section" != "$1" ] || printf '%s\n' "$line"
        ;;
    esac
  done <"$file"
}

# on_host HOST SCRIPT ARGUMENT...: runs a script of this directory there: here for this machine, over ssh for others, where the
# home is under the same path. The command line for the other shell is quoted word by word.
on_host() {
  local host="$1" script="$2" word command=''
  shift 2
  if is_local "$host"; then
    "$EXTERNAL_SPARK_HOME/sbin/$script" --host "$host" "$@"
    return
  fi
  for word in env "EXTERNAL_SPARK_HOME=$EXTERNAL_SPARK_HOME" "EXTERNAL_SPARK_CONF_DIR=$EXTERNAL_SPARK_CONF_DIR" \
    "EXTERNAL_SPARK_PID_DIR=$EXTERNAL_SPARK_PID_DIR" "$EXTERNAL_SPARK_HOME/sbin/$script" --host "${host#*@}" "$@"; do
    command="$command $(printf '%q' "$word")"
  done
  # shellcheck disable=SC2086 # options are several words on purpose
  ssh ${EXTERNAL_SPARK_SSH_OPTS:--o StrictHostKeyChecking=yes -o BatchMode=yes} -- "$host" "$command" </dev/null
}

# on_all SECTION SCRIPT ARGUMENT...: on every host of the section at a time; fails when one of them did.
on_all() {
  local section="$1" script="$2" hosts host pids=() status=0 pid
  shift 2
  hosts="$(hosts_of "$section")" || exit 1
  while IFS= read -r host; do
    [ -n "$host" ] || continue
    on_host "$host" "$script" "$@" &
    pids+=("$!")
  done <<<"$hosts"
  for pid in "${pids[@]+"${pids[@]}"}"; do wait "$pid" || status=1; done
  return "$status"
}

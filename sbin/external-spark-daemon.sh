#!/usr/bin/env bash
# external-spark-daemon.sh start|stop|status COMMAND [--instance NAME] [ARGUMENTS]: a command of spark-proxy as a process of its own.
# Its pid and log are external-spark-$USER-<service>.pid and .log in EXTERNAL_SPARK_PID_DIR; service is COMMAND, or COMMAND-NAME.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

[ $# -ge 2 ] || fail 'usage: external-spark-daemon.sh start|stop|status COMMAND [--instance NAME] [ARGUMENTS]'
action="$1" command="$2"
shift 2
service="$command"
if [ "${1:-}" = --instance ]; then
  [ $# -ge 2 ] || fail '--instance needs a name'
  [ -z "$2" ] || service="$command-$2"
  shift 2
fi
is_name "$service" || fail "not a name for a service: $service"
is_name "$EXTERNAL_SPARK_USER" || fail "not a name for a user: $EXTERNAL_SPARK_USER"

mkdir -p "$EXTERNAL_SPARK_PID_DIR" || fail "cannot make $EXTERNAL_SPARK_PID_DIR"
base="$EXTERNAL_SPARK_PID_DIR/external-spark-$EXTERNAL_SPARK_USER-$service"
pid_file="$base.pid" log="$base.log"

# running: sets pid; true while the process of the pid file lives and is one of ours, not another one with a number used again.
running() {
  [ -f "$pid_file" ] || return 1
  IFS= read -r pid <"$pid_file" || true
  [[ "$pid" =~ ^[1-9][0-9]*$ ]] || return 1
  [[ "$(ps -p "$pid" -o args= 2>/dev/null)" == *spark-proxy* ]]
}

case "$action" in
  start)
    ! running || fail "$service runs as process $pid; stop it first"
    for number in 4 3 2 1; do [ ! -f "$log.$number" ] || mv -f "$log.$number" "$log.$((number + 1))"; done
    [ ! -f "$log" ] || mv -f "$log" "$log.1"
    printf 'starting %s, log in %s\n' "$service" "$log"
    nohup "$EXTERNAL_SPARK_HOME/sbin/external-spark-class.sh" "$command" "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    printf '%s\n' "$pid" >"$pid_file" || fail "cannot write $pid_file"
    # A wrong option or address shows at once.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      sleep 0.1
      if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$pid_file"
        tail -n 10 "$log" >&2
        fail "$service did not start; see $log"
      fi
    done
    ;;
  stop)
    if ! running; then
      rm -f "$pid_file"
      printf 'no %s to stop\n' "$service"
      exit 0
    fi
    printf 'stopping %s\n' "$service"
    kill -TERM "$pid" 2>/dev/null
    # It finishes what runs first: worker.drain.grace, 30 s unless set otherwise.
    tenths=$((${EXTERNAL_SPARK_STOP_TIMEOUT:-45} * 10))
    while [ "$tenths" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
      sleep 0.1
      tenths=$((tenths - 1))
    done
    if kill -0 "$pid" 2>/dev/null; then
      printf '%s did not end in time and is killed\n' "$service" >&2
      kill -KILL "$pid" 2>/dev/null
    fi
    rm -f "$pid_file"
    ;;
  status)
    if running; then
      printf '%s runs as process %s\n' "$service" "$pid"
    else
      printf '%s does not run\n' "$service"
      exit 3
    fi
    ;;
  *) fail "unknown action: $action" ;;
esac

#!/usr/bin/env bash
# stop-worker.sh [--host HOST]: stops the worker of this machine; what it runs is finished first.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

host=''
if [ "${1:-}" = --host ]; then
  [ $# -ge 2 ] || fail '--host needs a name'
  host="$2"
  shift 2
  is_host "$host" || fail "not a host name: $host"
fi
exec "$EXTERNAL_SPARK_HOME/sbin/external-spark-daemon.sh" stop worker --instance "$(instance_of "$host")"

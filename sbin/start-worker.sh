#!/usr/bin/env bash
# start-worker.sh [--host HOST] [OPTIONS]: starts a worker on this machine; OPTIONS are those of `spark-proxy worker`.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

host=''
if [ "${1:-}" = --host ]; then
  [ $# -ge 2 ] || fail '--host needs a name'
  host="$2"
  shift 2
  is_host "$host" || fail "not a host name: $host"
fi
case "$host" in
  '' | localhost) exec "$EXTERNAL_SPARK_HOME/sbin/external-spark-daemon.sh" start worker "$@" ;;
  *) exec "$EXTERNAL_SPARK_HOME/sbin/external-spark-daemon.sh" start worker --instance "$(instance_of "$host")" --conf "worker.host=$host" "$@" ;;
esac

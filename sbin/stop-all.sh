#!/usr/bin/env bash
# stop-all.sh: stops the workers, then the dispatchers of conf/hosts. Workers finish what they run.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

status=0
on_all worker stop-worker.sh || status=1
on_all dispatcher stop-dispatcher.sh || status=1
[ "$status" = 0 ] || fail 'not everything has been stopped'

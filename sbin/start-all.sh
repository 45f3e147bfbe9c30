#!/usr/bin/env bash
# start-all.sh: starts the dispatchers, then the workers of conf/hosts.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

on_all dispatcher start-dispatcher.sh || fail 'not all dispatchers have started'
on_all worker start-worker.sh || fail 'not all workers have started'

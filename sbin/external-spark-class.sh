#!/usr/bin/env bash
# external-spark-class.sh COMMAND [ARGUMENTS]: runs a command of spark-proxy in the foreground, with the Node of this home if it has one.
set -u
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/external-spark-config.sh"

node="$EXTERNAL_SPARK_HOME/node/bin/node"
[ -x "$node" ] || node="${EXTERNAL_SPARK_NODE:-node}"
command -v "$node" >/dev/null 2>&1 || fail "no Node at $node: install Node 22.15 or newer, set EXTERNAL_SPARK_NODE, or make the package with --with-node"
for main in "$EXTERNAL_SPARK_HOME/node_modules/spark-proxy/bin/spark-proxy.js" "$EXTERNAL_SPARK_HOME/bin/spark-proxy.js"; do
  [ -f "$main" ] && exec "$node" "$main" "$@"
done
fail "no spark-proxy below EXTERNAL_SPARK_HOME=$EXTERNAL_SPARK_HOME"

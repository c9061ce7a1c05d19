#!/usr/bin/env bash
# Runs a command and says what it is and how long it took: step.sh NAME COMMAND…
set -euo pipefail

name="$1"
shift
echo "==> $name"
start=$SECONDS
if "$@"; then
	echo "<== $name: done in $((SECONDS - start)) s"
else
	status=$?
	echo "<== $name: FAILED after $((SECONDS - start)) s" >&2
	exit "$status"
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command and prints its name, result and duration: step.sh NAME COMMAND…
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

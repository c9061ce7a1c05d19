#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the missing Debian packages of hack/packages.txt. Fast and silent when none is missing.
# With --check it only lists what is missing, in one line.
set -euo pipefail

list="$(dirname "${BASH_SOURCE[0]}")/packages.txt"
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # the directories of daemons, which not every PATH has

missing() {
	local package evidence _
	while read -r package evidence _; do
		case "$package" in '' | '#'*) continue ;; esac
		if [[ "$evidence" == /* ]]; then
			[[ -e "$evidence" ]] || printf '%s ' "$package"
		else
			command -v "$evidence" >/dev/null || printf '%s ' "$package"
		fi
	done <"$list"
}

need="$(missing)"
need="${need% }"
[[ -z "$need" ]] && exit 0

if [[ "${1:-}" == --check ]]; then
	echo "missing on this machine: $need" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "missing on this machine: $need (Debian package names; this machine has no apt-get)" >&2
	exit 1
fi
if [[ "$(id -u)" != 0 ]]; then
	echo "missing on this machine: $need; install with: sudo apt-get install --no-install-recommends $need" >&2
	exit 1
fi

echo "installing: $need"
export DEBIAN_FRONTEND=noninteractive
# On a new machine the package lists are empty or outdated, and the install fails: update them and retry.
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $need >/dev/null 2>&1 || {
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends $need >/dev/null
}

need="$(missing)"
if [[ -n "$need" ]]; then
	echo "still missing after apt-get install: $need" >&2
	exit 1
fi

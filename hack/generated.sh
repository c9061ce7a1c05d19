#!/usr/bin/env bash
# Runs "make generate". Fails if that changes a generated file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sums() {
	find api config pkg -type f \( -path 'config/crd/*.yaml' -o -name '*.go' \) -print0 |
		xargs -0 grep -lZE '^// Code generated .* DO NOT EDIT\.$|controller-gen.kubebuilder.io/version' |
		sort -z | xargs -0 sha256sum
}

before="$(sums)"
"${MAKE:-make}" --no-print-directory generate
after="$(sums)"
if ! changed="$(diff <(echo "$before") <(echo "$after"))"; then
	echo "generated files were not up to date; commit these files:" >&2
	awk '/^[<>]/ {print "  " $3}' <<<"$changed" | sort -u >&2
	exit 1
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails with one line if Go is missing or too old for this module.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

want="$(awk '$1 == "go" {print $2; exit}' go.mod)"
advice="Woven needs Go $want or newer: install it from https://go.dev/dl/ and put its bin directory in PATH"
if ! command -v go >/dev/null; then
	echo "go is missing. $advice" >&2
	exit 1
fi
# Go downloads the required version by itself since 1.21, unless GOTOOLCHAIN forbids it.
have="$(go env GOVERSION 2>/dev/null || true)"
have="${have#go}"
if [[ -z "$have" || "$(printf '%s\n' "$want" "${have%% *}" | sort -V | head -1)" != "$want" ]]; then
	echo "go is too old (${have:-$(go version 2>/dev/null | head -1)}). $advice" >&2
	exit 1
fi

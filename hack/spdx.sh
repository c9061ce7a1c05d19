#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts the line "SPDX-License-Identifier: Apache-2.0" at the head of Go files and shell scripts that lack it.
# With --check it changes nothing, lists these files, and fails if there are any.
#
# Go files have it in the first line; generated ones get it from their generators, anywhere before the package clause.
# Scripts have it after the line that names the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

line="$(<hack/header.go.txt)"
comment="#${line#//}"

lacking() {
	git ls-files -z --cached --others --exclude-standard '*.go' '*.sh' .ci/run |
		xargs -0 awk -v line="$line" -v comment="$comment" '
			FNR == 1                             { first = $0; generated = found = 0 }
			FILENAME !~ /\.go$/                  { if (FNR == 2) { if ($0 != comment) print FILENAME; nextfile } next }
			$0 == line                           { found = 1 }
			/^\/\/ Code generated .* DO NOT EDIT\.$/ { generated = 1 }
			/^package /                          { if (first != line && !(generated && found)) print FILENAME; nextfile }'
}

missing="$(lacking)"
if [[ "${1:-}" == --check ]]; then
	[[ -z "$missing" ]] && exit 0
	printf 'these files lack the line "%s" at their head; run hack/spdx.sh:\n%s\n' "$line" "$missing" >&2
	exit 1
fi
for file in $missing; do
	case "$file" in
	*.go) sed -i "1i $line\n" "$file" ;;
	*) sed -i "1a $comment" "$file" ;;
	esac
done

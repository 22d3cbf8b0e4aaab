#!/usr/bin/env bash
# Every C file stands as clang-format 14 writes it by .clang-format: another version breaks some lines elsewhere. Changes nothing.
# usage: format.sh CLANG_FORMAT; to mend what fails: find bench examples include src tests -name '*.[ch]' -exec clang-format -i {} +
set -uo pipefail
formatter=$1
cd "$(dirname "$0")/.." || exit 1
mapfile -t files < <(find bench examples include src tests -name '*.[ch]' | sort)
"$formatter" --version || exit 1
# file:line:column: error: code should be clang-formatted
failed=$("$formatter" --dry-run --Werror "${files[@]}" 2>&1 | grep ' error: ' | sort -t: -k1,1 -u | cut -d: -f1,2)
[ -z "$failed" ] || sed 's/^/FAILED: /' <<< "$failed"
echo "${#files[@]} files, $(grep -c . <<< "$failed") failed"
[ -z "$failed" ] && [ ${#files[@]} -gt 100 ]

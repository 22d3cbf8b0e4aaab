#!/usr/bin/env bash
# GPT-2's full vocabulary as a user gets it: fetched by its recipe, its ids held against the fixture, a text prepared with it.
set -euo pipefail
lockstep=$1
tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

bash "$tests/../datasets/gpt2-bpe.sh" -o "$folder"
LOCKSTEP_GPT2_BPE=$folder/gpt2-bpe "$(dirname "$lockstep")/tests/test_tokenizer" >"$folder/log" || { cat "$folder/log"; exit 1; }
grep "GPT-2's full vocabulary: the ids of .* agree" "$folder/log" || { cat "$folder/log"; echo "the full vocabulary was not tested"; exit 1; }

"$lockstep" prepare text "$tests/fixtures/gpt2_ids.py" -o "$folder/text.h5" --tokenizer gpt2 --vocabulary "$folder/gpt2-bpe"
"$lockstep" inspect "$folder/text.h5" >"$folder/inspect"
grep -q 50257 "$folder/inspect" || { cat "$folder/inspect"; echo "inspect does not tell the vocabulary of 50257"; exit 1; }

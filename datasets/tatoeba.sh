#!/usr/bin/env bash
# name: tatoeba
# what: 142,787 English sentences with a French translation each, with a tab between them, of the Tatoeba project
# bytes: 10009515
# licence: CC BY 2.0 (tatoeba.org)
# source: https://www.manythings.org/anki/fra-eng.zip
# file: tatoeba/fra-eng.txt
# prepare: lockstep prepare pairs data/tatoeba/fra-eng.txt --source 2 --target 1 --validation 1000 --words 10000 --lowercase -o data/tatoeba.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want tatoeba/fra-eng.txt 10009515 2546838ae46e0eac4c02ab7032ea0a02a006074a5340077a36a9444f41e02888
home https://www.manythings.org/anki/fra-eng.zip # whose content grows: a later edition is another file, and refused
no_package "No package carries these pairs, and the file at their home grows with time. A later edition is prepared as it is, in the same way:
lockstep prepare pairs fra.txt --source 2 --target 1 -o data/tatoeba.h5"
recipe "$@"

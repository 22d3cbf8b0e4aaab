#!/usr/bin/env bash
# name: wnut17
# what: WNUT-2017: sentences of posts with names tagged word by word, 3,394 to train on, 1,009 to validate, 1,287 to test (Derczynski et al. 2017)
# bytes: 800955
# licence: CC BY 4.0
# source: https://raw.githubusercontent.com/leondz/emerging_entities_17/master/
# file: wnut17/
# prepare: lockstep prepare columns data/wnut17/wnut17train.conll --validation-file data/wnut17/emerging.dev.conll --test data/wnut17/emerging.test.annotated --lowercase -o data/wnut17.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want wnut17/wnut17train.conll 493781 731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5
want wnut17/emerging.dev.conll 114749 e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8
want wnut17/emerging.test.annotated 192425 2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0
for name in wnut17train.conll emerging.dev.conll emerging.test.annotated; do
    home https://raw.githubusercontent.com/leondz/emerging_entities_17/master/$name
done
no_package "No package carries these sentences. They are the three files of the shared task WNUT-2017, emerging and rare entities."
recipe "$@"

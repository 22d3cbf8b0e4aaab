#!/usr/bin/env bash
# name: spoken-digits
# what: 3,000 spoken digits by six speakers, 8,000 samples a second (free spoken digit dataset); numbers 0 to 4 of each are the test part
# bytes: 21128848
# licence: CC BY-SA 4.0
# source: https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz
# file: spoken-digits/recordings/
# prepare: lockstep prepare wav data/spoken-digits/recordings --label '^(\d)_' --test-names '_[0-4]\.wav$' --validation 300 --length 8000 -o data/spoken-digits.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want_folder spoken-digits/recordings 21128848 72cb1d7b376e46aa7424b10b37df86bfb9bd827b62d9904b00875a87d2f7cca9
home https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz
no_package "No package carries these recordings. Those of another edition are prepared in the same way from the folder that holds them."
recipe "$@"

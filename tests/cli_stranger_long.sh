#!/usr/bin/env bash
# What cli_stranger.sh says, by a copy of the tree that is built from nothing by its own CMake project.
# usage: cli_stranger_long.sh PROGRAM
exec bash "$(dirname "$0")/cli_stranger.sh" "$1" whole

#!/usr/bin/env bash
# A program that no launcher started makes no folder for messages between processes: Open MPI's would be the same one for all such
# programs, and each would remove it at its end while others start.
# usage: cli_alone.sh PROGRAM
. "$(dirname "$0")/cli.inc"

: > file # in which no folder can be made
TMPDIR=$folder/file says 4 'nowhere: there is no such run folder' eval nowhere
OMPI_MCA_orte_create_session_dirs=1 TMPDIR=$folder/file run_for 1 "$lockstep" eval nowhere
grep -q 'unable to create' err.txt || failed "Open MPI makes no folder where it is asked to: this test tests nothing: $(head -c 600 err.txt)"

finish

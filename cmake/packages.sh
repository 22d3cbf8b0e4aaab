#!/usr/bin/env bash
# Installs the Debian packages that building needs, those that are missing only, and prints what it does.
#
#     cmake/packages.sh [PACKAGE…]        further packages after the list below; as root, or with sudo
#     cmake/packages.sh --libraries       prints the libraries of the list
#
# Where no package is missing it neither asks for rights nor touches the network.
set -euo pipefail

libraries=(libopenmpi-dev libhdf5-dev libcunit1-dev libyaml-dev libjansson-dev libpcre2-dev libxxhash-dev libpng-dev zlib1g-dev libarchive-dev libfftw3-dev libsndfile1-dev)
if [ "${1:-}" = --libraries ]; then
    echo "${libraries[*]}"
    exit 0
fi
packages=(gcc libc6-dev cmake ninja-build pkg-config git ca-certificates curl openmpi-bin "${libraries[@]}" "$@")

if ! command -v dpkg-query >/dev/null; then
    echo "packages.sh: this is not Debian; make sure of: ${packages[*]}" >&2
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "packages: all ${#packages[@]} are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "packages.sh: missing ${missing[*]}; install them as root, or install sudo" >&2; exit 1; }
    as_root=(sudo)
fi
run()
{
    printf '+ %s\n' "$*"
    "$@"
}
run "${as_root[@]}" apt-get update -q
run "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"

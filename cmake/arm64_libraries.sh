#!/usr/bin/env bash
# Downloads Debian's arm64 libraries that the program needs, and what these need, and unpacks them below a folder.
#
#     cmake/arm64_libraries.sh FOLDER       fills FOLDER/sysroot; needs no rights
#
# Nothing is installed: installed, some would replace the machine's own files. apt keeps its lists for arm64 and the packages in FOLDER, so
# the machine's apt does not learn of another architecture. Where FOLDER is complete the network is not touched.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
wanted="libc6-dev libgomp1 $("$(dirname "$0")/packages.sh" --libraries)"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ "$(cat "$folder/complete" 2>/dev/null)" = "$wanted" ]; then
    echo "arm64 libraries: complete in $folder/sysroot"
    exit 0
fi

rm -rf "$folder/complete" "$folder/packages" "$folder/sysroot"
mkdir -p "$folder"/apt/{state/lists,cache/archives}/partial "$folder/packages" "$folder/sysroot"
: > "$folder/apt/installed"
cat > "$folder/apt/apt.conf" << CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$folder/apt/state";
Dir::State::status "$folder/apt/installed";
Dir::Cache "$folder/apt/cache";
CONF
export APT_CONFIG=$folder/apt/apt.conf

echo "+ apt-get update && apt-get download (arm64, into $folder)"
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -s $wanted > "$folder/apt/plan" || { cat "$folder/apt/plan"; exit 1; }
# Libraries and headers alone: compilers, interpreters and tools would never run.
names=$(awk '$1 == "Inst" {print $2}' "$folder/apt/plan" | grep -E '^(lib|zlib|linux-libc)' | grep -vE '^lib(perl|dpkg|js-|cc1|gprofng|[a-z]*san[0-9])')
# shellcheck disable=SC2086
(cd "$folder/packages" && apt-get download -qq $names)
for package in "$folder"/packages/*.deb; do
    dpkg-deb -x "$package" "$folder/sysroot"
done
rm -rf "$folder/packages" "$folder/apt"
echo "arm64 libraries: $(wc -w <<< "$names") packages in $folder/sysroot"
echo "$wanted" > "$folder/complete"

#!/usr/bin/env bash
# The recipes without a network: from local files, with each of the tools they can use, and refusing what is not the known file.
set -uo pipefail
datasets=$(cd "$(dirname "$0")/../datasets" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failures=0

fail()
{
    echo "FAILED: $*"
    [ ! -e log ] || sed 's/^/    /' log
    failures=$((failures + 1))
}

# A recipe of two lines' text of our own, in the form of the real ones.
printf 'first line\nsecond line\n' >known.txt
sum=$(sha256sum known.txt | cut -d ' ' -f 1)
mkdir recipes
cp "$datasets/fetch.inc" recipes/
# recipe NAME HOME WANTED…: writes recipes/NAME.sh
recipe()
{
    local name=$1 home=$2
    shift 2
    {
        printf '#!/usr/bin/env bash\n# name: %s\n# what: two lines\n# source: %s\nset -euo pipefail\n' "$name" "$home"
        echo 'source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"'
        for wanted; do
            echo "want $wanted 23 $sum"
            echo "home $home"
        done
        echo 'no_package "No package carries it."'
        echo 'recipe "$@"'
    } >"recipes/$name.sh"
}
nowhere=file://$folder/nowhere
recipe two "$nowhere" two.txt
recipe pair "$nowhere" pair/one pair/two
recipe home "file://$folder/known.txt" home.txt

# expect STATUS TEXT COMMAND…
expect()
{
    local status=$1 text=$2 code=0
    shift 2
    "$@" >log 2>&1 || code=$?
    [ "$code" -eq "$status" ] || fail "$*: status $code, expected $status"
    grep -qF -- "$text" log || fail "$*: does not say '$text'"
}
# made FILE: is the known text, and no temporary folder is left
made()
{
    cmp -s known.txt "$1" || fail "$1 is not the known file"
    [ -z "$(find "$(dirname "$1")/.." -name '.fetch-*' 2>/dev/null)" ] || fail "a temporary folder is left"
    rm -rf "$(dirname "$1")"
}

expect 0 "SHA-256 checked" bash recipes/two.sh -o out known.txt
expect 0 "is there already" bash recipes/two.sh -o out
printf 'first line\nsecond lime\n' >out/two.txt
expect 0 "it is fetched anew" bash recipes/two.sh -o out known.txt
made out/two.txt
expect 0 "SHA-256 checked" bash recipes/two.sh -o "a folder" "file://$folder/known.txt"
made "a folder/two.txt"
expect 0 "from file://$folder/known.txt" bash recipes/home.sh -o out
made out/home.txt
expect 0 "the sources" bash -c "bash recipes/home.sh -o out missing.txt; echo the sources"
made out/home.txt

# compressed, and archives
gzip -k known.txt
expect 0 "SHA-256 checked" bash recipes/two.sh -o out known.txt.gz
made out/two.txt
if command -v python3 >/dev/null; then
    mkdir inside
    cp known.txt inside/two.txt
    python3 -c 'import zipfile; z = zipfile.ZipFile("two.zip", "w", zipfile.ZIP_DEFLATED); z.write("inside/two.txt"); z.close()'
    expect 0 "SHA-256 checked" bash recipes/two.sh -o out two.zip
    made out/two.txt
    python3 -c 'import zipfile; z = zipfile.ZipFile("other.zip", "w"); z.write("inside/two.txt", "other.txt"); z.close()'
    expect 3 "the archive has no two.txt" bash recipes/two.sh -o out other.zip
fi

# several files: the folder they are in
mkdir folder
cp known.txt folder/one
expect 3 "folder/two: there is no such file" bash recipes/pair.sh -o out folder
[ ! -e out/pair ] || fail "a pair is half there"
cp known.txt folder/two
expect 0 "out/pair/two" bash recipes/pair.sh -o out folder/
made out/pair/one

rm folder/one folder/two
gzip -c known.txt >folder/one.gz
xz -c known.txt >folder/two.xz
expect 0 "out/pair/one" bash recipes/pair.sh -o out folder
made out/pair/two

# a folder of files, from an archive or a folder that has it inside
mkdir -p "deep/er/known folder"
printf a >"deep/er/known folder/one"
printf bc >"deep/er/known folder/two"
recipe whole "$nowhere" three.txt
sed -i "s|^want .*|want_folder 'set/known folder' 3 $(printf 'one\ntwo\nabc' | sha256sum | cut -d ' ' -f 1)|" recipes/whole.sh
tar -czf deep.tar.gz deep
tar -cJf deep.tar.xz deep
for source in deep deep.tar.gz deep.tar.xz; do
    expect 0 "out/set/known folder: 3 bytes, SHA-256 checked" bash recipes/whole.sh -o out $source
    expect 0 "is there already" bash recipes/whole.sh -o out
    diff -r "deep/er/known folder" "out/set/known folder" || fail "$source: another folder"
    rm "out/set/known folder/one" # what lacks a file is made anew
done
printf bd >"deep/er/known folder/two"
expect 3 "deep: is not the known folder" bash recipes/whole.sh -o out deep
expect 3 "known.txt.gz: " bash recipes/whole.sh -o out known.txt.gz
expect 3 "folder: has no folder known folder inside" bash recipes/whole.sh -o out folder
[ -z "$(find out -name '.fetch-*')" ] || fail "a temporary folder is left"
rm -rf out

# packages, with tools of our own in the place of those that fetch: a Debian package, one that carries it in another form
mkdir -p bin deb/DEBIAN deb/usr/share/known
if command -v dpkg-deb >/dev/null; then
    printf 'Package: known\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: two lines\n' >deb/DEBIAN/control
    gzip -c known.txt >deb/usr/share/known/two.gz
    printf '#!/bin/sh\n[ "$3" = known ] || { echo "no such package" >&2; exit 100; }\ndpkg-deb -b %q ./known_1_all.deb >/dev/null\n' \
        "$folder/deb" >bin/apt-get
    chmod +x bin/apt-get
    recipe debian "$nowhere" two.txt
    sed -i 's|^no_package.*|debian_package known usr/share/known/two.gz|' recipes/debian.sh
    expect 0 "from the Debian package known" env PATH="$folder/bin:$PATH" bash recipes/debian.sh -o out
    made out/two.txt
    expect 0 "then the Debian package known" bash recipes/debian.sh --help
    sed -i 's|two.gz|three.gz|' recipes/debian.sh
    expect 3 "Debian package known: has no usr/share/known/three.gz" env PATH="$folder/bin:$PATH" bash recipes/debian.sh -o out
    sed -i 's|known usr|unknown usr|' recipes/debian.sh
    expect 3 "Debian package unknown: no such package" env PATH="$folder/bin:$PATH" bash recipes/debian.sh -o out
fi
if command -v python3 >/dev/null; then
    real=$(command -v python3)
    tr a-z A-Z <known.txt >shouted.txt
    python3 -c 'import zipfile; z = zipfile.ZipFile("loud.whl", "w"); z.write("shouted.txt", "loud/shouted.txt"); z.close()'
    # python3 -m pip --version; python3 -m pip ... download ... --dest FOLDER ...
    cat >bin/python3 <<END
#!/usr/bin/env bash
[ "\${1:-} \${2:-}" = "-m pip" ] || exec $real "\$@"
while [ \$# -gt 0 ]; do [ "\$1" != --dest ] || cp $folder/loud.whl "\$2"; shift; done
END
    chmod +x bin/python3
    recipe loud "$nowhere" pair/one pair/two
    sed -i 's|^no_package.*|package loud 1 loud/shouted.txt\nquiet() { tr A-Z a-z <"$1" >"$2/one"; cp "$2/one" "$2/two"; }\nconvert quiet|' recipes/loud.sh
    expect 0 "out/pair/two" env PATH="$folder/bin:$PATH" bash recipes/loud.sh -o out
    made out/pair/one
    sed -i 's|tr A-Z a-z|cat|' recipes/loud.sh
    expect 3 "package loud, made from loud/shouted.txt: is not the known file" env PATH="$folder/bin:$PATH" bash recipes/loud.sh -o out
    [ ! -e out/pair ] || fail "a file that is not the known one was put in its place"
fi
rm -rf bin

# what is not the known file
printf 'first line\nsecond lime\n' >wrong.txt
expect 3 "is not the known file" bash recipes/two.sh -o out wrong.txt
head -c 20 known.txt >short.txt
expect 3 "has 20 bytes, expected 23" bash recipes/two.sh -o out short.txt
head -c 30 known.txt.gz >short.gz
expect 3 "none of the sources did" bash recipes/two.sh -o out short.gz
expect 3 "No package carries it." bash recipes/two.sh -o out
expect 3 "there is no such file" bash recipes/two.sh -o out missing.txt
expect 2 "there is no option --force" bash recipes/two.sh --force
expect 2 "takes one SOURCE" bash recipes/two.sh one two
[ ! -e out/two.txt ] || fail "a wrong file was put in its place"
[ -z "$(ls -A out)" ] || fail "something is left in out: $(ls -A out)"

# a host that cannot be reached is told by whichever tool is there, and quickly
recipe far "http://localhost:9/two.txt" far.txt
tools="bash sh env dirname sed cut wc tr head tail od cp mv mkdir mktemp rm chmod grep sha256sum gzip"
for tool in curl wget python3; do
    path=$(command -v "$tool") || continue
    [ "$tool" != python3 ] || path=$(python3 -c 'import sys; print(sys.executable)')
    rm -rf bin
    mkdir bin
    for name in $tools; do ln -s "$(command -v "$name")" bin/; done
    ln -s "$path" "bin/$tool"
    expect 3 "http://localhost:9/two.txt" timeout 60 env PATH="$folder/bin" bash recipes/far.sh -o out
done
rm "bin/$tool"
expect 3 "curl, wget or python3 is needed" env PATH="$folder/bin" bash recipes/far.sh -o out

# the real ones: help, the lines that `lockstep datasets` reads, and a wrong file refused at once
for script in "$datasets"/*.sh; do
    name=$(basename "$script" .sh)
    expect 0 "usage: $script [-o DIR] [SOURCE]" bash "$script" --help
    for key in what bytes licence source file prepare; do
        grep -q "^# $key: ." "$script" || fail "$script has no line '# $key:'"
    done
    grep -q "^# name: $name\$" "$script" || fail "$script is not named $name"
    bytes=$(sed -n 's/^# bytes: //p' "$script")
    sums=$(awk '/^want(_folder)? / { sum += $3 } END { print sum }' "$script")
    [ "$bytes" = "$sums" ] || fail "$script: says $bytes bytes, wants $sums"
    grep -q "$name.sh" "$datasets/README.md" || fail "datasets/README.md does not list $name"
done

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }

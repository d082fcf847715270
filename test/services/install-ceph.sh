#!/usr/bin/env bash
# install-ceph.sh [--find] [20|18]
#   installs Ceph's object gateway, a real S3 server, for tests only; prints its folder, with the programs in run/
#   --find only prints it where it is installed
#
# 18 is one of the many servers that know only a part of today's protocol: it ignores If-None-Match when a multipart upload is completed.
# Everything lies under $PGSILO_TEST_PREFIX (default: /opt/pgsilo-test, or pgsilo-test in the cache folder where that cannot be written), as
# install-postgres.sh does it. May be run at any time, by several at once, again after an interruption.
# Exit: 64 wrong call, 69 this machine is none that it can be done on, else what failed.
set -euo pipefail
# shellcheck source=lib-private-packages.sh
. "${BASH_SOURCE[0]%/*}/lib-private-packages.sh"

find=false
if [ "${1:-}" = --find ]; then
  find=true
  shift
fi
case "$#:${1:-20}" in
  0:20 | 1:20 | 1:18) version=${1:-20} ;;
  *)
    say 'usage: install-ceph.sh [--find] [20|18]'
    exit 64
    ;;
esac

# Raised whenever an older installation should be made anew.
recipe=2
product="Ceph $version"
prefix=${PGSILO_TEST_PREFIX:-$(default_prefix)}
root=$prefix/ceph-$version
is_installed() {
  [ "$(cat "$root/.recipe" 2>/dev/null)" = "$recipe" ] && "$root/run/radosgw" --version >/dev/null 2>&1
}
if is_installed; then
  echo "$root"
  exit 0
fi
if $find; then
  say "$product is not installed in $root"
  exit 69
fi

know_machine
case $distribution:$version in
  debian:20) suite=forky components=main ;;
  debian:18) suite=trixie components=main ;;
  ubuntu:20) suite=resolute components='main universe' ;;
  *) not_here "this is $distribution" ;;
esac
suite=${PGSILO_TEST_SUITE:-$suite}

mkdir -p "$prefix"
exec 9>"$prefix/.lock-ceph"
flock 9
if is_installed; then
  echo "$root"
  exit 0
fi

# What an interrupted call left is of no use.
work=$root.new
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"
say "installing $product of $distribution $suite into $root"
begin_apt "$work/apt" "$suite" "$components"
# Three daemons and Python for the one command that makes a cluster of them; not services, compilers and what only other daemons load.
packages=$(
  needed_packages radosgw ceph-mon ceph-osd |
    grep -E '^(radosgw|ceph-(mon|osd|base|common)|python3.*|lib.*|zlib1g|media-types)$' |
    grep -vE '^lib(llvm|perl|.*-perl$|systemd-shared|pam-|proc2|semanage|sepol|c-bin|c-l10n|c-gconv|gprofng|binutils|ctf|sframe|cryptsetup|lvm|parted|nvme|dbus|atasmart|bytesize)'
)
unpack "$tree" "$packages" --exclude=./etc --exclude=./var \
  --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian' --exclude='./usr/share/gdb'

# A program is started by the C library that came along, so that any user can run it and nothing of the system's comes in.
python=$(readlink -f "$tree/usr/bin/python3")
kept=(ceph-mon ceph-osd radosgw radosgw-admin monmaptool ceph-authtool)
mkdir "$tree/run"
starter() { # NAME PROGRAM [ARGUMENT...]
  local libraries=$root/usr/lib/x86_64-linux-gnu
  printf '#!/bin/sh\nexec "%s" --library-path "%s" %s "$@"\n' "$libraries/ld-linux-x86-64.so.2" "$libraries:$libraries/ceph" "$2" >"$tree/run/$1"
  chmod +x "$tree/run/$1"
}
for program in "${kept[@]}"; do starter "$program" "\"$root/usr/bin/$program\""; done
# Ceph's own command is a script. Its Python looks for nothing outside.
starter ceph "\"$root/usr/bin/${python##*/}\" -s \"$root/usr/bin/ceph\""
sed -i "2i export PYTHONHOME='$root/usr' PYTHONPATH='$root/usr/lib/python3/dist-packages'" "$tree/run/ceph"
# Some hundred megabytes of programs that no test starts.
unneeded=(-type f -size +1M ! -name "${python##*/}")
for program in "${kept[@]}"; do unneeded+=(! -name "$program"); done
find "$tree/usr/bin" "${unneeded[@]}" -delete
chmod -R a+rX "$tree"
echo "$recipe" >"$tree/.recipe"
rm -rf "$root"
mv "$tree" "$root"
"$root/run/radosgw" --version >&2
echo "$root"

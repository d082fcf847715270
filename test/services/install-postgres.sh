#!/usr/bin/env bash
# install-postgres.sh 17|18     installs a newer PostgreSQL beside the system's, for tests only; prints the folder of its programs
# install-postgres.sh --list    prints those that are installed: major version, tab, folder of the programs
#
# Everything lies under $PGSILO_TEST_PREFIX (default: /opt/pgsilo-test, or pgsilo-test in the cache folder where that cannot be written): packages of
# a newer suite of the same distribution are resolved in a private apt state, unpacked, and their programs given the newer C library that came along.
# The system's packages, apt configuration and libraries stay as they are. May be run at any time, by several at once, again after an interruption.
# Exit: 64 wrong call, 69 this machine is none that it can be done on, else what failed.
set -euo pipefail
umask 022

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

default_prefix() {
  local shared=/opt/pgsilo-test
  if [ -w "$shared" ] || { [ ! -e "$shared" ] && [ -w "${shared%/*}" ]; }; then
    echo "$shared"
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/pgsilo-test"
  fi
}

# Raised whenever an older installation should be made anew.
recipe=1
prefix=${PGSILO_TEST_PREFIX:-$(default_prefix)}
root_of() { echo "$prefix/postgres-$1"; }
bin_of() { echo "$(root_of "$1")/usr/lib/postgresql/$1/bin"; }
is_installed() {
  [ "$(cat "$(root_of "$1")/.recipe" 2>/dev/null)" = "$recipe" ] && "$(bin_of "$1")/postgres" --version >/dev/null 2>&1
}

case "$#:${1:-}" in
  1:--list)
    for version in 17 18; do
      if is_installed "$version"; then printf '%s\t%s\n' "$version" "$(bin_of "$version")"; fi
    done
    exit 0
    ;;
  1:17 | 1:18) version=$1 ;;
  *)
    say 'usage: install-postgres.sh 17|18|--list'
    exit 64
    ;;
esac

if is_installed "$version"; then
  bin_of "$version"
  exit 0
fi

not_here() {
  say "PostgreSQL $version can be installed by this on Debian and Ubuntu on x86-64 only: $1"
  exit 69
}
[ -r /etc/os-release ] || not_here "this is $(uname -s)"
for program in apt-get dpkg dpkg-deb flock tar; do
  command -v "$program" >/dev/null || not_here "there is no $program"
done
[ "$(dpkg --print-architecture)" = amd64 ] || not_here "this is $(dpkg --print-architecture)"
# shellcheck source=/dev/null
distribution=$(. /etc/os-release && echo "$ID")
# shellcheck source=/dev/null
running=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $distribution:$version in
  debian:17) suite=trixie components=main ;;
  debian:18) suite=forky components=main ;;
  ubuntu:17) suite=questing components='main universe' ;;
  ubuntu:18) suite=resolute components='main universe' ;;
  *) not_here "this is ${distribution:-unknown}" ;;
esac
suite=${PGSILO_TEST_SUITE:-$suite}
keyring=/usr/share/keyrings/$distribution-archive-keyring.gpg
[ -r "$keyring" ] || not_here "there is no $keyring"
# The mirror that serves the running release, from apt's own configuration. Updates and security fixes lie in suites of other names, perhaps elsewhere.
# shellcheck disable=SC2016 # apt-get fills in what looks like variables
mirror=$(
  apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' |
    awk -v running="$running" '$1 == running && !found { print $2; found = 1 }'
)
[ -n "$mirror" ] || not_here "apt's configuration names no mirror of $running"

mkdir -p "$prefix"
exec 9>"$prefix/.lock"
flock 9
if is_installed "$version"; then
  bin_of "$version"
  exit 0
fi

# What an interrupted call left is of no use.
work=$(root_of "$version").new
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
apt=$work/apt
tree=$work/tree
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/deb" "$tree"
: >"$apt/status"
echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite $components" >"$apt/sources.list"

private_apt() {
  apt-get -qq \
    -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt/cache" -o Dir::Cache::archives="$apt/cache/archives" \
    -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o APT::Install-Recommends=false -o APT::Default-Release= -o APT::Sandbox::User= \
    -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

say "installing PostgreSQL $version of $distribution $suite into $(root_of "$version")"
private_apt update >&2
# The whole list of dependencies ends at the C library; wanted of it are the libraries, without those of JIT compilation, perl, services and log-in.
packages=$(
  private_apt --print-uris install "postgresql-$version" "postgresql-client-$version" patchelf |
    sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | sort -u |
    grep -E "^(postgresql-(client-)?$version|patchelf|zlib1g|lib[a-z0-9.+-]+)\$" |
    grep -vE '^lib(llvm|perl|z3|.*-perl$|systemd-shared|pam-|proc2|sem|sepol|c-bin|c-l10n|c-gconv)'
)
# shellcheck disable=SC2086 # a list of package names
(cd "$apt/deb" && private_apt download $packages >&2)
for package in "$apt"/deb/*.deb; do
  dpkg-deb --fsys-tarfile "$package" |
    tar -x --no-same-owner --keep-directory-symlink -C "$tree" --exclude='./usr/share/doc' --exclude='./usr/share/man' \
      --exclude='./etc' --exclude='./var' --exclude='*/llvmjit*' --exclude='*/bitcode'
done

# A program finds its loader and libraries by absolute paths, so that any user can run it and nothing of the system's C library comes in.
built=$tree/usr/lib/x86_64-linux-gnu
final=$(root_of "$version")/usr/lib/x86_64-linux-gnu
for program in "$tree/usr/lib/postgresql/$version/bin"/*; do
  [ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || continue
  "$built/ld-linux-x86-64.so.2" --library-path "$built" "$tree/usr/bin/patchelf" \
    --set-interpreter "$final/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$final" "$program"
done
rm "$tree/usr/bin/patchelf"
chmod -R a+rX "$tree"
echo "$recipe" >"$tree/.recipe"
rm -rf "$(root_of "$version")"
mv "$tree" "$(root_of "$version")"
"$(bin_of "$version")/postgres" --version >&2
bin_of "$version"

# shellcheck shell=bash
# Sourced, not run: packages of another suite of this distribution, resolved in a private apt state and unpacked into a folder of their own.
# The system's packages, apt configuration and libraries stay as they are.

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

# not_here REASON: ends the script with the status that says "nothing can be installed on this machine".
not_here() {
  say "$product can be installed by this on Debian and Ubuntu on x86-64 only: $1"
  exit 69
}

# Sets $distribution and $mirror: the mirror that serves the running release, from apt's own configuration.
# Updates and security fixes lie in suites of other names, perhaps elsewhere.
know_machine() {
  [ -r /etc/os-release ] || not_here "this is $(uname -s)"
  local program running
  for program in apt-get dpkg dpkg-deb flock tar; do
    command -v "$program" >/dev/null || not_here "there is no $program"
  done
  [ "$(dpkg --print-architecture)" = amd64 ] || not_here "this is $(dpkg --print-architecture)"
  # shellcheck source=/dev/null
  distribution=$(. /etc/os-release && echo "$ID")
  # shellcheck source=/dev/null
  running=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  keyring=/usr/share/keyrings/$distribution-archive-keyring.gpg
  [ -r "$keyring" ] || not_here "there is no $keyring"
  # shellcheck disable=SC2016 # apt-get fills in what looks like variables
  mirror=$(
    apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' |
      awk -v running="$running" '$1 == running && !found { print $2; found = 1 }'
  )
  [ -n "$mirror" ] || not_here "apt's configuration names no mirror of $running"
}

# begin_apt FOLDER SUITE COMPONENTS: an apt state of its own, with that suite's index.
begin_apt() {
  apt=$1
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/deb"
  : >"$apt/status"
  echo "deb [arch=amd64 signed-by=$keyring] $mirror $2 $3" >"$apt/sources.list"
  private_apt update >&2
}

private_apt() {
  apt-get -qq \
    -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt/cache" -o Dir::Cache::archives="$apt/cache/archives" \
    -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o APT::Install-Recommends=false -o APT::Default-Release= -o APT::Sandbox::User= \
    -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# needed_packages PACKAGE...: these and all that they depend on, down to the C library, one a line.
needed_packages() {
  private_apt --print-uris install "$@" | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | sort -u
}

# unpack TREE PACKAGES TAR_OPTION...: downloads the packages, one a line, and unpacks them into a tree whose /lib is in /usr.
unpack() {
  local tree=$1 packages=$2 folder package
  shift 2
  for folder in bin sbin lib lib64; do
    mkdir -p "$tree/usr/$folder"
    ln -sfn "usr/$folder" "$tree/$folder"
  done
  # shellcheck disable=SC2086 # a list of package names
  (cd "$apt/deb" && private_apt download $packages >&2)
  for package in "$apt"/deb/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --keep-directory-symlink -C "$tree" "$@"
  done
}

#!/bin/sh
# Backs up every unit before a deployment and writes which backups those are:
#   backup-before-deployment.sh PIPELINE RELEASE MANIFEST
# Ends with pgsilo's own exit status when a backup fails; no manifest is written then.
set -eu
pipeline=$1 release=$2 manifest=$3
here=$(dirname "$0")
report=$(mktemp)
trap 'rm -f "$report"' EXIT

# The nightly run may be at it: wait for it rather than fail.
pgsilo backup "$pipeline" --wait 10m --label "release=$release" --pin "before $release" --json > "$report"

node "$here/deployment-manifest.mjs" "$release" < "$report" > "$manifest.new"
mv "$manifest.new" "$manifest"
echo "backed up before $release; see $manifest"

#!/usr/bin/env bash
# run_locust_headless.sh HOST USERS SPAWN_RATE DURATION [LOGLEVEL] [-- LOCUST OPTIONS]: one load test without a UI.
# Starts a master and WORKERS workers (default: one per core, fewer under a CPU quota) on this machine. Results: experiment-results/runs/.
# Example: scripts/run_locust_headless.sh http://127.0.0.1:8000 50 25 30s
set -euo pipefail

self=${BASH_SOURCE[0]}
while [[ -L $self ]]; do # a link to this file leads to its neighbours
  link=$(readlink "$self")
  [[ $link == /* ]] || link=$(dirname "$self")/$link
  self=$link
done
# shellcheck source=scripts/environment.sh
source "$(dirname "$self")/environment.sh"

if [[ ${1:-} == -h || ${1:-} == --help || $# -lt 4 ]]; then
  sed -n '2,4s/^# \{0,1\}//p' "$self"
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi
use_environment swarm
run_module inference_swarm.cli.main run "$@"

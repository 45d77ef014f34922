#!/usr/bin/env bash
# start.sh COMMAND …: the command `inference-swarm` of this checkout; `scripts/start.sh --help` lists its commands.
# Makes .venv with the locked dependencies that the command needs first. Paths count from the folder in which it is called.
set -euo pipefail

self=${BASH_SOURCE[0]}
while [[ -L $self ]]; do # a link to this file leads to its neighbours
  link=$(readlink "$self")
  [[ $link == /* ]] || link=$(dirname "$self")/$link
  self=$link
done
# shellcheck source=scripts/environment.sh
source "$(dirname "$self")/environment.sh"

python=$(find_python)
needs=$(PYTHONPATH=$repository/locust "$python" -P -m inference_swarm.cli.main --needs "${1:-}")
if [[ -n $needs ]]; then # no environment is made for a help page
  use_environment "$needs"
  python=$venv/bin/python
fi
run_module inference_swarm.cli.main "$@"

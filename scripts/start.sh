#!/usr/bin/env bash
# start.sh: everything one does with Inference Swarm on this machine.
#   scripts/start.sh demo  [--ui] [--seconds N] …        train what is missing, serve, load-test, show the result
#   scripts/start.sh train [--data FILE --target COLUMN] … make splits and train models
#   scripts/start.sh serve [--host H] [--port P] …       the reference inference server
#   scripts/start.sh test HOST USERS SPAWN_RATE DURATION [LOGLEVEL]   datasets × models × runs against HOST
#   scripts/start.sh compare RUN RUN                     two runs side by side, and what really differs
#   scripts/start.sh report RUN                          report.html of a run made anew from its files
#   scripts/start.sh keys DIR                            keys that let only your own workers join a master
#   scripts/start.sh k8s-job [HOST USERS SPAWN_RATE DURATION [LOGLEVEL]]   one run on a Kubernetes cluster
#   scripts/start.sh k8s-secrets                         makes the keys and the login of k8s/ in the cluster
# `scripts/start.sh COMMAND --help` tells the options of each.
set -euo pipefail

# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

command=${1:-}
[[ $# -gt 0 ]] && shift

# The commands run in the repository; a file is named from where the caller stands.
arguments=()
previous=
for argument in "$@"; do
  if [[ $previous == --data && $argument != /* && $argument != *://* ]]; then
    argument=$PWD/$argument
  elif [[ $argument == --data=* && $argument != --data=/* && $argument != *://* ]]; then
    argument=--data=$PWD/${argument#--data=}
  fi
  arguments+=("$argument")
  previous=$argument
done

case $command in
  train | serve)
    use_environment server
    cd "$repository"
    exec python -m "server.$command" "${arguments[@]}"
    ;;
  demo)
    use_environment run
    cd "$repository"
    PYTHONPATH=scripts exec python -m swarm_cli.demo "${arguments[@]}"
    ;;
  test)
    use_environment swarm
    cd "$repository"
    PYTHONPATH=scripts:locust exec python -m swarm_cli.matrix "${arguments[@]}"
    ;;
  compare | report | keys)
    use_environment swarm
    cd "$repository"
    PYTHONPATH=scripts:locust exec python -m "swarm_cli.$command" "${arguments[@]}"
    ;;
  k8s-job | k8s-secrets)
    use_environment swarm
    cd "$repository"
    PYTHONPATH=scripts:locust exec python -m "swarm_cli.${command//-/_}" "${arguments[@]}"
    ;;
  -h | --help | help)
    usage
    ;;
  *)
    usage >&2
    [[ -z $command ]] || printf '\nUnknown command: %s\n' "$command" >&2
    exit 2
    ;;
esac

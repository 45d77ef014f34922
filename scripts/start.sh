#!/usr/bin/env bash
# start.sh: everything one does with Inference Swarm on this machine.
#   scripts/start.sh demo  [--ui] [--seconds N] …        train what is missing, serve, load-test, show the result
#   scripts/start.sh train [--data FILE --target COLUMN] … make splits and train models
#   scripts/start.sh serve [--host H] [--port P] …       the reference inference server
#   scripts/start.sh test HOST USERS SPAWN_RATE DURATION [LOGLEVEL]   datasets × models × runs against HOST
#   scripts/start.sh capacity HOST --slo "p99<50ms"      the highest rate that HOST holds within its objectives
#   scripts/start.sh locust …                            Locust's own command with our locustfile
#   scripts/start.sh compare RUN RUN                     two runs side by side, and what differs significantly
#   scripts/start.sh report RUN                          report.html of a run, made again from its files
#   scripts/start.sh keys DIR                            keys that let only your own workers join a master
#   scripts/start.sh k8s-job [HOST USERS SPAWN_RATE DURATION [LOGLEVEL]]   one run on a Kubernetes cluster
#   scripts/start.sh k8s-secrets                         makes the keys and the login of k8s/ in the cluster
# `scripts/start.sh COMMAND --help` lists the options of each. Paths count from the folder in which it is called.
set -euo pipefail

self=${BASH_SOURCE[0]}
while [[ -L $self ]]; do # a link to this file leads to its neighbours
  link=$(readlink "$self")
  [[ $link == /* ]] || link=$(dirname "$self")/$link
  self=$link
done
# shellcheck source=scripts/environment.sh
source "$(dirname "$self")/environment.sh"

usage() {
  sed -n '2,14s/^# \{0,1\}//p' "$self"
}

command=${1:-}
[[ $# -gt 0 ]] && shift

case $command in
  train | serve)
    use_environment server
    run_module "server.$command" "$@"
    ;;
  demo)
    use_environment run
    run_module swarm_cli.demo "$@"
    ;;
  test)
    use_environment swarm
    run_module swarm_cli.matrix "$@"
    ;;
  locust)
    use_environment swarm
    run_module locust -f "$repository/locust/locustfile.py" "$@"
    ;;
  capacity | compare | report | keys | k8s-job | k8s-secrets)
    use_environment swarm
    run_module "swarm_cli.${command//-/_}" "$@"
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

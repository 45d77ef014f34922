# shellcheck shell=bash
# Sourced by the scripts: makes .venv in the repository and installs the locked dependencies when they changed.
#   use_environment swarm|server|run|dev     (run = swarm and server)
# PYTHON chooses the interpreter (3.11 or newer); SWARM_VENV moves the environment.
# Runs on bash 3.2 (macOS) and newer: an empty array under `set -u` is an error there.
#
# Paths count from where the caller stands. The results of nobody's choosing are the checkout's, from anywhere.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${SWARM_VENV:-$repository/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
if [[ $(pwd -P) != "$repository" ]]; then
  export SWARM_RESULTS=${SWARM_RESULTS:-$repository/experiment-results}
fi

fail() {
  printf '%s\n' "$@" >&2
  exit 2
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  fail "No Python 3.11 or newer was found on the PATH." "Fix: install one, or name it: PYTHON=/path/to/python3.11 $0"
}

# The lock files of a set, in the order in which they are installed.
locks_of() {
  case $1 in
    run) printf '%s\n' swarm server ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# Half-made ones (no pip, or a Python that is gone) are made again; what is not a virtual environment is left alone.
make_environment() {
  local python
  if [[ -x $venv/bin/python ]] && "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    return
  fi
  if [[ -e $venv && ! -e $venv/pyvenv.cfg && -n $(ls -A "$venv" 2>/dev/null) ]]; then
    fail "$venv is not a virtual environment." "Fix: name another folder with SWARM_VENV, or remove this one."
  fi
  if ! mkdir -p "$venv" 2>/dev/null || [[ ! -w $venv ]]; then
    fail "The virtual environment $venv cannot be written." "Fix: name a folder that can: SWARM_VENV=/path/to/venv $0"
  fi
  python=$(find_python)
  printf 'Making the virtual environment %s with %s\n' "$venv" "$python" >&2
  "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment." \
    "Fix: install its venv module (Debian and Ubuntu: the package python3-venv)."
}

use_environment() {
  local lock stamp
  [[ -x $venv/bin/python ]] || make_environment
  for lock in $(locks_of "$1"); do
    stamp=$venv/.installed-$lock
    if [[ $lock != dev ]] && cmp -s "$repository/requirements/dev.txt" "$venv/.installed-dev"; then
      continue # dev holds all of swarm and server, in the same versions
    fi
    if ! cmp -s "$repository/requirements/$lock.txt" "$stamp"; then
      make_environment
      printf 'Installing the dependencies in requirements/%s.txt\n' "$lock" >&2
      "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r "$repository/requirements/$lock.txt" >&2 ||
        fail "The dependencies could not be installed." "Fix: read pip's message above; a mirror is named by PIP_INDEX_URL."
      cp "$repository/requirements/$lock.txt" "$stamp"
    fi
  done
  export PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv"
}

# run_module MODULE ARGUMENT…: one of ours, in the caller's folder. Safe path: a `server` or `numpy` of the caller's own
# that happens to lie there is not imported.
run_module() {
  local module=$1
  shift
  export PYTHONSAFEPATH=1 PYTHONPATH="$repository:$repository/locust${PYTHONPATH:+:$PYTHONPATH}"
  exec "${python:-python}" -m "$module" "$@"
}

#!/usr/bin/env bash
# All tests, on a bare machine: makes .venv, installs, runs pytest (arguments are passed on to it).
set -euo pipefail
cd "$(dirname "$0")"
. scripts/environment.sh
exec python -m pytest -q "$@"

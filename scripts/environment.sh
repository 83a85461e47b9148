# Sourced by speedrun.sh and test.sh: a virtual environment with what the project needs, unless one is active already.
if [ -z "${VIRTUAL_ENV:-}" ]; then
    [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
    . .venv/bin/activate
fi
python -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
python -c 'import torch, numpy, sentencepiece, safetensors, tqdm, pytest' 2>/dev/null \
    || python -m pip install --quiet -c constraints.txt torch numpy sentencepiece safetensors tqdm pytest

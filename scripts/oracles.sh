#!/usr/bin/env bash
# Makes .venv: Debian's Python with its numpy and torch, and the reference packages that Debian lacks, from PyPI.
#
# Prints the Python that the oracle tests are to use as its last line: $TOLA_PYTHON where that is set, .venv's, or
# Debian's own where the packages could not be had (the tests then say what they skip).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${TOLA_PYTHON:-}" ]; then
    echo "$TOLA_PYTHON"
    exit 0
fi
python=/usr/bin/python3
# Versions that Debian 12's numpy 1.24 and torch 1.13 go with.
packages=(safetensors==0.8.0 gguf==0.19.0 onnx==1.23.2 ml_dtypes==0.5.4 jsonschema==4.26.0 rfc3339-validator==0.1.4
    model-signing==1.1.1 pyOpenSSL==26.4.0 huggingface_hub==2.4.0 cyclonedx-python-lib==11.12.0
    spdx-python-model==0.0.6 markdown-it-py)
numpy=$("$python" -c 'import numpy; print("numpy==" + numpy.__version__)' 2>/dev/null || echo numpy)
stamp=.venv/oracles-$(echo "${packages[*]}" | cksum | cut -d' ' -f1)

if [ ! -e "$stamp" ]; then
    if "$python" -m venv --system-site-packages .venv 2>/dev/null &&
        timeout 300 .venv/bin/pip install --quiet --disable-pip-version-check --no-input --retries 1 --timeout 15 \
            "${packages[@]}" "$numpy" >.venv/pip.log 2>&1; then
        touch "$stamp"
    else
        echo "oracles: no packages from PyPI (${packages[*]}); the tests that need them are skipped" >&2
    fi
fi
if [ -x .venv/bin/python3 ]; then echo "$PWD/.venv/bin/python3"; else echo "$python"; fi

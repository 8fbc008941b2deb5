#!/usr/bin/env bash
# Resolve requirements.in in a fresh virtual environment and write the versions it got to requirements.txt.
set -euo pipefail

cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$(./find_python)" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.in
"$scratch/venv/bin/python" -m pip check

{
    cat <<'HEADER'
# The pinned lock of the pip route: every package, transitive ones too. Made by `make lock` from requirements.in
# (install into a fresh environment, freeze); edit that file, not this one.
# There are no hashes because one line stands for many files: wheels differ between platforms, and torch comes in a
# CPU and a CUDA build of the same version. The packages that only the CUDA build needs are therefore left out as well.
HEADER
    "$scratch/venv/bin/python" -m pip freeze --all --exclude pip --exclude setuptools \
        | sed -E 's/\+(cpu|cu[0-9]+)$//' \
        | grep -E '^[A-Za-z0-9._-]+==[^ @]+$' \
        | grep -vE '^(nvidia|cuda|triton)[-_a-z0-9]*=='
} > "$scratch/requirements.txt"
mv "$scratch/requirements.txt" requirements.txt

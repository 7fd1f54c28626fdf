#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what the demo and the tests need on a Debian machine: Debian packages, .venv, ansible.posix.
# Does nothing, at once, where all of it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(ca-certificates chromium faketime fonts-dejavu-core iptables iproute2 make mmdebstrap netavark aardvark-dns
    openssh-client podman procps python3-venv rsync runc shellcheck strace unzip)
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Made again when the requirements or the Python have changed.
stamp="$(cat requirements.txt requirements-dev.txt requirements.yml | sha256sum | cut -c1-16) $("$python" -VV)"
if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
fi

posix=collections/ansible_collections/ansible/posix
if [ "$(cat "$posix/.stamp" 2>/dev/null)" != "$(sha256sum <requirements.yml)" ]; then
    say "installing the collection ansible.posix"
    if ! timeout 60 .venv/bin/ansible-galaxy collection install --upgrade -r requirements.yml -p collections >/dev/null 2>&1; then
        say "Galaxy cannot be reached: taking the copy in PyPI's package ansible"
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        # The newest one, whatever this Python is: the collection itself asks for no more than ansible-core.
        .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" \
            --python-version 3.13 --only-binary :all: ansible
        rm -rf "$posix"
        .venv/bin/python - "$scratch" <<'PYTHON'
import pathlib
import sys
import zipfile

(wheel,) = pathlib.Path(sys.argv[1]).glob("ansible-*.whl")
with zipfile.ZipFile(wheel) as archive:
    wanted = [name for name in archive.namelist() if name.startswith("ansible_collections/ansible/posix/")]
    archive.extractall("collections", wanted)
PYTHON
    fi
    sha256sum <requirements.yml >"$posix/.stamp"
fi
printf '%s\n' "$stamp" >.venv/stamp

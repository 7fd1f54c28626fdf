# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and keep the container images: a Debian host, and the orchestrator on top of it.

An image's tag carries a hash of its recipe, so that a changed recipe builds anew and nothing else does.
No image registry is involved: Debian's packages and PyPI's are all.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from .podman import LabError, as_root, podman, root, run

RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
HOST = "localhost/wildberryeye-lab-host"
ORCHESTRATOR = "localhost/wildberryeye-lab-orchestrator"
VENV = "/opt/wildberryeye"
BUILDER = "wildberryeye-lab-image-builder"  # one at a time, under the lock

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "openssh-server", "sudo"),
    *("python3", "python3-flask", "python3-pil", "python3-psutil", "python3-venv", "rsync", "zip", "unzip"),
    *("iproute2", "procps", "strace", "faketime", "polkitd", "nftables"),
)

# Debian 13 locks polkit up in ways that a container may not, and systemd then refuses to start it.
UNLOCKED = """[Service]
LockPersonality=no
MemoryDenyWriteExecute=no
PrivateDevices=no
PrivateNetwork=no
ProtectClock=no
ProtectHostname=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectKernelTunables=no
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
SystemCallArchitectures=
SystemCallFilter=
"""

# Keys and ids are made when a host boots: two hosts that share them would not be two hosts.
CUSTOMIZE = (
    'mkdir "$1"/etc/systemd/system/polkit.service.d',
    f'printf %s {shlex.quote(UNLOCKED)} > "$1"/etc/systemd/system/polkit.service.d/lab.conf',
    'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
    'echo "LANG=C.UTF-8" > "$1"/etc/default/locale',
    'echo "LANG=C.UTF-8" > "$1"/etc/locale.conf',
)

# Run in the host image with requirements.txt as standard input. PATH stands in /etc/environment for
# commands over ssh (PAM reads it) and in profile.d for login shells (/etc/profile resets PATH). A lingering
# user has a `systemctl --user` without being logged in. polkit is for the cameras: here it would let the user turn
# lingering on himself, and what setup says where he may not is to be seen.
ORCHESTRATOR_RECIPE = f"""
set -eu
python3 -m venv {VENV}
{VENV}/bin/pip install --no-input --no-cache-dir --quiet -r /dev/stdin
useradd --create-home --uid 1000 --shell /bin/bash decim
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/decim
ln -s /dev/null /etc/systemd/system/polkit.service
install -d -o decim -g decim /home/decim/wildberryeye /home/decim/wildberryeye-orchestrator
echo 'PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin' >> /etc/environment
echo 'export PATH={VENV}/bin:/usr/local/bin:/usr/bin:/bin' > /etc/profile.d/wildberryeye.sh
"""


def ensure_host(release: str) -> str:
    """Return the tag of the host image of a Debian release, after building it if it is missing."""
    tag = f"{HOST}:{release}-{_host_hash(release)}"
    if not _exists(tag):
        with _lock():
            if not _exists(tag):
                _build_host(release, tag)
    return tag


def ensure_orchestrator(release: str, requirements: Path) -> str:
    """Return the tag of the orchestrator image: the host image and what `requirements` lists."""
    try:
        text = requirements.read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(f"{requirements}: {error.strerror}; the orchestrator is built from it") from None
    base = ensure_host(release)
    tag = f"{ORCHESTRATOR}:{release}-{_digest(_host_hash(release), ORCHESTRATOR_RECIPE, text)}"
    if not _exists(tag):
        with _lock():
            if not _exists(tag):
                _build_orchestrator(release, base, tag, text)
    return tag


def say(line: str) -> None:
    """Tell a person what takes time."""
    print(line, file=sys.stderr, flush=True)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _host_hash(release: str) -> str:
    if release not in RELEASES:
        raise LabError(f"no Debian release {release!r} here: use one of {', '.join(RELEASES)}")
    return _digest(release, *PACKAGES, *CUSTOMIZE)


def _exists(tag: str) -> bool:
    return podman("image", "exists", tag, check=False).returncode == 0


@contextmanager
def _lock() -> Iterator[None]:
    """Let one process build at a time; the others wait and then find the image."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wildberryeye-lab"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "images.lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_host(release: str, tag: str) -> None:
    say(f"building the {RELEASES[release]} host image (about a minute, once)")
    with tempfile.TemporaryDirectory(prefix="wildberryeye-lab-") as directory:
        tar = f"{directory}/base.tar"
        hooks = [f"--customize-hook={hook}" for hook in CUSTOMIZE]
        include = "--include=" + ",".join(PACKAGES)
        run(as_root(["mmdebstrap", "--variant=minbase", include, *hooks, release, tar]), timeout=1800)
        podman("import", "--quiet", "--change", 'CMD ["/sbin/init"]', tar, tag, timeout=600)
        root("rm", "-f", tar)  # root's file, where we are not root
    _remove_others(HOST, release, tag)


def _build_orchestrator(release: str, base: str, tag: str, requirements: str) -> None:
    say(f"building the {RELEASES[release]} orchestrator image (about a minute, once)")
    podman("rm", "-f", "-i", BUILDER)
    try:
        arguments = ["--name", BUILDER, "--interactive", "--network", "host", *_pip_arguments()]
        command = [base, "/bin/sh", "-c", ORCHESTRATOR_RECIPE]
        podman("run", *arguments, *command, input=requirements, timeout=1800)
        podman("commit", "--quiet", "--change", 'CMD ["/sbin/init"]', BUILDER, tag, timeout=600)
    finally:
        podman("rm", "-f", "-i", BUILDER, check=False)
    _remove_others(ORCHESTRATOR, release, tag)


def _remove_others(repository: str, release: str, tag: str) -> None:
    """Remove this release's images of another recipe; one that a container still uses stays."""
    listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    old = [other for other in listed if other.startswith(f"{repository}:{release}-") and other != tag]
    for other in old:
        podman("rmi", other, check=False)


def _pip_arguments() -> list[str]:
    """Return podman options that give pip in a container this machine's pip configuration.

    The effective settings go in as PIP_ variables, and each file or directory that they name is mounted,
    read-only, under a tmpfs, so that nothing of it remains in the image, not even an empty mount point.
    """
    settings = _pip_settings()
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if os.path.isfile(os.environ.get(name, "")):
            settings[name] = os.environ[name]
    mounts: dict[str, str] = {}
    arguments = []
    for name, value in sorted(settings.items()):
        words = [_mounted(word, mounts) for word in value.split()]
        arguments += ["--env", f"{name}={' '.join(words)}"]
    if mounts:
        arguments += ["--tmpfs", "/mnt"]
    for source, target in sorted(mounts.items()):
        arguments += ["--volume", f"{source}:{target}:ro"]
    return arguments


def _pip_settings() -> dict[str, str]:
    """Return what files and the environment tell pip here, as PIP_ variables; {} where there is no pip."""
    done = run([sys.executable, "-m", "pip", "config", "list"], check=False)
    settings: dict[str, str] = {}
    ranks: Mapping[str, int] = {"global": 0, "install": 1, ":env:": 2}  # the later wins, as in pip itself
    found: list[tuple[int, str, str]] = []
    for line in done.stdout.splitlines() if done.returncode == 0 else []:
        key, equals, value = line.partition("=")
        section, dot, option = key.partition(".")
        if equals and dot and section in ranks:
            found.append((ranks[section], option, str(ast.literal_eval(value))))
    for _, option, value in sorted(found):
        settings["PIP_" + option.upper().replace("-", "_")] = value
    return settings


def _mounted(word: str, mounts: dict[str, str]) -> str:
    """Return a setting's word as it must read in the container; note in `mounts` what it needs there."""
    scheme = "file://" if word.startswith("file://") else ""
    path = unquote(word.removeprefix(scheme)) if scheme else word
    if not path.startswith("/") or not os.path.exists(path):
        return word
    # The pages of an index of files link to what lies beside them, not below.
    source = os.path.dirname(path.rstrip("/")) if scheme and os.path.isdir(path) else path
    mounts[source] = "/mnt" + source
    return scheme + "/mnt" + (word.removeprefix(scheme) if scheme else word)

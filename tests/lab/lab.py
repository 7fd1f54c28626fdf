# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: cameras and perhaps an orchestrator in a network of their own, and nothing left afterwards."""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from . import images
from .host import (
    CHECKOUT,
    DEFAULT_SETTINGS,
    ORCHESTRATOR_USER,
    STATE_DIR,
    STATION,
    Camera,
    CameraSpec,
    Host,
    Orchestrator,
    Place,
    replace,
)
from .podman import LabError, podman, reason, root, run

PREFIX = "wildberryeye-lab-"
LABEL = "wildberryeye.lab"
OWNER = "wildberryeye.lab.owner"
PERSISTENT = "persistent"
MODES = ("object", "motion")
FLEET = 10  # more cameras than this exhaust the kernel's inotify instances, unless they do without:
SPARED = (
    "systemd-ask-password-console.path systemd-ask-password-wall.path systemd-logind.service dbus.service dbus.socket"
)
SEED = "/opt/wildberryeye-lab-seed"
LAB = "/opt/wildberryeye-lab"

# A container's first process: makes the host what it is, once, then becomes systemd. All before the boot, so
# that nothing has to be reloaded or waited for.
BOOT = f"""#!/bin/sh
set -e
if [ ! -e /etc/wildberryeye-lab/ready ]; then
    mkdir -p /etc/wildberryeye-lab
    tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
    install -m 600 -o root -g root {SEED}/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
    install -m 644 -o root -g root {SEED}/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub
    . {SEED}/host
    touch /etc/wildberryeye-lab/ready
fi
exec /sbin/init
"""

# Sourced by BOOT with `user` set.
LOGIN = f"""
id "$user" > /dev/null 2>&1 || useradd --create-home --uid 1000 --shell /bin/bash --groups adm,sudo "$user"
install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
install -m 600 -o "$user" -g "$user" {SEED}/authorized_keys "/home/$user/.ssh/authorized_keys"
"""

# Sourced by BOOT with `unit`, `images` and `masked` set besides. In a container systemd can fail to end the user's
# service manager, 10 s after the last logout, and a login waits 2 minutes for that: it is not ended at all.
CAMERA = f"""{LOGIN}
mkdir -p /etc/systemd/logind.conf.d
printf '%s\\n' '[Login]' UserStopDelaySec=infinity > /etc/systemd/logind.conf.d/lab.conf
echo "$user ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/wildberryeye
chmod 440 /etc/sudoers.d/wildberryeye
su "$user" -c 'mkdir -p "$1"' sh "${{images%/*}}"
cp {SEED}/unit "/etc/wildberryeye-lab/$unit"
cp {SEED}/unit "/etc/systemd/system/$unit"
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s "../$unit" "/etc/systemd/system/multi-user.target.wants/$unit"
for name in $masked; do ln -s /dev/null "/etc/systemd/system/$name"; done
"""

ORCHESTRATOR = f"""{LOGIN}
install -d -o "$user" -g "$user" {STATION} {STATION}/inventory
install -m 600 -o "$user" -g "$user" {SEED}/station/key {STATION}/key
install -m 644 -o "$user" -g "$user" {SEED}/station/known_hosts {STATION}/known_hosts
install -m 644 -o "$user" -g "$user" {SEED}/station/hosts.yml {STATION}/inventory/hosts.yml
"""

SERVICE = """[Unit]
Description=WildBerryEye camera (emulated, {mode})
After=network.target

[Service]
Environment=PYTHONPATH={lab} PYTHONUNBUFFERED=1
ExecStart=/usr/bin/python3 -m emulator {mode} --image-dir {images} --state-dir {state}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


class Lab:
    """Emulated cameras and an orchestrator. `with Lab(...) as lab:` leaves nothing behind but `directory`."""

    def __init__(
        self,
        cameras: Sequence[CameraSpec],
        *,
        orchestrator: str | None = None,
        shared_link: str | None = None,
        directory: Path,
        name: str | None = None,
        checkout: Path | None = None,
        persistent: bool = False,
    ) -> None:
        """`orchestrator` is a Debian release; `shared_link` a rate for all that flows towards it together;
        `persistent` labs outlive this process and are removed by `remove(name)` only."""
        self.name = name or f"{os.getpid()}-{secrets.token_hex(2)}"
        self.specs = list(cameras)
        self.directory = directory.resolve()
        self.checkout = (checkout or Path(__file__).parents[2]).resolve()
        self.key = self.directory / "key"
        self.known_hosts = self.directory / "known_hosts"
        self.cameras: dict[str, Camera] = {}
        self.orchestrator: Orchestrator | None = None
        self._orchestrator_release = orchestrator
        self._shared_link = shared_link
        self._persistent = persistent
        self._pid = os.getpid()
        self._check()

    def _check(self) -> None:
        names = [spec.name for spec in self.specs]
        for name in [self.name, *names]:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", name):
                raise LabError(f"{name!r} cannot be a host's name: use a-z, 0-9 and -")
        if len({*names, "orchestrator"}) != len(names) + 1:
            raise LabError("two hosts of one name: cameras need different names, and not 'orchestrator'")
        for spec in self.specs:
            if spec.mode not in MODES:
                raise LabError(f"camera {spec.name}: no mode {spec.mode!r}; modes are {', '.join(MODES)}")
            if not re.fullmatch(r"[a-z_][a-z0-9_-]*", spec.user):
                raise LabError(f"camera {spec.name}: {spec.user!r} cannot be a user's name")
        if len(names) > 200:
            raise LabError(f"{len(names)} cameras: a lab's network has room for 200")

    # -- life ----------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start everything and wait until it can be used; when that fails, everything is removed again."""
        sweep()
        if self.name in labs():
            raise LabError(f"lab {self.name!r} is already up")
        try:
            atexit.register(self._at_exit)
            self._start()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove everything that bears the lab's name; what is already gone is no error."""
        remove(self.name)
        atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        # A forked child inherits the handler, but not the lab.
        if os.getpid() == self._pid and not self._persistent:
            remove(self.name)

    def __enter__(self) -> Lab:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def hosts(self) -> list[Host]:
        """All hosts of the lab."""
        orchestrator = [self.orchestrator] if self.orchestrator is not None else []
        return [*self.cameras.values(), *orchestrator]

    def _start(self) -> None:
        releases = sorted({spec.release for spec in self.specs})
        tags = {release: images.ensure_host(release) for release in releases}
        orchestrator_tag = ""
        if self._orchestrator_release is not None:
            requirements = self.checkout / "requirements.txt"
            orchestrator_tag = images.ensure_orchestrator(self._orchestrator_release, requirements)
        self._make_hosts()
        self._write_seeds()
        # Creating a container is mostly podman's own work: more at a time than this gains nothing.
        jobs = [self._camera_job(camera, tags[camera.spec.release]) for camera in self.cameras.values()]
        if self.orchestrator is not None:
            jobs.insert(0, self._orchestrator_job(self.orchestrator, orchestrator_tag))
        pool = ThreadPoolExecutor(max_workers=8)
        try:
            for future in [pool.submit(job) for job in jobs]:
                future.result()
        except BaseException:
            for host in self.hosts:
                host.abandoned = True
            remove(self.name)  # ends what runs in the containers, and with it who waits for that
            raise
        finally:
            # Also after a failure: no container may be created after the caller's down() has looked.
            pool.shutdown(wait=True, cancel_futures=True)

    def _labels(self) -> list[str]:
        owner = PERSISTENT if self._persistent else f"{self._pid}:{started(self._pid)}"
        return ["--label", f"{LABEL}={self.name}", "--label", f"{OWNER}={owner}"]

    # -- hosts ---------------------------------------------------------------------------------------

    def _make_hosts(self) -> None:
        """Create the network and give everyone a place in it."""
        network, subnet = self._create_network()

        def place(number: int) -> Place:
            mac = "02:" + ":".join(f"{byte:02x}" for byte in (10, 213, subnet, 0, number))
            return Place(network, f"10.213.{subnet}.{number}", mac, f"10.213.{subnet}.1")

        self.cameras = {}
        for number, spec in enumerate(self.specs, start=11):
            state = self.directory / "cameras" / spec.name / "state"
            container = f"{PREFIX}{self.name}-{spec.name}"
            self.cameras[spec.name] = Camera(spec, container, place(number), state)
        self.orchestrator = None
        if self._orchestrator_release is not None:
            container = f"{PREFIX}{self.name}-orchestrator"
            self.orchestrator = Orchestrator(
                container, place(2), self._station_inventory, shared_link=self._shared_link
            )

    def _create_network(self) -> tuple[str, int]:
        """Create the lab's network; return its name and the third byte of its addresses, 10.213.N.0/24.

        Whether a subnet is free is known when podman has taken it: two labs may look at the same time.
        """
        name = f"{PREFIX}{self.name}-network"
        first = secrets.randbelow(256)
        for subnet in [*range(first, 256), *range(first)]:
            options = ["--subnet", f"10.213.{subnet}.0/24", "--gateway", f"10.213.{subnet}.1"]
            done = podman("network", "create", *options, *self._labels(), name, check=False)
            if done.returncode == 0:
                return name, subnet
            if "already" not in done.stderr or "name" in done.stderr:
                raise LabError(f"podman network create: {done.stderr.strip()}")
        raise LabError("no free network: all of 10.213.0.0/16 is in use (see: podman network ls)")

    def _write_seeds(self) -> None:
        """Write what the hosts are made from: keys, units, inventories."""
        self.directory.mkdir(parents=True, exist_ok=True)
        make_key(self.key, "wildberryeye-lab")
        authorized = self.key.with_suffix(".pub").read_text(encoding="utf-8")
        known = []
        for host in self.hosts:
            seed = self._seed(host)
            shutil.rmtree(seed, ignore_errors=True)
            seed.mkdir(parents=True)
            make_key(seed / "ssh_host_ed25519_key", host.name)
            kind, public = (seed / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()[:2]
            known.append(f"{host.address},{host.name} {kind} {public}\n")
            (seed / "boot").write_text(BOOT, encoding="utf-8")
            (seed / "authorized_keys").write_text(authorized, encoding="utf-8")
        self.known_hosts.write_text("".join(known), encoding="utf-8")
        for camera in self.cameras.values():
            self._write_camera_seed(camera)
        if self.orchestrator is not None:
            self._write_orchestrator_seed(self.orchestrator)

    def _write_camera_seed(self, camera: Camera) -> None:
        spec, seed = camera.spec, self._seed(camera)
        masked = SPARED if len(self.specs) > FLEET else ""
        given = f"user={spec.user} unit={spec.unit} images={spec.image_dir} masked={shlex.quote(masked)}"
        (seed / "host").write_text(given + CAMERA, encoding="utf-8")
        service = SERVICE.format(mode=spec.mode, lab=LAB, images=spec.image_dir, state=STATE_DIR)
        (seed / "unit").write_text(service, encoding="utf-8")
        root("rm", "-rf", str(camera.state_dir))  # an earlier lab's, written by root
        camera.state_dir.mkdir(parents=True)
        replace(camera.state_dir / "settings.json", json.dumps(DEFAULT_SETTINGS))

    def _write_orchestrator_seed(self, orchestrator: Orchestrator) -> None:
        seed = self._seed(orchestrator)
        station = seed / "station"
        station.mkdir()
        shutil.copy(self.key, station / "key")
        shutil.copy(self.known_hosts, station / "known_hosts")
        (station / "hosts.yml").write_text(self._station_inventory(None), encoding="utf-8")
        (seed / "host").write_text(f"user={ORCHESTRATOR_USER}{ORCHESTRATOR}", encoding="utf-8")
        self.home_data.mkdir(exist_ok=True)
        root("chown", "1000:1000", str(self.home_data))

    @property
    def home_data(self) -> Path:
        """What is /home/decim/wildberryeye on the orchestrator."""
        return self.directory / "orchestrator-home-data"

    def _seed(self, host: Host) -> Path:
        if host is self.orchestrator:
            return self.directory / "orchestrator" / "seed"
        return self.directory / "cameras" / host.name / "seed"

    def _camera_job(self, camera: Camera, tag: str) -> Callable[[], None]:
        spec = camera.spec
        # It may set up a packet filter, in a network namespace that is its own.
        options = ["--cap-add=NET_ADMIN"]
        options += [f"--volume={self.checkout}/tests/lab:{LAB}:ro", f"--volume={camera.state_dir}:{STATE_DIR}"]
        if spec.cpus is not None:
            options += [f"--cpus={spec.cpus:g}"]
        if spec.memory is not None:
            options += [f"--memory={spec.memory}", f"--memory-swap={spec.memory}"]

        def job() -> None:
            self._create(camera, tag, options)
            if spec.link is not None:
                camera.shape(spec.link)
            camera.wait_up()
            camera.wait_port()

        return job

    def _orchestrator_job(self, orchestrator: Orchestrator, tag: str) -> Callable[[], None]:
        data = f"/home/{ORCHESTRATOR_USER}/wildberryeye"
        options = [f"--volume={self.checkout}:{CHECKOUT}:ro", f"--volume={self.home_data}:{data}"]

        def job() -> None:
            self._create(orchestrator, tag, options)
            if self._shared_link is not None:
                orchestrator.share(self._shared_link)
            orchestrator.wait_up()

        return job

    def _create(self, host: Host, tag: str, options: Sequence[str]) -> None:
        place = host.place
        done = podman(
            *("run", "--detach", "--systemd=always", "--name", host.container, "--hostname", host.name),
            *("--network", place.network, "--ip", place.address, "--mac-address", place.mac),
            *("--network-alias", host.name, f"--volume={self._seed(host)}:{SEED}:ro"),
            *(*self._labels(), *options, tag, "/bin/sh", f"{SEED}/boot"),
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{host.name}: podman run: {reason(done)}")

    # -- inventory -----------------------------------------------------------------------------------

    def write_inventory(self, directory: Path, *, extra: dict[str, object] | None = None) -> Path:
        """Write hosts.yml and what it names, key and known_hosts, into `directory`, for use on this machine.
        `extra` becomes variables of all cameras."""
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        for source in (self.key, self.known_hosts):
            if directory != self.directory:
                shutil.copy(source, directory / source.name)
        path = directory / "hosts.yml"
        replace(path, inventory(self.cameras.values(), str(directory), extra))
        return path

    def _station_inventory(self, extra: Mapping[str, object] | None) -> str:
        return inventory(self.cameras.values(), STATION, extra)


def inventory(cameras: Iterable[Camera], directory: str, extra: Mapping[str, object] | None) -> str:
    """Return an inventory of cameras whose key and known_hosts are in `directory`."""
    file = f"{directory}/known_hosts"
    file = f'"{file}"' if " " in file else file  # ssh takes a list of files here
    variables: dict[str, object] = {
        "ansible_ssh_private_key_file": f"{directory}/key",
        "ansible_ssh_common_args": f"-o {shlex.quote(f'UserKnownHostsFile={file}')}",
        "ansible_python_interpreter": "/usr/bin/python3",
        **(extra or {}),
    }
    groups: dict[str, object] = {}
    for mode in MODES:
        hosts = {
            camera.name: {"ansible_host": camera.address, "ansible_user": camera.spec.user}
            for camera in cameras
            if camera.spec.mode == mode
        }
        groups[f"{mode}_cameras"] = {"hosts": hosts}
    return "---\n" + yaml({"cameras": {"children": groups, "vars": variables}})


def yaml(mapping: Mapping[str, object], indent: str = "") -> str:
    """Return a mapping as YAML; what is not a mapping itself is written as JSON, which is YAML."""
    lines = []
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{indent}{key}:\n{yaml(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)


def make_key(path: Path, comment: str) -> None:
    """Make a new ed25519 key without a passphrase."""
    path.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


# -- labs by name ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remains:
    """What there is of a lab."""

    owner: str
    containers: list[str]
    networks: list[str]

    @property
    def orphaned(self) -> bool:
        """Whether the process that it belongs to is gone."""
        pid, _, start = self.owner.partition(":")
        return self.owner != PERSISTENT and (not pid.isdigit() or started(int(pid)) != start)


def started(pid: int) -> str:
    """Return when a process started (in the kernel's ticks), "" when there is none: ids are used again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def labs() -> dict[str, Remains]:
    """Return all labs on this machine by name, whosoever they are."""
    found: dict[str, Remains] = {}

    def lab(labels: Mapping[str, str]) -> Remains:
        return found.setdefault(labels[LABEL], Remains(labels.get(OWNER, ""), [], []))

    only = ["--filter", f"label={LABEL}", "--format", "json"]
    for item in json.loads(podman("ps", "--all", *only).stdout or "[]") or []:
        lab(item["Labels"]).containers.append(item["Names"][0])
    for item in json.loads(podman("network", "ls", *only).stdout or "[]") or []:
        lab(item["labels"]).networks.append(item["name"])
    return found


def remove(name: str) -> bool:
    """Remove a lab's containers and network; return whether there were any."""
    remains = labs().get(name)
    if remains is None:
        return False
    if remains.containers:
        # Without -i one that has gone meanwhile would keep the others.
        podman("rm", "-f", "-i", "-t", "0", *remains.containers, timeout=300)
    for network in remains.networks:
        podman("network", "rm", "-f", network, check=False)
    return True


def sweep() -> list[str]:
    """Remove labs whose owner was killed before it could; return their names."""
    dead = [name for name, remains in labs().items() if remains.orphaned]
    for name in dead:
        remove(name)
    return dead

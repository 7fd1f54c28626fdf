# SPDX-License-Identifier: GPL-3.0-or-later
"""A running host: a container with systemd and sshd, what can be asked of it and what can befall it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .images import VENV
from .podman import LabError, as_root, podman, reason, root, run

PORT = 5000
UNIT = "wildberryeye.service"
BOOT_TIMEOUT = 90.0  # s, for forty at a time on two cores
STATE_DIR = "/var/lib/wildberryeye-emulator"
ORCHESTRATOR_USER = "decim"
CHECKOUT = f"/home/{ORCHESTRATOR_USER}/wildberryeye-orchestrator"
STATION = f"/home/{ORCHESTRATOR_USER}/station"

# The emulator's own defaults are a Zero's; tests need not wait that long.
DEFAULT_SETTINGS: Mapping[str, object] = {"port_delay": 0.5, "first_frame_delay": 0.3, "interval": 0.2}


@dataclass(frozen=True)
class CameraSpec:
    """One camera to emulate. `link` is a rate as tc writes it ("40mbit"), `cpus` and `memory` as podman
    does (0.4 and "512m" are about a Zero 2 W)."""

    name: str
    mode: str
    release: str = "bookworm"
    user: str = "eye"
    cpus: float | None = None
    memory: str | None = None
    link: str | None = None
    unit: str = UNIT

    @property
    def image_dir(self) -> str:
        """Where its service stores images."""
        return f"/home/{self.user}/wildberryeye/src/wildberryeyezero/frontend/images"


@dataclass(frozen=True)
class Place:
    """A host's place in the lab's network, for life: a change of MAC costs the others half a minute."""

    network: str
    address: str
    mac: str
    gateway: str


def wait_until(condition: Callable[[], bool], what: str, timeout: float, interval: float = 0.05) -> None:
    """Wait until `condition` holds; raise LabError saying what did not happen within `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


class Host:
    """A container that behaves like a machine of its own."""

    def __init__(self, name: str, container: str, place: Place, *, link: str | None = None) -> None:
        self.name = name
        self.container = container
        self.place = place
        self.address = place.address
        self._link = link  # the rate of a healthy day
        self._rate = link  # the rate now
        self._disks: list[str] = []
        self.abandoned = False  # the lab is going down: whoever waits for this host need not go on

    # -- commands ------------------------------------------------------------------------------------

    def exec(
        self,
        *argv: str,
        user: str = "root",
        input: str | None = None,
        check: bool = True,
        timeout: float = 120,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        privileged: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host and return what it said. Raises LabError when it fails (with `check`)
        or has not ended after `timeout` seconds; then it is killed in the host, too.

        `privileged` allows mount and the like.
        """
        deadline = ["timeout", "--kill-after=5", f"{timeout:g}"]
        command = self._exec_command(
            [*deadline, *argv], user, env, cwd, privileged=privileged, interactive=input is not None
        )
        begin = time.monotonic()
        done = run(command, input=input, check=False, timeout=timeout + 10)
        if done.returncode in (124, 137) and time.monotonic() - begin >= timeout:
            raise LabError(f"{self.name}: {' '.join(argv)[:100]}: no end after {timeout:g} s")
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(' '.join(argv).split())[:100]}: {reason(done)}")
        return done

    def popen(
        self,
        *argv: str,
        user: str = "root",
        env: dict[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command in the host and return podman's process, its output in pipes, for tests that do
        something meanwhile. Killing it leaves the command running: kill that with `exec("pkill", …)`."""
        return subprocess.Popen(
            self._exec_command([*argv], user, env, cwd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )

    def _exec_command(
        self,
        argv: list[str],
        user: str,
        env: Mapping[str, str] | None,
        cwd: str | None,
        *,
        privileged: bool = False,
        interactive: bool = False,
    ) -> list[str]:
        """Return the command line on this machine for one in the host, with a login's environment."""
        if user != "root":
            # What pam_systemd would set; `systemctl --user` does not work without.
            argv = ["sh", "-c", 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec "$@"', "sh", *argv]
        options = ["--user", user]
        for key, value in {**self._environment(user), **(env or {})}.items():
            options += ["--env", f"{key}={value}"]
        if cwd is not None:
            options += ["--workdir", cwd]
        options += ["--privileged"] if privileged else []
        options += ["--interactive"] if interactive else []
        return as_root(["podman", "exec", *options, self.container, *argv])

    def _environment(self, user: str) -> dict[str, str]:
        home = "/root" if user == "root" else f"/home/{user}"
        return {"HOME": home, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}

    # -- power ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Freeze the host: its connections stay open, nothing answers."""
        podman("pause", self.container)

    def unpause(self) -> None:
        """Let a frozen host go on."""
        podman("unpause", self.container)

    def kill(self) -> None:
        """Cut the power."""
        podman("kill", self.container)
        wait_until(lambda: self._state()[0] != "running", f"{self.name}: power cut", 20)
        self._disks.clear()

    def stop(self) -> None:
        """Shut down in order."""
        podman("stop", "-t", "3", self.container)
        self._disks.clear()

    def start(self) -> None:
        """Switch on, and wait until ssh lets users in."""
        podman("start", self.container)
        self._booted()

    def reboot(self) -> None:
        """Shut down and start again, and wait until ssh lets users in."""
        podman("restart", "-t", "3", self.container)
        self._booted()

    def _booted(self) -> None:
        self._disks.clear()
        self._shape()
        self.wait_up()

    def wait_up(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until sshd answers and the boot is over (before that users are not let in)."""
        try:
            wait_until(self._ssh_answers, f"{self.name}: sshd at {self.address}", timeout, 0.1)
            over = "until systemctl is-system-running | grep -qE 'running|degraded'; do sleep 0.2; done"
            self.exec("sh", "-c", over, timeout=timeout)
        except LabError as error:
            raise LabError(f"{error}{self._last_words()}") from None

    def wait_port(self, port: int = PORT, timeout: float = 60) -> None:
        """Wait until a port answers (asking leaves no trace in the emulator's ledger)."""
        wait_until(lambda: self._connects(port), f"{self.name}: port {port} of {self.address}", timeout)

    def _connects(self, port: int, greeting: bytes = b"") -> bool:
        """Return whether a port accepts a connection and greets us so."""
        if self.abandoned:
            raise LabError(f"{self.name}: given up")
        try:
            with socket.create_connection((self.address, port), timeout=1) as connection:
                return connection.recv(len(greeting)) == greeting if greeting else True
        except OSError:
            return False

    def _ssh_answers(self) -> bool:
        return self._connects(22, b"SSH-")

    def _state(self) -> tuple[str, str]:
        """Return the container's state and the process id of its init on this machine."""
        form = "{{.State.Status}} {{.State.Pid}}"
        state, _, pid = podman("inspect", "--format", form, self.container).stdout.strip().partition(" ")
        return state, pid

    def _last_words(self) -> str:
        """Return why a container is not running, for an error message."""
        shown = podman("logs", "--tail", "3", self.container, check=False)
        state = podman("inspect", "--format", "{{.State.Status}}", self.container, check=False).stdout.strip()
        words = " / ".join((shown.stdout + shown.stderr).split("\n")).strip(" /")
        return f" (container is {state}: {words[:300]})" if state != "running" else ""

    # -- network -------------------------------------------------------------------------------------

    def link_down(self) -> None:
        """Take the network interface down."""
        self._network("ip link set eth0 down")

    def link_up(self) -> None:
        """Take the interface up again; the kernel forgot the default route."""
        self._network(self._link_up())

    def _link_up(self) -> str:
        return f"ip link set eth0 up && ip route replace default via {self.place.gateway} dev eth0"

    def blackhole(self, peer_address: str) -> None:
        """Let all that goes to a peer vanish; the peer sees no refusal, only silence."""
        self._network(f"ip route replace blackhole {peer_address}/32")

    def unblackhole(self, peer_address: str) -> None:
        """End a black hole."""
        self._network(f"ip route del blackhole {peer_address}/32")

    def disconnect(self) -> None:
        """Pull the cable: the interface is gone."""
        podman("network", "disconnect", self.place.network, self.container)

    def connect(self) -> None:
        """Plug the cable in again; same address, same MAC."""
        place = self.place
        options = ["--ip", place.address, "--mac-address", place.mac, "--alias", self.name]
        podman("network", "connect", *options, place.network, self.container)
        self._shape()

    def shape(self, rate: str | None) -> None:
        """Limit what the host sends to `rate` ("1mbit"), or, with None, not at all. Lasts over reboots."""
        self._rate = rate
        self._shape()

    def _shape(self) -> None:
        self._network(limit("eth0", self._rate))

    def _network(self, script: str) -> str:
        """Run a script of ip and tc in the host's network, where it is root whatever the host allows."""
        state, pid = self._state()
        if pid == "0":
            raise LabError(f"{self.name}: container is {state}, it has no network")
        return root("nsenter", "-t", pid, "-n", "sh", "-c", script).stdout

    # -- disks ---------------------------------------------------------------------------------------

    def mount_small_disk(self, path: str, size: str = "4m", inodes: int | None = None) -> None:
        """Put a small empty disk over a directory, under a running service; gone after a reboot."""
        options = f"size={size},mode=0755" + (f",nr_inodes={inodes}" if inodes is not None else "")
        script = 'mkdir -p "$2" && mount -t tmpfs -o "$1" tmpfs "$2"'
        self.exec("sh", "-c", script, "sh", options, path, privileged=True)
        self._disks.append(path)

    def unmount(self, path: str) -> None:
        """Take a disk away again, in use or not; what lay below it reappears."""
        self.exec("umount", "-l", path, privileged=True)
        if path in self._disks:
            self._disks.remove(path)


def limit(interface: str, rate: str | None) -> str:
    """Return the tc command that limits what leaves by an interface, or lifts the limit."""
    if rate is None:
        return f"tc qdisc del dev {interface} root 2>/dev/null || true"
    return f"tc qdisc replace dev {interface} root tbf rate {rate} burst 64kb latency 50ms"


# Arguments: unit, image directory, user, disks. Standard input: settings.json. A frozen process does not end
# at a polite stop, so it is killed first; a unit that a test replaced or extended gets its first form back.
RESET = f"""
unit=$1 images=$2 user=$3; shift 3
top=/home/$user/wildberryeye
systemctl kill -s KILL "$unit" 2>/dev/null
systemctl stop "$unit" 2>/dev/null
pkill -KILL -x rsync; pkill -CONT sshd
awk -v top="$top/" 'index($5 "/", top) == 1 {{print $5}}' /proc/self/mountinfo |
    while read -r path; do umount -l "$path"; done
for path do umount -l "$path" 2>/dev/null; done
set -e
rm -rf "$top"
su "$user" -c 'mkdir -p "$1"' sh "${{images%/*}}"
find {STATE_DIR} -mindepth 1 -delete
cat > {STATE_DIR}/settings.json
changed=
for path in /etc/systemd /run/systemd; do
    for path in "$path/system/$unit.d" "$path/system.control/$unit.d"; do
        if [ -e "$path" ]; then rm -rf "$path"; changed=1; fi
    done
done
if ! cmp -s "/etc/wildberryeye-lab/$unit" "/etc/systemd/system/$unit"; then
    rm -f "/etc/systemd/system/$unit"
    cp "/etc/wildberryeye-lab/$unit" "/etc/systemd/system/$unit"
    changed=1
fi
if [ -n "$changed" ]; then systemctl daemon-reload; fi
if [ ! -e "/etc/systemd/system/multi-user.target.wants/$unit" ]; then systemctl enable -q "$unit"; fi
systemctl reset-failed "$unit" 2>/dev/null || true
systemctl start ssh "$unit"
"""


class Camera(Host):
    """An emulated camera. Its state directory is this machine's `state_dir`."""

    def __init__(self, spec: CameraSpec, container: str, place: Place, state_dir: Path) -> None:
        super().__init__(spec.name, container, place, link=spec.link)
        self.spec = spec
        self.image_dir = spec.image_dir
        self.state_dir = state_dir

    def settings(self, **settings: object) -> None:
        """Change some of settings.json; the service reads it when it starts."""
        path = self.state_dir / "settings.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        replace(path, json.dumps({**known, **settings}))

    def faults(self, **faults: object) -> None:
        """Replace faults.json; without arguments the camera is healthy."""
        replace(self.state_dir / "faults.json", json.dumps(faults))

    def restart_service(self) -> None:
        """Restart the service; `wait_port()` waits until it answers."""
        self.exec("sh", "-c", 'systemctl reset-failed "$1"; systemctl restart "$1"', "sh", self.spec.unit)

    def stop_service(self) -> None:
        """Stop the service; it stays down until it is started or the camera boots."""
        self.exec("systemctl", "stop", self.spec.unit)

    def written(self) -> list[dict[str, object]]:
        """Return the emulator's ledger of pictures: what it wrote, lost and deleted, oldest first."""
        return records(self.state_dir / "written.jsonl")

    def detecting(self) -> list[dict[str, object]]:
        """Return when the camera began and ceased to detect, oldest first."""
        return records(self.state_dir / "detecting.jsonl")

    def detecting_now(self) -> bool:
        """Return what the ledger last said. After a kill of the service or the power that is stale until
        the service is back: then look for a newer record in `detecting()`."""
        known = self.detecting()
        return bool(known and known[-1].get("detecting"))

    def listing(self) -> list[str]:
        """Return every path below the image directory, relative, sorted, directories with a final "/"."""
        find = "find . -ignore_readdir_race -mindepth 1 '(' -type d -printf '%P/\\0' ')' -o -printf '%P\\0'"
        done = self.exec("sh", "-c", f'cd "$1" && {find}', "sh", self.image_dir, check=False)
        if done.returncode != 0 and self.exec("test", "-e", self.image_dir, check=False).returncode == 0:
            raise LabError(f"{self.name}: listing {self.image_dir}: {reason(done)}")
        return sorted(path for path in done.stdout.split("\0") if path)

    def reset(self) -> None:
        """Make it a fresh camera again, whatever was done to it, without a reboot where possible."""
        state, _ = self._state()
        if state == "paused":
            self.unpause()
        elif state != "running":
            self.start()
        self._rate = self._link
        if self._network("ip -o link show dev eth0 2>/dev/null || true") == "":
            self.connect()
        self._network(f"{self._link_up()}; ip route flush type blackhole; {limit('eth0', self._rate)}")
        arguments = [self.spec.unit, self.image_dir, self.spec.user, *self._disks]
        settings = json.dumps(DEFAULT_SETTINGS)
        self.exec("sh", "-c", RESET, "sh", *arguments, input=settings, privileged=True)
        self._disks.clear()
        self.wait_port()


class Orchestrator(Host):
    """The orchestrator: user `decim`, the checkout, ansible, and ssh to every camera."""

    def __init__(
        self,
        container: str,
        place: Place,
        render: Callable[[Mapping[str, object] | None], str],
        *,
        shared_link: str | None = None,
    ) -> None:
        super().__init__("orchestrator", container, place)
        self._render = render
        self._shared_link = shared_link

    def ansible(
        self,
        *argv: str,
        env: dict[str, str] | None = None,
        timeout: float = 600,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook, ansible, … as decim in the checkout. How it ended is for the caller to judge,
        unless `check`."""
        return self.exec(*argv, user=ORCHESTRATOR_USER, cwd=CHECKOUT, env=env, timeout=timeout, check=check)

    def write_inventory(self, extra: Mapping[str, object] | None = None) -> str:
        """Write the inventory anew, with `extra` as variables of all cameras; return its path inside."""
        path = f"{STATION}/inventory/hosts.yml"
        script = 'mkdir -p "${1%/*}" && cat > "$1.new" && mv "$1.new" "$1"'
        self.exec("sh", "-c", script, "sh", path, user=ORCHESTRATOR_USER, input=self._render(extra))
        return path

    def share(self, rate: str | None) -> None:
        """Limit all that flows towards the orchestrator together, like one Wi-Fi channel; None lifts it."""
        self._shared_link = rate
        self._shape()

    def _environment(self, user: str) -> dict[str, str]:
        path = f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin"
        return {**super()._environment(user), **({"PATH": path} if user == ORCHESTRATOR_USER else {})}

    def _shape(self) -> None:
        super()._shape()
        # The peer of eth0 on this machine: what leaves by it is what the orchestrator receives.
        index = json.loads(self._network("ip -j link show dev eth0"))[0]["link_index"]
        peers = json.loads(root("ip", "-j", "link", "show").stdout)
        peer = next(str(link["ifname"]) for link in peers if link["ifindex"] == index)
        root("sh", "-c", limit(peer, self._shared_link))


def replace(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def records(path: Path) -> list[dict[str, object]]:
    """Return the JSON lines of a file, less a last one that is still being written; [] without the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]

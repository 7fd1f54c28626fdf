#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_key
short_description: Pin the SSH host key of a WildBerryEye camera
version_added: 0.1.0
description:
  - Asks a camera that ssh does not know yet for its host key, writes it to the known_hosts file, and shows its
    fingerprint, to be compared with what the camera itself says.
  - A camera whose key is not the one that is known is refused, and nothing is written.
  - Run it on the orchestrator. It asks ssh itself for host name, port, C(HostKeyAlias) and the file, so that what
    is pinned is what ssh looks for.
  - One key is pinned, the one that is shown, ED25519 where the camera has it.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
options:
  host:
    description: Address or name of the camera, as ssh is given it.
    type: str
    required: true
  port:
    description: TCP port of its SSH server. What ssh's configuration says, otherwise.
    type: int
  user:
    description: Who logs in. What ssh's configuration says, otherwise.
    type: str
    default: ""
  ssh_arguments:
    description: More arguments that ssh is given, quoted as in a shell.
    type: str
    default: ""
  state:
    description:
      - V(present) pins the key of a camera that is not known.
      - V(absent) removes what this module has pinned, and nothing else. The camera is not asked.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Asks the camera, writes nothing.
  diff_mode:
    description: Shows the lines of the known_hosts file.
    support: full
"""

EXAMPLES = r"""
- name: Pin the camera's host key
  wildberryeye.orchestrator.host_key:
    host: 192.168.4.11
    user: eye
  delegate_to: localhost
"""

RETURN = r"""
fingerprint:
  description: Of the key that is pinned, as C(ssh-keygen -l) shows it.
  type: str
  returned: when O(state=present) and the camera could be asked
  sample: SHA256:uJPg6ZQ4XSH3wt2uBCg4H0JzRhBLSzu0c8PnyRaFtpE
path:
  description: The known_hosts file.
  type: str
  returned: success
  sample: /home/decim/.ssh/known_hosts
reached:
  description: Whether an SSH server answered.
  type: bool
  returned: on failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import errors, known_hosts
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.known_hosts import Target

ARGUMENTS: dict[str, dict[str, Any]] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "user": {"type": "str", "default": ""},
    "ssh_arguments": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def present(target: Target, run: known_hosts.Run, check: bool) -> dict[str, Any]:
    """Pin the key of a camera that is not known, and refuse one that changed."""
    lines = target.known(run)
    known = [line.key for line in lines if line.key]
    if target.proxied:
        if not known:
            raise errors.Error(
                "pin its host key",
                "ssh reaches it through another machine (ProxyJump or ProxyCommand)",
                f"Log in once by hand: ssh {target.host}",
            )
        return {"changed": False, **_shown(known[0]), "msg": f"known: {known[0]}"}
    came = target.scan(run)
    if not known:
        if not check:
            target.pin(came[0])
        there = f"/etc/ssh/ssh_host_{came[0].algorithm.lower()}_key.pub"
        return {
            "changed": True,
            **_shown(came[0]),
            "msg": f"{'would be ' * check}pinned {came[0]}: compare it with 'ssh-keygen -lf {there}' on the camera",
            "diff": _diff(target, "", target.line(came[0])),
        }
    other = known_hosts.changed(known, came)
    if other:
        was, now = other
        path = next(line.path for line in lines if line.key == was)
        raise errors.Error(
            f"its host key has changed at {target.name}",
            f"known is {was}, what came is {now}",
            f"Only if it was reinstalled, run ssh-keygen -R '{target.name}' -f '{path}', then setup.yml;"
            " if not, somebody else answers there",
        )
    same = next(key for key in came if key in known)
    return {"changed": False, **_shown(same), "msg": f"known: {same}"}


def absent(target: Target, run: known_hosts.Run, check: bool) -> dict[str, Any]:
    """Remove what `present` wrote."""
    ours = [line for line in target.known(run) if line.ours and line.path == target.path]
    if not ours:
        return {"changed": False, "msg": "no host key of ours"}
    if not check:
        target.unpin(run)
    said = ", ".join(str(line.key) for line in ours)
    return {
        "changed": True,
        "msg": f"{said} {'would be ' * check}removed",
        "diff": _diff(target, "".join(f"{line.text}\n" for line in ours), ""),
    }


def _shown(key: known_hosts.Key) -> dict[str, str]:
    return {"fingerprint": key.fingerprint}


def _diff(target: Target, before: str, after: str) -> dict[str, str]:
    return {"before_header": target.path, "after_header": target.path, "before": before, "after": after}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for."""

    def run(command: list[str]) -> tuple[int, str, str]:
        status, out, err = module.run_command(command, environ_update={"LC_ALL": "C"})
        return status, out, err

    given = module.params
    target = known_hosts.target(run, given["host"], given["port"], given["user"], given["ssh_arguments"])
    step = present if given["state"] == "present" else absent
    return {"path": target.path, **step(target, run, module.check_mode)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = work(module)
    except errors.Error as error:
        module.fail_json(msg=str(error), reached=not isinstance(error, known_hosts.Unreachable))
    except OSError as error:
        module.fail_json(msg=str(errors.from_os_error("keep the host key", error)), reached=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

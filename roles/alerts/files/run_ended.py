# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves a notice of how a timer's run ended: systemd runs it after the playbook, whatever became of that.

The playbook itself tells what was wrong with which camera. This one tells of a run that did not come so far.
"""

from __future__ import annotations

import os
import sys

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import alert, notices


def main() -> int:
    """Leave it; the arguments are the directory where alerts are kept, the playbook, and the unit."""
    state, playbook, unit = sys.argv[1:]
    # systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager".
    result, code, status = (os.environ.get(name, "") for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"))
    well = result == "success"
    if well and code != "exited":
        # Ended by a start or a stop that was in a hurry.
        return 0
    how = f"{code} {status}".strip() if code else result
    text = "has run" if well else f"failed before its end ({how}). See 'journalctl --user -u {unit}'"
    try:
        notices.put(state, alert.run_topic(playbook), not well, text, os.environ.get("INVOCATION_ID", ""))
    except OSError as error:
        print(f"no notice can be left for the alerts: {error.strerror}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

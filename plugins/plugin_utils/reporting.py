# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the reports of experiments, each into its own directory."""

from __future__ import annotations

import os
from typing import NamedTuple

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import durable, report_data, report_file
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error, from_os_error, one_line
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import report_page


class Written(NamedTuple):
    """What became of one report."""

    path: str
    problem: str = ""
    """Why it was not written, in a line; empty if it was."""
    note: str = ""
    """What it does without, in a line."""
    changed: bool = False
    """Whether it says something else than the one before, or would."""


def write(layout: Layout, experiment: str, settings: report_data.Settings, check: bool) -> Written:
    """Write the report of `experiment`, in place of the one before.

    Nothing hangs on a report: whatever goes wrong is a line, and the one before stays as it was.

    Args:
        layout: the data directory.
        experiment: which one.
        settings: what a user set.
        check: whether to write nothing, and only see whether it could be made.
    """
    path = os.path.join(layout.experiment(experiment), report_file.NAME)
    tried = f"write the report of {experiment}"
    try:
        found = report_data.gather(layout, experiment, settings)
        text, notes = report_page.render(found)
        content = text.encode(errors="replace")
        changed = durable.content(path) != content
        if changed and not check:
            with durable.replacing(path) as file:
                file.write(content)
        return Written(path, note="; ".join(notes), changed=changed)
    except Error as error:
        return Written(path, str(error))
    except OSError as error:
        return Written(path, str(from_os_error(tried, error)))
    except Exception as error:
        # Archives and events hold what a camera sent; no form of it may cost a person the end of a stop.
        return Written(path, str(Error(tried, one_line(f"{type(error).__name__}: {error}", 200), "Nothing is lost")))

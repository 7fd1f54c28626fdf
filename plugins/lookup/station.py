# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lookup of what is known on the orchestrator."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import errors, heartbeat_file, overview, record
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """The lookup."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        try:
            return [_station(Layout(str(term))) for term in terms]
        except OSError as error:
            raise AnsibleLookupError(str(errors.from_os_error("read the records", error))) from None


def _station(layout: Layout) -> dict[str, Any]:
    records, unreadable = record.load_all(layout)
    return {
        "experiments": overview.open_experiments(records),
        "heartbeat": heartbeat_file.read(layout).beat,
        "problems": unreadable,
    }

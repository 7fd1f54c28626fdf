# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the arguments that several modules take mean. module_utils/arguments.py has them, under the same names."""

from __future__ import annotations


class ModuleDocFragment:
    DATA_DIR = r"""
options:
  data_dir:
    description: The orchestrator's data directory.
    type: path
    required: true
"""

    CARD = r"""
options:
  image_dir:
    description: The directory on the camera that its service writes into.
    type: path
    required: true
"""

    LOOSE = r"""
options:
  fallback:
    description: The experiment that loose images belong to where the card bears no label.
    type: str
    default: unclaimed
"""

    UNIT = r"""
options:
  service:
    description: The camera's systemd unit.
    type: str
    default: wildberryeye.service
"""

    MODE = r"""
options:
  mode:
    description: What the camera detects with. It is compared with the unit's command line.
    type: str
    choices: [object, motion]
    required: true
"""

    API = r"""
options:
  host:
    description: Address or name of the camera's API, as the orchestrator sees it.
    type: str
    required: true
  port:
    description: TCP port of the camera's API.
    type: int
    default: 5000
"""

    COLLECTION = r"""
options:
  purpose:
    description: What the lock says that this is done for. A V(start) or V(stop) ends a collection in its way.
    type: str
    choices: [start, stop, collect]
    required: true
  set_aside:
    description:
      - V(none) leaves what lies loose.
      - V(stable) sets aside what the camera has finished writing, never the newest image.
    type: str
    choices: [none, stable]
    default: none
  method:
    description:
      - V(zip) zips each batch on the card. A card without room for it takes V(files) by itself.
      - V(files) leaves the images as they are, to be fetched one by one.
    type: str
    choices: [zip, files]
    default: zip
"""

    PATIENCE = r"""
options:
  timeout:
    description: Seconds after which the work on the camera, or a transfer from it, is given up.
    type: int
    default: 10800
"""

    VISITS = r"""
options:
  visit_gap:
    description: Seconds without an image that end a visit.
    type: float
    default: 30
  visit_minimum:
    description: Images that a visit has at least.
    type: int
    default: 2
  heartbeat_interval:
    description:
      - Seconds between two looks of the heartbeat at a camera. Two images that are not farther apart prove that it
        recorded between them.
    type: float
    default: 60
"""

#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: camtrap_dp
short_description: Write an experiment's Camtrap DP data package
version_added: 0.1.0
description:
  - Runs on the orchestrator. Writes C(datapackage.json), C(deployments.csv), C(media.csv) and C(observations.csv) into
    the experiment's directory, as the camera trap data standard Camtrap DP 1.0.2 wants them
    (U(https://camtrap-dp.tdwg.org)).
  - It reads the record, the events, and the lists in the archives; no image is read, and none is touched.
  - What has not changed is not written again.
  - An action plugin does the same in the controller's own process.
author:
  - WildBerryEye contributors (@wildberryeye)
extends_documentation_fragment:
  - wildberryeye.orchestrator.attributes
  - wildberryeye.orchestrator.arguments.data_dir
  - wildberryeye.orchestrator.arguments.visits
options:
  experiments:
    description:
      - The experiments that this run is about. What O(cameras) says of the cameras' places is true for them.
      - One that is being recorded and of which no image is home yet gets no package, nor does one without a record.
    type: list
    elements: str
    default: []
  late:
    description:
      - Experiments of the past that more images have come home from. A package that is there is written again, with
        the cameras' places as it has them; one that is not is not made.
    type: list
    elements: str
    default: []
  cameras:
    description:
      - What is known of each camera's place, camera to a dictionary with C(latitude) and C(longitude) (degrees, WGS84)
        and, where known, C(coordinate_uncertainty), C(camera_height), C(detection_distance) (metres), C(camera_tilt),
        C(camera_heading) (degrees), C(location_id), C(location_name), C(camera_model), C(setup_by), C(habitat),
        C(deployment_groups).
    type: dict
    required: true
  project:
    description:
      - Whose project it is; C(title), C(description), C(sampling_design), C(contributors), C(data_license),
        C(media_license), as the variables C(wildberryeye_project_title) and so on say it.
    type: dict
    required: true
attributes:
  check_mode:
    description: Says what would be written.
"""

EXAMPLES = r"""
- name: Write the data package of an experiment
  wildberryeye.orchestrator.camtrap_dp:
    data_dir: ~/wildberryeye/analysis/data
    experiments: ["2026-05-22"]
    cameras:
      object:
        latitude: 52.52
        longitude: 13.405
        camera_height: 0.4
    project:
      title: Who visits the poppies
      sampling_design: targeted
      contributors:
        - title: A. Researcher
          role: contact
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
packages:
  description: The packages that are there now, or would be.
  type: list
  elements: dict
  returned: success
  contains:
    experiment:
      description: The experiment.
      type: str
    path:
      description: Path of the package's description.
      type: str
    deployments:
      description: Number of its deployments, which are cameras.
      type: int
    media:
      description: Number of its images.
      type: int
    observations:
      description: Number of its observations.
      type: int
    changed:
      description: Whether it was written, or would be.
      type: bool
complaints:
  description: A line for each archive that could not be read, so that its images are missing from a package; and for
    each of O(late) that has none.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import (
    arguments,
    camtrap_package,
    errors,
    figures,
    record,
)
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.layout import Layout
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.module import finish

ARGUMENTS: dict[str, dict[str, Any]] = {
    **arguments.DATA_DIR,
    **arguments.VISITS,
    "experiments": {"type": "list", "elements": "str", "default": []},
    "late": {"type": "list", "elements": "str", "default": []},
    "cameras": {"type": "dict", "required": True},
    "project": {"type": "dict", "required": True},
}

TRIED = "write the data package"


def work(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Write the packages that are wanted."""
    layout = Layout(params["data_dir"])
    wanted = camtrap_package.Wanted(
        params["cameras"],
        params["project"],
        params["heartbeat_interval"],
        params["visit_gap"],
        params["visit_minimum"],
    )
    found, wrong = [], []
    for name in dict.fromkeys([*params["experiments"], *params["late"]]):
        # What is wrong with one package holds up no other.
        try:
            found += _write(layout, name, wanted, moved=name not in params["experiments"], check=check)
        except errors.Error as error:
            wrong.append(str(error))
        except OSError as error:
            wrong.append(str(errors.from_os_error(TRIED, error)))
    if wrong:
        raise errors.Error(TRIED, "; ".join(wrong))
    complaints = [line for package in found for line in package.pop("complaints")]
    complaints += [
        f"no data package of {name}: cameras may stand elsewhere by now. If they do not, run camtrap_dp.yml with "
        f"-e wildberryeye_experiment={name}"
        for name in params["late"]
        if name not in params["experiments"] and _has_none(layout, name)
    ]
    said = [
        f"data package of {each['experiment']} with {figures.images(each['media'])} {_became(each['changed'], check)}"
        for each in found
    ]
    return {
        "changed": any(each["changed"] for each in found),
        "packages": found,
        "complaints": complaints,
        "msg": "; ".join(
            [*said, *complaints] or ["no data package to write: no experiment is meant, or nothing of it is home yet"]
        ),
    }


def _write(
    layout: Layout, experiment: str, wanted: camtrap_package.Wanted, moved: bool, check: bool
) -> list[dict[str, Any]]:
    if record.load(layout, experiment) is None or (moved and _has_none(layout, experiment)):
        return []
    package = camtrap_package.write(layout, experiment, wanted, moved, check)
    return [{"experiment": experiment, **package._asdict()}] if package.path else []


def _has_none(layout: Layout, experiment: str) -> bool:
    """Tell whether an experiment, which has a record, has no package."""
    return record.load(layout, experiment) is not None and not camtrap_package.there(layout, experiment)


def _became(changed: bool, check: bool) -> str:
    if not changed:
        return "unchanged"
    return "would be written" if check else "written"


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, TRIED, lambda: work(module.params, module.check_mode))


if __name__ == "__main__":
    main()

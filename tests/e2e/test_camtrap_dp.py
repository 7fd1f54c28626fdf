# SPDX-License-Identifier: GPL-3.0-or-later
"""The data package that a day ends with, from cameras that really took the images."""

from __future__ import annotations

import csv
import re

import pytest

from e2e.station import Station, today
from unit import camtrap_standard

pytestmark = pytest.mark.ci

PLACED = {"wildberryeye_camtrap_dp": True, "wildberryeye_latitude": 52.52, "wildberryeye_longitude": 13.405}


def test_a_day_ends_with_a_data_package_of_all_that_the_cameras_wrote(station: Station) -> None:
    station.variables(**PLACED)
    station.play("start")
    station.wait_for_images()
    assert "data package" in station.play("collect").text
    station.wait_for_images()
    assert "data package" in station.play("stop").text
    station.assert_all_home()
    directory = station.data / today()
    assert camtrap_standard.complaints(directory, camtrap_standard.ours) == []
    with (directory / "media.csv").open(encoding="utf-8", newline="") as file:
        media = list(csv.DictReader(file))
    said = {
        (row["deploymentID"], row["fileName"], *re.findall("sha256 ([0-9a-f]{64})", row["mediaComments"]))
        for row in media
    }
    truth = {
        (f"{today()}:{name}", image, sha256)
        for name, camera in station.cameras.items()
        for image, sha256 in station.truth(camera).items()
    }
    assert said == truth and len(media) == len(truth)
    with (directory / "deployments.csv").open(encoding="utf-8", newline="") as file:
        assert {row["timestampIssues"] for row in csv.DictReader(file)} == {"false"}
    before = station.footprint()
    assert "unchanged" in station.play("stop", "-e", f"wildberryeye_experiment={today()}").text
    assert station.footprint() == before


def test_without_a_position_all_images_come_home_and_the_end_says_what_to_set(station: Station) -> None:
    station.play("start")
    station.wait_for_images()
    run = station.play("stop", "-e", "wildberryeye_camtrap_dp=true", status=2)
    station.assert_all_home()
    assert "data package: write the data package: describe where motion stands: wildberryeye_latitude" in run.text
    assert run.row("object").split()[1] == "home"

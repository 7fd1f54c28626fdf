# SPDX-License-Identifier: GPL-3.0-or-later
"""A name that matched is safe as one component of a path; every image of a camera has a name that matches."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import names
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from lab.emulator import camera as emulated
from lab.emulator.faults import Faults, Switchboard
from lab.emulator.ledger import Ledger
from lab.emulator.settings import Settings
from unit.support import BATCH, image

GOOD = image(1)
HOSTILE = [
    "",
    ".",
    "..",
    ".jpg",
    f"-{GOOD}",
    f" {GOOD}",
    f"{GOOD} ",
    f"{GOOD}\n",
    f"\n{GOOD}",
    f"../{GOOD}",
    f"/{GOOD}",
    f"x/{GOOD}",
    f".{GOOD}",
    f"{GOOD}\0",
    GOOD.replace("wildberry01", "$(reboot)"),
    GOOD.replace("wildberry01", "`reboot`"),
    GOOD.replace("wildberry01", "wild;berry"),
    GOOD.replace("wildberry01", "wild'berry"),
    GOOD.replace("wildberry01", 'wild"berry'),
    GOOD.replace("wildberry01", "wild berry"),
    GOOD.replace("wildberry01", "wild\nberry"),
    GOOD.replace("wildberry01", "../../etc/passwd"),
    GOOD.replace("wildberry01", "-rf"),
    GOOD.replace("wildberry01", ".hidden"),
    GOOD.replace("wildberry01", "w\udcff"),
    GOOD.replace("wildberry01", "wíld"),
    GOOD.replace("2026", "\uff12\uff10\uff12\uff16"),
    GOOD.replace("2026", "\u0662\u0660\u0662\u0666"),
    GOOD.replace("wildberry01", "w" * 230),
    GOOD.replace(".jpg", ".JPG"),
    GOOD.replace(".jpg", ".jpg.tmp"),
    GOOD.replace(".jpg", ".png"),
    GOOD.replace("object", "video"),
    "object_20260522-093015-123456_.jpg",
    "object_20260522-093015_wildberry01_root.jpg",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_what_no_camera_names_an_image_is_never_taken_for_one(name: str) -> None:
    assert not names.is_image(name)
    assert names.image_name(name) is None


def test_the_names_of_the_cameras_documentation_are_images_and_say_when_and_what() -> None:
    found = names.image_name("motion_20260522-093016-223344_wildberry02_root_THRESH25_AREA500.jpg")
    assert found == names.ImageName("motion", dt.datetime(2026, 5, 22, 9, 30, 16, 223344))
    found = names.image_name("manual_20260522-093017-323344_wildberry02_root.jpg")
    assert found == names.ImageName("manual", dt.datetime(2026, 5, 22, 9, 30, 17, 323344))


def test_an_image_with_an_impossible_time_is_still_an_image() -> None:
    found = names.image_name("object_20261399-010060-000000_wildberry01_root.jpg")
    assert found == names.ImageName("object", None)


@given(
    kind=st.sampled_from(sorted(emulated.SUFFIX)),
    hostname=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[a-z]{1,20})?", fullmatch=True),
    clock=st.floats(min_value=0, max_value=4e9),
)
@settings(max_examples=200, deadline=None)
def test_no_image_that_a_camera_makes_is_left_behind_for_its_name(kind: str, hostname: str, clock: float) -> None:
    state = Path("/nonexistent")

    class AtThatTime(Switchboard):
        def now(self) -> Faults:
            return Faults(clock_offset=clock - time.time())

    ledger = Ledger.__new__(Ledger)
    camera = emulated.Camera("object", state, Settings(hostname=hostname), AtThatTime(state), ledger)
    name = camera._name(kind)
    found = names.image_name(name)
    assert found is not None and found.kind == kind and found.taken is not None, name


_ALMOST = st.one_of(
    st.text(max_size=80),
    st.from_regex(names._IMAGE, fullmatch=True),
    st.tuples(st.sampled_from(HOSTILE), st.text(max_size=4), st.integers(0, 90)).map(
        lambda given: given[0][: given[2]] + given[1] + given[0][given[2] :]
    ),
    st.tuples(st.text(max_size=3), st.text(max_size=8), st.text(max_size=3)).map(
        lambda given: f"{given[0]}object_20260522-093015-000001_{given[1]}.jpg{given[2]}"
    ),
)


@given(_ALMOST)
@settings(max_examples=600, deadline=None)
def test_whatever_matches_is_one_harmless_component_of_a_path(name: str) -> None:
    for matches in (names.is_image, names.is_batch, names.is_experiment):
        if matches(name):
            assert name.isascii() and name.isprintable() and 0 < len(name) <= 255
            assert not set(name) & set("/\\ \"'`$;&|<>*?()[]{}!#~\n\0")
            assert name[0] not in ".-" and name not in ("", ".", "..")
            assert os.path.basename(os.path.normpath(os.path.join("/x", name))) == name


@given(st.from_regex(names._IMAGE, fullmatch=True))
@settings(max_examples=200, deadline=None)
def test_an_images_name_has_room_on_every_file_system(name: str) -> None:
    assert names.is_image(name) and len(name) <= 255 and "/" not in name


def test_batches_are_known_by_their_names() -> None:
    assert names.is_batch(BATCH)
    for name in ("", f"{BATCH}\n", f"{BATCH}/", BATCH.upper(), f"{BATCH}.zip", f"x{BATCH}", BATCH[:-1], "../" + BATCH):
        assert not names.is_batch(name), name


@pytest.mark.parametrize("name", ["2026-05-22", "2026-05-22_2", "a", "Meadow.3", "x" * 63])
def test_people_may_choose_their_experiments_names(name: str) -> None:
    assert names.experiment_id(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a..b", ".x", "-x", "a b", "a\n", "x" * 64, "x.zip", "ä", "unclaimed", "$(id)"],
    ids=ascii,
)
def test_an_experiment_that_is_no_directory_of_its_own_is_refused_with_advice(name: str) -> None:
    with pytest.raises(
        Error, match=r"^use .* as an experiment's id: not a name for a directory\. Use letters"
    ) as caught:
        names.experiment_id(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["recording", "recording.tmp"])
def test_an_experiment_cannot_take_the_place_of_the_label_on_the_card(name: str) -> None:
    assert not names.is_experiment(name)
    with pytest.raises(Error):
        names.experiment_id(name)


def test_unclaimed_is_a_directory_of_experiments_though_nobody_may_choose_it() -> None:
    assert names.is_experiment(names.UNCLAIMED)


@pytest.mark.parametrize("name", ["object", "motion", "cam-01.local", "A_1"])
def test_cameras_keep_the_names_of_the_inventory(name: str) -> None:
    assert names.camera_name(name) == name


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "-x", ".x", "a..b", "x" * 64, "unclaimed", "a\n"], ids=ascii)
def test_a_camera_that_cannot_be_a_directory_is_refused_with_advice(name: str) -> None:
    with pytest.raises(Error, match="Rename it in the inventory") as caught:
        names.camera_name(name)
    assert "\n" not in str(caught.value)

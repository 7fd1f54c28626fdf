# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all is well with an experiment, in a sentence. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from . import figures, record
from .clock import SET_FROM, said
from .coverage import NOT_RECORDED, RECORDED, UNKNOWN
from .report_data import Camera, Experiment

WELL, LOOK, BAD = "well", "look", "bad"
"""All is well; somebody should look at it; something was lost or is missing."""
_ORDER = (WELL, LOOK, BAD)

_MISSED_LOOK, _MISSED_BAD = 0.01, 0.1
"""Share of the time that a camera may have missed before somebody should look, and before it is bad."""
_NAMED = 3
"""Cameras that a sentence names."""
_STARTING = 600.0
"""Seconds that a camera may take to begin with: the first start of the AI sensor takes minutes."""


class Verdict(NamedTuple):
    """How well it is."""

    level: str
    """``well``, ``look`` or ``bad``."""
    words: str
    """A sentence without its full stop, or a few words; empty where all is well with a camera."""


def of_camera(camera: Camera) -> Verdict:
    """Return how well it went with one camera."""
    found: list[tuple[str, str]] = []
    if camera.entry.since is None and camera.entry.state != record.EXPECTED:
        found.append((BAD, "it never recorded"))
    elif camera.entry.since is None:
        found.append((BAD, "it does not record yet"))
    else:
        found += _missed(camera)
    if camera.complaints:
        found.append((BAD, camera.complaints[0]))
    if camera.entry.state == record.GIVEN_UP:
        found.append((BAD, "it was given up: what was left on its card is not here"))
    elif camera.entry.state == record.CLOSING:
        found.append((LOOK, "not all of its images are home yet"))
    if camera.outside:
        # None was taken then. A camera in another time zone has few such, and all of its times are wrong.
        bear = "image bears a time" if camera.outside == 1 else "images bear times"
        found.append((LOOK, f"{camera.outside:,} {bear} outside the experiment: its clock or time zone is another one"))
    if camera.clock and abs(camera.clock[-1][1]) >= SET_FROM:
        found.append((LOOK, f"its clock is {said(camera.clock[-1][1])}; times here are corrected"))
    level = max((level for level, _unused in found), key=_ORDER.index, default=WELL)
    return Verdict(level, "; ".join(words for _unused, words in found))


def of_all(experiment: Experiment) -> Verdict:
    """Return how well the experiment went, in a sentence that begins with a capital letter."""
    level = max((of_camera(camera).level for camera in experiment.cameras), key=_ORDER.index, default=LOOK)
    if not experiment.cameras:
        return Verdict(level, "No camera was in this experiment")
    words = f"{_images(experiment)}; {_recorded(experiment)}"
    return Verdict(level, f"All is well: {words}" if level == WELL else words[:1].upper() + words[1:])


def _images(experiment: Experiment) -> str:
    """Return how it stands with the images."""
    count = sum(len(camera.pictures) for camera in experiment.cameras)
    broken = [camera.name for camera in experiment.cameras if camera.complaints]
    away = [camera.name for camera in experiment.cameras if camera.entry.state == record.CLOSING]
    lost = [camera.name for camera in experiment.cameras if camera.entry.state == record.GIVEN_UP]
    images = "1 image is" if count == 1 else f"{count:,} images are"
    if broken:
        return f"something is wrong with the images of {_listed(broken)}"
    if lost:
        return f"{images} home, and those left on {_listed(lost)} are given up"
    if away:
        return (
            f"{images} home, and {_listed(away)} has more"
            if len(away) == 1
            else f"{images} home, and {_listed(away)} have more"
        )
    if experiment.record.state != record.CLOSED:
        return f"it goes on, {images} home so far"
    return "no image was taken" if not count else f"{'all ' if count > 1 else ''}{images} home and proven"


def _recorded(experiment: Experiment) -> str:
    """Return for how long which camera did not record, the worst first."""
    missed = {camera.name: _missing(camera) for camera in experiment.cameras}
    worst = sorted((name for name in missed if sum(missed[name]) >= 1), key=lambda name: -sum(missed[name]))
    if not worst:
        return f"{_names(list(missed))} recorded all the time"
    lines = []
    for name in worst[:_NAMED]:
        not_recorded, unknown = missed[name]
        words = [f"did not record for {figures.span(not_recorded)}"] if not_recorded >= 1 else []
        words += [f"may have missed {figures.span(unknown)}"] if unknown >= 1 else []
        lines.append(f"{name} {' and '.join(words)}")
    more = len(worst) - _NAMED
    lines += [f"{more} more missed less"] if more > 0 else []
    return ", ".join(lines)


def share(camera: Camera) -> float | None:
    """Return the share of the time in which the camera recorded, from 0 to 1; None where there was no time."""
    wanted = sum(each.seconds for each in camera.coverage.spans) - _begun(camera)
    return camera.coverage.seconds(RECORDED) / wanted if wanted > 0 else None


def _begun(camera: Camera) -> float:
    """Return the seconds that the camera took to begin with, as long as nobody minds."""
    first = next(iter(camera.coverage.spans), None)
    if first is None or first.state != NOT_RECORDED or first.seconds > _STARTING or len(camera.coverage.spans) == 1:
        return 0.0
    return first.seconds


def _missing(camera: Camera) -> tuple[float, float]:
    """Return the seconds in which it did not record, and those of which nobody knows."""
    return camera.coverage.seconds(NOT_RECORDED) - _begun(camera), camera.coverage.seconds(UNKNOWN)


def _missed(camera: Camera) -> list[tuple[str, str]]:
    """Return what a person should know of the time that it missed."""
    wanted = sum(each.seconds for each in camera.coverage.spans) - _begun(camera)
    missed, unknown = _missing(camera)
    found = []
    last = next(reversed(camera.coverage.spans), None)
    if camera.coverage.open and last is not None and last.state == NOT_RECORDED:
        found.append((BAD, f"it has not recorded for {figures.span(last.seconds)}: {last.cause}"))
    elif wanted > 0 and missed / wanted >= _MISSED_LOOK:
        level = BAD if missed / wanted >= _MISSED_BAD else LOOK
        found.append((level, f"it did not record for {figures.span(missed)}"))
    if wanted > 0 and unknown / wanted >= _MISSED_LOOK:
        found.append((LOOK, f"nobody knows whether it recorded for {figures.span(unknown)}"))
    return found


def _names(names: list[str]) -> str:
    if len(names) == 2:
        return "both cameras"
    return names[0] if len(names) == 1 else f"all {len(names)} cameras"


def _listed(names: list[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    *most, last = [*names[:_NAMED], *more]
    return f"{', '.join(most)} and {last}" if most else last

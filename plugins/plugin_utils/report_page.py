# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an experiment as one HTML file that needs nothing else.

Whatever comes from outside is text: Jinja2 escapes it, and data for the plot travel as JSON in a script element that is
not run, in which no character can end that element.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import clock, figures, verdict
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.coverage import RECORDED, coarse
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.orchestrator_time import moment
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.report_data import Camera, Experiment
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.visits import Visit
from ansible_collections.wildberryeye.orchestrator.plugins.plugin_utils import thumbnails

ROLE = Path(os.path.realpath(__file__)).parents[2] / "roles" / "report"
"""Where the template and the plotting library lie."""
ROWS = 400
"""Rows of a table, at most: a page with more is read by nobody, and opens slowly on a phone."""
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds that the plot's finest pieces can have."""
_PIECES = 4000
"""Of them, at most."""


class Row(NamedTuple):
    """A visit in the table."""

    visit: Visit
    others: list[str]
    """Which other cameras saw it."""


class View(NamedTuple):
    """One camera, as it is shown."""

    camera: Camera
    verdict: verdict.Verdict
    share: float | None
    """Of the time, in which it recorded, from 0 to 1."""
    kinds: Counter[str]
    """Images of each kind."""
    shared: int
    """Visits that another camera saw as well."""
    hours: dict[dt.datetime, int]
    """Detections in each hour that had some."""
    gaps: int
    """Times in which it did not record, or nobody knows, after it had begun."""


def render(experiment: Experiment) -> tuple[str, list[str]]:
    """Return the page, and a line for each part that could not be made."""
    notes = []
    visits = sorted((visit for camera in experiment.cameras for visit in camera.visits), key=lambda each: each.begin)
    seen = {
        id(visit): sorted(names - {camera.name})
        for camera in experiment.cameras
        for visit, names in zip(camera.visits, camera.seen_by, strict=True)
    }
    shown: list[thumbnails.Thumbnail] = []
    try:
        shown = list(thumbnails.made([visits[index] for index in thumbnails.chosen(visits)]).values())
    except Error as error:
        notes.append(str(error))
    views = [_view(camera) for camera in experiment.cameras]
    page = _environment().get_template("report.html.j2")
    text = page.render(
        experiment=experiment,
        record=experiment.record,
        views=views,
        verdict=verdict.of_all(experiment),
        rows=[Row(visit, seen[id(visit)]) for visit in visits[:ROWS]],
        visits=len(visits),
        thumbnails=[(each, seen[id(each.visit)]) for each in shown],
        hours=sorted({hour for view in views for hour in view.hours}),
        happened=_happened(experiment),
        most=ROWS,
        coarse=coarse,
        notes=notes,
        data=_plot(experiment),
        echarts=_echarts(),
    )
    return text, notes


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=_clock,
        moment=_moment,
        minute=_minute,
        span=figures.span,
        bytes=figures.size,
        percent=_percent,
        count=_count,
        ahead=_ahead,
        capitalized=lambda text: text[:1].upper() + text[1:],
        parsed=moment,
    )
    return environment


@functools.cache
def _echarts() -> str:
    return (ROLE / "files" / "echarts" / "echarts.common.min.js").read_text(encoding="utf-8")


def _view(camera: Camera) -> View:
    hours: Counter[dt.datetime] = Counter(
        picture.taken.at.replace(minute=0, second=0, microsecond=0)
        for picture in camera.detections
        if picture.taken is not None
    )
    shared = sum(len(names) > 1 for names in camera.seen_by)
    kinds = Counter(picture.kind for picture in camera.pictures)
    gaps = sum(span.begin > camera.coverage.spans[0].begin for span in camera.gaps)
    return View(camera, verdict.of_camera(camera), verdict.share(camera), kinds, shared, dict(hours), gaps)


def _happened(experiment: Experiment) -> list[Mapping[str, Any]]:
    found = [event for camera in experiment.cameras for event in camera.happened]
    return sorted(found, key=lambda event: str(event.get("at")))[-ROWS:]


def _plot(experiment: Experiment) -> str:
    """Return what the plot shows, as JSON for a script element.

    Times are milliseconds of the orchestrator's wall clock, as if it were UTC: a phone may be set to another zone.
    """
    begin = min([experiment.opened, *(span.begin for camera in experiment.cameras for span in camera.coverage.spans)])
    end = experiment.until
    length = max(1.0, (end - begin).total_seconds())
    step = next((step for step in _STEPS if length / step <= _PIECES), _STEPS[-1])
    start = _wall(begin) // (step * 1000) * step * 1000
    cameras = []
    for camera in experiment.cameras:
        pieces: dict[int, list[int]] = {}
        at = {id(picture): column for picture, column in _columns(camera)}
        for picture in camera.detections:
            if picture.taken is not None and begin <= picture.taken.at <= end:
                piece = pieces.setdefault((_wall(picture.taken.at) - start) // (step * 1000), [0, 0, 0])
                piece[at.get(id(picture), 2)] += 1
        cameras.append(
            {
                "name": camera.name,
                "mode": camera.entry.mode,
                "pieces": [[index, *counts] for index, counts in sorted(pieces.items())],
                "missed": [
                    [_wall(span.begin), _wall(span.end), span.state, span.cause]
                    for span in coarse(camera.coverage.spans, ROWS)
                    if span.state != RECORDED
                ],
            }
        )
    content = {"start": start, "end": _wall(end), "step": step * 1000, "cameras": cameras}
    text = json.dumps(content, separators=(",", ":"))
    # Inside a script element only these can do harm.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _columns(camera: Camera) -> list[tuple[Any, int]]:
    """Return each image of a visit, and whether others saw that visit as well (0) or this camera alone (1)."""
    return [
        (picture, 0 if len(names) > 1 else 1)
        for visit, names in zip(camera.visits, camera.seen_by, strict=True)
        for picture in visit.pictures
    ]


def _wall(at: dt.datetime) -> int:
    return int(at.replace(tzinfo=dt.UTC).timestamp() * 1000)


def _clock(at: dt.datetime | None, experiment: Experiment) -> str:
    """Return a time as people read it: with the date where it is not that on which the experiment began."""
    if at is None:
        return "not known"
    return f"{at:%H:%M:%S}" if at.date() == experiment.opened.date() else f"{at.day} {at:%b %H:%M:%S}"


def _moment(at: dt.datetime | None) -> str:
    return f"{at.day} {at:%b %H:%M:%S}" if at else "never"


def _minute(at: dt.datetime) -> str:
    return f"{at.day} {at:%b %H:%M}"


def _percent(part: float | None) -> str:
    """Return a share as percent; what is not all of it is never rounded to 100."""
    if part is None:
        return "not known"
    return "100 %" if part >= 1 else f"{min(part * 100, 99.9):.1f} %"


def _count(number: int) -> str:
    return f"{number:,}"


def _ahead(offset: float) -> str:
    return clock.said(offset) if abs(offset) >= clock.NOTICEABLE else "right"

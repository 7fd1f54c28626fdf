# SPDX-License-Identifier: GPL-3.0-or-later
"""One camera's rows in the tables of a Camtrap DP.

What is said and why, where the standard leaves a choice:

- A deployment is one camera in one experiment, from when it first recorded, or may have, until it last did. When it did
  not in between, and when nobody knows, stands in its comments.
- Nobody has looked at the images yet, so that every observation is `unclassified`: one for each image that the camera
  took because it detected something, and one for each visit. What the camera was merely asked for (`manual`) is media
  without an observation, and without a capture method, for the standard knows no such one.
- A file path leads to where an image lies once its archive was unpacked into a directory of its own name beside it:
  the standard knows files and addresses, but nothing inside an archive.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import archive
from .coverage import NOT_RECORDED, RECORDED, Span
from .errors import one_line
from .pictures import Picture
from .visits import Visit

_IDS = uuid.UUID("6f1c7d3a-52d9-4c1b-9a57-0c6f6f2b8e11")
"""The namespace of our identifiers (RFC 9562, version 5): what is made of the same words is the same, on any day."""
_MOST_NAMED = 50
"""Gaps, and offsets of a clock, that a comment names one by one."""
_WORDS = {NOT_RECORDED: "not recording"}


class Recorded(NamedTuple):
    """What is known of one camera in one experiment."""

    experiment: str
    camera: str
    mode: str
    """``object`` or ``motion``."""
    site: Mapping[str, Any]
    """Where it stands; see `camtrap_site.site`."""
    opened: dt.datetime
    """When the experiment was opened."""
    spans: Sequence[Span]
    """When it recorded."""
    images: Sequence[Picture]
    visits: Sequence[Visit]
    noted: Sequence[tuple[dt.datetime, float]]
    """When its clock was compared with the orchestrator's, and how far it was ahead."""
    compared: bool
    """Whether it ever was."""
    complaints: Sequence[str] = ()
    """A line for each archive that could not be read."""
    slack: float = 60.0
    """Seconds by which an image can be outside of its deployment without being wrong."""

    @property
    def id(self) -> str:
        """The deployment's identifier; neither name can contain a colon."""
        return f"{self.experiment}:{self.camera}"

    @property
    def took_part(self) -> bool:
        """Whether it recorded, or may have, or has images."""
        return bool(self.images) or any(span.state != NOT_RECORDED for span in self.spans)

    @property
    def detections(self) -> list[dt.datetime]:
        """When it detected something, in order."""
        return [each.taken.at for each in self.images if each.detection and each.taken is not None]


class Deployment(NamedTuple):
    """A row of the table of deployments, and what else the package's description needs to know."""

    row: dict[str, Any]
    begin: dt.datetime
    end: dt.datetime
    latitude: float
    longitude: float


def deployment(known: Recorded) -> Deployment | None:
    """Return a camera's deployment; None where it never recorded and has no image."""
    if not known.took_part:
        return None
    spans = list(known.spans)
    if lived := [number for number, span in enumerate(spans) if span.state != NOT_RECORDED]:
        spans = spans[lived[0] : lived[-1] + 1]
    begin, end = (spans[0].begin, spans[-1].end) if spans else (known.opened, known.opened)
    # What is noted is noted a little later than it is so.
    slack = dt.timedelta(seconds=known.slack)
    inside = [at for at in known.detections if begin - slack <= at <= end + slack]
    wrong = (
        not known.compared
        or len(inside) < len(known.detections)
        or any(each.taken is None or each.taken.doubtful for each in known.images)
    )
    begin, end = min([begin, *inside]), max([end, *inside])
    row = {
        **known.site,
        "deploymentID": known.id,
        "deploymentStart": begin,
        "deploymentEnd": end,
        "cameraID": known.camera,
        "timestampIssues": wrong,
        "deploymentTags": f"detection:{known.mode}",
        "deploymentComments": ". ".join([*_gaps(spans), *_clock(known), *map(_missing, known.complaints)]),
    }
    return Deployment(row, begin, end, known.site["latitude"], known.site["longitude"])


def rows(known: Recorded, found: Deployment, directory: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the camera's rows in the other two tables: table and row, images in order of their times.

    Args:
        known: the camera.
        found: its deployment.
        directory: the package's.

    Raises:
        Error: if an archive's list of SHA-256 cannot be read.
    """
    sums = {path: archive.contents(path) for path in sorted({each.archive for each in known.images})}
    unpacked = {path: os.path.relpath(path, directory).removesuffix(".zip") for path in sums}
    visit_of = {(each.archive, each.name): visit for visit in known.visits for each in visit.pictures}
    begun: Visit | None = None
    event = ""
    for image in known.images:
        sha256 = sums[image.archive].get(image.name, "")
        media = _id(known.id, image.name, sha256)
        at = image.taken.at if image.taken else found.begin
        yield (
            "media",
            {
                "mediaID": media,
                "deploymentID": known.id,
                "captureMethod": "activityDetection" if image.detection else None,
                "timestamp": at,
                # Two dots would lead upwards, says the standard.
                "filePath": re.sub(r"\.\.", "%2E%2E", f"{unpacked[image.archive]}/{image.name}"),
                "filePublic": False,
                "fileName": image.name,
                "fileMediatype": "image/jpeg",
                "mediaComments": "; ".join(_said(image, sha256, known.compared)),
            },
        )
        if not image.detection:
            continue
        visit = visit_of.get((image.archive, image.name))
        if visit is not None and visit is not begun:
            begun, event = visit, _id("visit", media)
            yield (
                "observations",
                {
                    "observationID": _id("event", media),
                    **_observed(known.id, event, visit.begin, visit.end),
                    "observationLevel": "event",
                    "observationComments": f"a visit of {len(visit.pictures)} images",
                },
            )
        yield (
            "observations",
            {
                "observationID": _id("media", media),
                "mediaID": media,
                **(_observed(known.id, event, visit.begin, visit.end) if visit else _observed(known.id, None, at, at)),
                "observationLevel": "media",
            },
        )


def _observed(of: str, event: str | None, begin: dt.datetime, end: dt.datetime) -> dict[str, Any]:
    return {
        "deploymentID": of,
        "eventID": event,
        "eventStart": begin,
        "eventEnd": end,
        "observationType": "unclassified",
    }


def _id(*words: str) -> str:
    # No word contains a line feed.
    return str(uuid.uuid5(_IDS, "\n".join(words)))


def _said(image: Picture, sha256: str, compared: bool) -> list[str]:
    said = [f"sha256 {sha256}" if sha256 else "its archive's list has no SHA-256 of it"]
    if image.taken is None:
        said.append("its name tells no time that exists: the timestamp is the deployment's start")
    elif compared:
        said.append(
            f"timestamp is the time in fileName {0.0 - image.taken.offset:+.2f} s, by which the clock was wrong"
        )
        if image.taken.doubtful:
            said.append("the clock was set about then, or summer time ended: which correction holds is not certain")
    if not image.detection:
        said.append("taken because it was asked for, not by a detection")
    return said


def _gaps(spans: Sequence[Span]) -> Iterator[str]:
    gaps = [span for span in spans if span.state != RECORDED]
    for span in gaps[:_MOST_NAMED]:
        words = _WORDS.get(span.state, "not known whether it recorded")
        yield f"{words.capitalize()} {_time(span.begin)}/{_time(span.end)}: {one_line(span.cause, 200)}"
    if more := gaps[_MOST_NAMED:]:
        seconds = sum(span.seconds for span in more)
        yield f"{len(more)} more such times of {seconds:.0f} s in all, the last until {_time(more[-1].end)}"


def _clock(known: Recorded) -> Iterator[str]:
    if not known.compared:
        yield "Its clock was never compared with the orchestrator's: timestamps are by it as it was"
        return
    if changed := [
        (at, offset)
        for number, (at, offset) in enumerate(known.noted)
        if not number or offset != known.noted[number - 1][1]
    ]:
        listed = ", ".join(f"{offset:+.2f} s ({_time(at)})" for at, offset in changed[:_MOST_NAMED])
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        yield f"Its clock was ahead of the orchestrator's by {listed}{more}; timestamps are corrected by that"


def _missing(complaint: str) -> str:
    return f"Images are missing here: {one_line(complaint)}"


def _time(at: dt.datetime) -> str:
    return at.isoformat(timespec="seconds")

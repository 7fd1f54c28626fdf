# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each camera, from the results that the roles left, and the table that a person reads last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import clock, figures
from .failure import in_one_line


class Outcome(NamedTuple):
    """What became of one camera."""

    camera: str
    words: str
    """``recording``, ``home``, ``collected``, ``left alone``, or what it is not."""
    images: int
    bytes: int
    next: str
    """What a person should look at or do."""
    failed: bool


def results(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results that the roles left in a host's variables; {} where a step did not run."""
    recording, collection = (found.get(f"wildberryeye_{step}_result") or {} for step in ("recording", "collection"))
    result = {"recording": {} if recording.get("skipped") else recording}
    result.update({step: collection.get(step) or {} for step in ("batch", "receipt", "cleanup")})
    result["failure"] = in_one_line(collection) if collection.get("failed") else ""
    result["left_alone"] = result["batch"].get("left_alone") or ""
    if found.get("inventory_hostname") in (found.get("wildberryeye_left_alone_result") or []):
        result["left_alone"] = "it is not being recorded with"
    return result


def recorded(steps: Mapping[str, Any]) -> bool:
    """Tell whether the camera was brought into the state asked for, as far as it was asked."""
    return bool(steps["recording"]) and not steps["recording"].get("failed")


def carried(steps: Mapping[str, Any]) -> bool:
    """Tell whether this run has looked at the camera's batches, with the camera's collection lock in its hand."""
    return "batches" in steps["batch"] and not steps["batch"].get("failed")


def label(steps: Mapping[str, Any]) -> str:
    """Return the experiment that the camera's card says it records, empty if none."""
    return str((steps["batch"] if carried(steps) else steps["recording"]).get("label") or "")


def home(steps: Mapping[str, Any]) -> bool:
    """Tell whether all that was set aside on the camera is home and gone from its card."""
    if steps["recording"].get("failed") or steps["failure"] or steps["left_alone"]:
        return False
    if not steps["batch"]:
        return bool(steps["recording"].get("waiting") == 0)
    if not steps["batch"].get("batches"):
        return True
    return bool(steps["cleanup"].get("left") == 0)


def failure(steps: Mapping[str, Any]) -> str:
    """Return what went wrong, in one line; empty if nothing did."""
    lines = []
    if steps["recording"].get("failed"):
        lines.append(in_one_line(steps["recording"]))
    if steps["failure"] and steps["failure"] not in lines:
        lines.append(str(steps["failure"]))
    unreadable = steps["batch"].get("unreadable")
    if unreadable:
        lines.append(f"the card does not give back {', '.join(unreadable[:3])}. Copy the card and replace it")
    elif not lines and steps["cleanup"].get("left"):
        lines.append("some images changed while they were carried. They are safe on the card: run collect.yml again")
    return "; ".join(lines)


def outcome(camera: str, steps: Mapping[str, Any], asked: str, record: Mapping[str, Any], check: bool) -> Outcome:
    """Return what became of `camera`.

    Args:
        camera: its name.
        steps: its results, see `results`.
        asked: ``start``, ``stop``, ``restart`` or ``collect``.
        record: what the module `experiment` returned last.
        check: whether nothing was to be done.
    """
    wrong = "; ".join(filter(None, [failure(steps), (record.get("not_archived") or {}).get(camera)]))
    images, size = int(steps["receipt"].get("images") or 0), int(steps["receipt"].get("bytes") or 0)
    note = _note(steps)
    if asked == "collect" and steps["left_alone"]:
        return Outcome(camera, "left alone", images, size, wrong or steps["left_alone"], bool(wrong))
    if check:
        parts = (steps["batch"], steps["recording"])
        images = int(parts[0].get("images") or 0) + int(parts[1].get("set_aside") or 0)
        size = sum(int(part.get("bytes") or 0) for part in parts)
        said = (
            "check failed" if wrong else "would be " + {"stop": "home", "collect": "collected"}.get(asked, "recording")
        )
        archived = str(record.get("cameras", {}).get(camera, {}).get("next_archive") or "")
        into = archived if asked == "stop" and images else ""
        return Outcome(camera, said, images, size, wrong or note or into, bool(wrong))
    if asked in ("start", "restart"):
        said = "recording" if recorded(steps) else "not recording"
        if recorded(steps) and wrong:
            said += ", not collected"
        elif not wrong and not recorded(steps):
            wrong = f"run {asked}.yml again"
        return Outcome(camera, said, images, size, wrong or note, bool(wrong))
    if asked == "collect":
        return Outcome(camera, "not collected" if wrong else "collected", images, size, wrong or note, bool(wrong))
    entry = record.get("cameras", {}).get(camera, {})
    archives = entry.get("archives") or []
    if entry.get("state") in ("expected", "recording"):
        # A stop that came late, or a start meanwhile: it goes on.
        wrong = wrong or ("" if home(steps) else "run collect.yml again")
        said = "recording, not collected" if wrong else "recording"
        return Outcome(camera, said, images, size, wrong or note, bool(wrong))
    if entry.get("state") == "given_up":
        return Outcome(camera, "given up", images, size, "", False)
    if wrong or not home(steps) or entry.get("state") == "closing":
        return Outcome(camera, "not home", images, size, wrong or "run stop.yml again", True)
    if not record.get("id"):
        return Outcome(camera, "idle", images, size, note, False)
    if entry.get("state") == "home":
        images = sum(archive["images"] for archive in archives)
        size = sum(archive["bytes"] for archive in archives)
    paths = [os.path.join(record["data_dir"], record["id"], camera, archive["name"]) for archive in archives]
    return Outcome(camera, "home", images, size, note or ", ".join(paths), False)


def table(outcomes: list[Outcome]) -> str:
    """Return the table that a person reads last."""
    rows = [("camera", "outcome", "images", "bytes", "next")]
    rows += [(o.camera, o.words, str(o.images), figures.size(o.bytes), o.next) for o in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for camera, said, images, size, text in rows:
        line = f"{camera:<{widths[0]}}  {said:<{widths[1]}}  {images:>{widths[2]}}  {size:>{widths[3]}}  {text}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _note(steps: Mapping[str, Any]) -> str:
    notes = []
    not_whole = steps["receipt"].get("not_whole")
    if not_whole:
        notes.append(f"{len(not_whole)} of the images half-written, such as {not_whole[0]}")
    if steps["batch"].get("fell_back"):
        notes.append("no room on its card for a zip, fetched as files")
    for step in (steps["batch"], steps["recording"]):
        if step.get("foreign_count"):
            first = step["foreign"][0]
            notes.append(f"{step['foreign_count']} things that are no images left on its card, such as {first}")
            break
    offset, why = steps["recording"].get("clock_offset"), steps["recording"].get("clock_note")
    stepped = steps["recording"].get("clock_stepped")
    if stepped:
        notes.append(f"its clock was {clock.said(-stepped)} and has been set")
    if offset is not None and abs(offset) >= clock.NOTICEABLE:
        notes.append(f"its clock is {clock.said(offset)}" + (f", {why}" if why else ""))
    return "; ".join(notes)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of visits, for a page: made from the archives, bounded in number and in bytes."""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ansible_collections.wildberryeye.orchestrator.plugins.module_utils import archive
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.errors import Error
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.pictures import Picture
from ansible_collections.wildberryeye.orchestrator.plugins.module_utils.visits import Visit

MOST = 24
"""Pictures in a report."""
_SIZE = (320, 240)
"""Pixels, at most."""
_QUALITY = 72
_LARGEST = 24 << 10
"""Bytes of one picture, at most: what is larger is noise or made to harm."""
_SOURCE = 16 << 20
"""Bytes of an image that is opened at all; a camera's are 0.2 MB."""
_PIXELS = 50_000_000
_TRIES = 3
"""Images of a visit that are tried: one may be half-written."""


class Thumbnail(NamedTuple):
    """A small picture of a visit."""

    visit: Visit
    name: str
    """Of the image that it shows."""
    width: int
    height: int
    """Pixels."""
    uri: str
    """The picture itself, as a data URI."""


def chosen(visits: Sequence[Visit], most: int = MOST) -> list[int]:
    """Return the indices of the visits that are shown, in order: the busiest one in each piece of the time.

    Args:
        visits: all of them, of all cameras, in order of their begin.
        most: how many.
    """
    if len(visits) <= most:
        return list(range(len(visits)))
    begin = visits[0].begin
    length = (visits[-1].begin - begin).total_seconds() or 1.0
    busiest: dict[int, int] = {}
    for index, visit in enumerate(visits):
        piece = min(most - 1, int((visit.begin - begin).total_seconds() / length * most))
        if piece not in busiest or len(visit.pictures) > len(visits[busiest[piece]].pictures):
            busiest[piece] = index
    # Where nothing came for a while, there is room for more of when much did.
    rest = sorted(set(range(len(visits))) - set(busiest.values()), key=lambda index: -len(visits[index].pictures))
    return sorted([*busiest.values(), *rest[: most - len(busiest)]])


def made(visits: Sequence[Visit]) -> dict[int, Thumbnail]:
    """Return small pictures of `visits`, by index; a visit none of whose images can be read has none.

    Raises:
        Error: if Pillow, which makes them, is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise Error(
            "make small pictures of the visits", "Pillow is not installed", "Run 'pip install -r requirements.txt'"
        ) from None
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    found = {}
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        # Whoever made an image as large as a wall is no camera; nobody needs a warning of it.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened: dict[str, zipfile.ZipFile] = {}
        for index, visit in enumerate(visits):
            for picture in _candidates(visit.pictures):
                try:
                    if picture.archive not in opened:
                        opened[picture.archive] = stack.enter_context(archive.opened(picture.archive))
                    content = _content(opened[picture.archive], picture)
                    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                        if image.width * image.height > _PIXELS:
                            continue
                        # Decoded at a fraction of its size, which takes a fraction of the time.
                        image.draft("RGB", _SIZE)
                        small = image.convert("RGB")
                        small.thumbnail(_SIZE, reducing_gap=None)
                        out = io.BytesIO()
                        small.save(out, "JPEG", quality=_QUALITY, optimize=False)
                except (*archive.BROKEN, OSError, SyntaxError, MemoryError, *bombs):
                    continue
                if out.tell() > _LARGEST:
                    continue
                uri = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
                found[index] = Thumbnail(visit, picture.name, small.width, small.height, uri)
                break
    return found


def _candidates(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Yield the images to try: from the middle of a visit, when the visitor is there whole."""
    middle = len(pictures) // 2
    order = sorted(range(len(pictures)), key=lambda number: abs(number - middle))
    yield from (pictures[number] for number in order[:_TRIES])


def _content(zipped: zipfile.ZipFile, picture: Picture) -> bytes:
    info = zipped.getinfo(picture.name)
    if info.file_size > _SOURCE:
        raise ValueError(picture.name)
    return zipped.read(info)

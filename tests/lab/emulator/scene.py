# SPDX-License-Identifier: GPL-3.0-or-later
"""What the camera sees: a flower bed with a visitor, as 640x480 JPEGs."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageChops, ImageDraw, ImageFont

SIZE = (640, 480)


class Scene:
    """Draws the flower bed once, so that each picture costs no more than a paste and an encoding."""

    def __init__(self, image_bytes: int, frames: int | None = None) -> None:
        """`image_bytes`: about how large each picture is to be; after `frames` of them they repeat."""
        self._frames = frames
        self._drawn: list[bytes] = []
        self._font = ImageFont.load_default()
        self._visitor = _visitor()
        plain = _flower_bed()
        noise = ImageChops.add(plain, _noise(), 1, -128)
        low, high = 0.0, 1.0
        for _ in range(9):
            level = (low + high) / 2
            self._background = Image.blend(plain, noise, level)
            self._quality = int(10 + 85 * level)
            if len(self.jpeg("")) < image_bytes:
                low = level
            else:
                high = level

    def picture(self, caption: str) -> bytes:
        """A picture that no other is equal to, by the `caption` in it."""
        if self._frames is None:
            return self.jpeg(caption)
        if len(self._drawn) < self._frames:
            self._drawn.append(self.jpeg(caption))
        # In a comment: encoding is most of a picture's work.
        comment = caption.encode()
        drawn = random.choice(self._drawn)
        return drawn[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + drawn[2:]

    def jpeg(self, caption: str) -> bytes:
        """Draw a picture with the visitor somewhere and the `caption` in a corner."""
        frame = self._background.copy()
        place = (random.randrange(SIZE[0] - 60), random.randrange(SIZE[1] - 60))
        frame.paste(self._visitor, place, self._visitor)
        ImageDraw.Draw(frame).text((4, 4), caption, fill="white", font=self._font)
        out = io.BytesIO()
        frame.save(out, "JPEG", quality=self._quality)
        return out.getvalue()


def _flower_bed() -> Image.Image:
    bed = Image.new("RGB", SIZE, (52, 92, 38))
    draw = ImageDraw.Draw(bed)
    for _ in range(40):
        x, y, r = random.randrange(SIZE[0]), random.randrange(SIZE[1]), random.randrange(6, 16)
        petal = random.choice(["#e8d8f0", "#d04878", "#f0e060", "#8860c8"])
        for dx, dy in ((-r, 0), (r, 0), (0, -r), (0, r)):
            draw.ellipse((x + dx - r, y + dy - r, x + dx + r, y + dy + r), fill=petal)
        draw.ellipse((x - r // 2, y - r // 2, x + r // 2, y + r // 2), fill="#c89018")
    return bed


def _noise() -> Image.Image:
    """The sensor's noise around middle grey."""
    grey = Image.effect_noise(SIZE, 70)
    return Image.merge("RGB", (grey, grey, grey))


def _visitor() -> Image.Image:
    bee = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    draw = ImageDraw.Draw(bee)
    draw.ellipse((20, 2, 40, 30), fill="#d8e8f8")
    draw.ellipse((8, 20, 52, 46), fill="#e0a818")
    for x in (20, 30, 40):
        draw.rectangle((x, 22, x + 4, 44), fill="#281808")
    return bee

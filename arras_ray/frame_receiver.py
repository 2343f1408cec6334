"""The receiver of frames: what CLI, viewers and users decode ProgressiveFrames with, into one array per AOV."""

from __future__ import annotations

from typing import Literal

import numpy as np

from arras_ray.film import place_tiles
from arras_ray.messages import ProgressiveFrame
from arras_ray.previews import fill

Gamma = Literal["srgb"] | float
"""How light becomes 8 bits: the sRGB curve, or an exponent such as 2.2; 1.0 leaves values linear."""


class FrameReceiver:
    """The newest picture of width x height pixels, put together from frames as they come.

    All arrays have their rows from the bottom up and are updated in place by `receive`; copy what must stay. Alpha is
    coverage, colours are premultiplied and linear.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rgba = np.zeros((height, width, 4), "f4")
        self.sync_id = -1
        self.version = 0
        self.status = ""
        self.progress = 0.0

    @property
    def beauty(self) -> np.ndarray:
        """Colour: (height, width, 3) float32 R G B, a view."""
        return self.rgba[..., :3]

    @property
    def alpha(self) -> np.ndarray:
        """Coverage: (height, width) float32, a view."""
        return self.rgba[..., 3]

    @property
    def aovs(self) -> dict[str, np.ndarray]:
        """Every AOV by name, as views."""
        return {"beauty": self.beauty, "alpha": self.alpha}

    def receive(self, frame: ProgressiveFrame) -> bool:
        """Take a frame in. False, and nothing changes, for one whose sync_id is older than the newest seen.

        A newer sync_id clears the picture first. Raise ValueError for a frame of another size.
        """
        if (frame.width, frame.height) != (self.width, self.height):
            size = f"{frame.width} x {frame.height}"
            raise ValueError(f"a frame of {size} came for a picture of {self.width} x {self.height}")
        if frame.sync_id < self.sync_id:
            return False
        if frame.sync_id > self.sync_id:
            self.rgba[:] = 0
            self.sync_id = frame.sync_id
        for coarse in frame.coarse:
            place_tiles(self.rgba, coarse.tiles, fill(coarse))
        place_tiles(self.rgba, frame.tiles, frame.pixels)
        self.version = frame.version
        self.status = frame.status
        self.progress = frame.progress
        return True

    def rgb8(self, gamma: Gamma = "srgb") -> np.ndarray:
        """Colour for a screen: (height, width, 3) uint8, rows from the bottom up."""
        return to_8bit(self.beauty, gamma)

    def pixel(self, x: int, y: int) -> tuple[float, float, float, float]:
        """R G B A of one pixel, (0, 0) at the bottom left. Raise IndexError outside the picture."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise IndexError(f"pixel ({x}, {y}) is outside a picture of {self.width} x {self.height}")
        r, g, b, a = self.rgba[y, x].tolist()
        return r, g, b, a


def to_8bit(linear: np.ndarray, gamma: Gamma = "srgb") -> np.ndarray:
    """Linear values as 0 to 255, clipped and rounded; NaN becomes 0. Any shape of floats, the same shape of uint8.

    The sRGB curve is that of IEC 61966-2-1.
    """
    v = np.clip(np.nan_to_num(linear, posinf=1.0), 0.0, 1.0)
    if gamma == "srgb":
        v = np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)
    else:
        v = v ** (1 / gamma)
    eight_bits: np.ndarray = np.rint(v * 255).astype("u1")
    return eight_bits

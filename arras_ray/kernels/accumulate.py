"""The entry kernel: a unit of samples into exact sums.

Every sample is rounded to a multiple of a power of two and added in float64. Such sums are exact below 2^53 steps, so
that order, grouping and the number of threads or machines cannot change a bit of the picture.
"""

from __future__ import annotations

import math

import numpy as np

from arras_ray.kernels.config import ZERO, entry, kernel
from arras_ray.kernels.integrator import camera_sample
from arras_ray.kernels.sampler import pixel_key
from arras_ray.messages import BLOCK, TILE

BLOCKS = TILE // BLOCK

# Words of `report`: samples taken, samples left out as not finite, and the first of those (pixel
# number, sample): the least sample, of those the least pixel, whoever rendered it.
REPORT_SAMPLES, REPORT_BAD, REPORT_BAD_PIXEL, REPORT_BAD_SAMPLE = range(4)
REPORT_WORDS = 4

ALL_PIXELS = -1


@kernel
def on_grid(value, limit, grid):
    """value, cut to [-limit, limit], as the nearest multiple of 1 / grid in float64."""
    x = np.float64(min(max(value, -limit), limit))
    return math.floor(x * grid + 0.5) / grid


@kernel
def is_finite(x):
    return x - x == ZERO


@entry
def render_unit(parcel, ray, log, only, tile, begin, end, mask, stride, cancel, out, report):
    """Add samples [begin, end) of a tile's blocks to out.

    parcel: (1,) SCENE. ray: address of this thread's ray record. log: address of a path story, or NO_LOG. only: number
    of the one pixel to render, or ALL_PIXELS. mask: uint64, a bit a block. stride: 1, or of each stride x stride pixels
    (a power of two up to BLOCK) the middle one only. cancel: (1,) uint32, polled once a block. out: (TILE * TILE,
    N_CHANNELS) f8. report: (REPORT_WORDS,) i8. Returns whether the unit was finished.
    """
    scene = parcel[0]
    s = scene.settings
    tiles_x = (s.width + TILE - 1) // TILE
    x0 = (tile % tiles_x) * TILE
    y0 = (tile // tiles_x) * TILE
    grid = s.grid
    limit = s.limit
    middle = stride // 2
    for block in range(BLOCKS * BLOCKS):
        if (mask >> np.uint64(block)) & np.uint64(1) == np.uint64(0):
            continue
        if cancel[0] != np.uint32(0):
            return False
        bx = (block % BLOCKS) * BLOCK
        by = (block // BLOCKS) * BLOCK
        for py in range(by + middle, by + BLOCK, stride):
            if y0 + py - middle >= s.height:
                break
            y = min(y0 + py, s.height - 1)  # the middle may be outside where some of its pixels are not
            for px in range(bx + middle, bx + BLOCK, stride):
                if x0 + px - middle >= s.width:
                    break
                x = min(x0 + px, s.width - 1)
                if only != ALL_PIXELS and only != y * s.width + x:
                    continue
                pixel = pixel_key(x, y, s.seed)
                r = 0.0
                g = 0.0
                b = 0.0
                a = 0.0
                count = 0.0
                for sample in range(begin, end):
                    color, alpha = camera_sample(scene, ray, log, pixel, sample, x, y)
                    if is_finite(color[0]) and is_finite(color[1]) and is_finite(color[2]):
                        r += on_grid(color[0], limit, grid)
                        g += on_grid(color[1], limit, grid)
                        b += on_grid(color[2], limit, grid)
                        a += on_grid(alpha, limit, grid)
                        count += 1.0
                    else:
                        number = y * s.width + x
                        if (
                            report[REPORT_BAD] == 0
                            or sample < report[REPORT_BAD_SAMPLE]
                            or (sample == report[REPORT_BAD_SAMPLE] and number < report[REPORT_BAD_PIXEL])
                        ):
                            report[REPORT_BAD_PIXEL] = number
                            report[REPORT_BAD_SAMPLE] = sample
                        report[REPORT_BAD] += 1
                report[REPORT_SAMPLES] += end - begin
                i = py * TILE + px
                out[i, 0] += r
                out[i, 1] += g
                out[i, 2] += b
                out[i, 3] += a
                out[i, 4] += count
    return True

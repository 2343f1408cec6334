"""Scene variables into the settings record: picture size, samples, depths, filter, clamping, the grid of sums."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import SETTINGS
from arras_ray.scene import SceneContext, raster

MAX_SPP = 1 << 16
"""Samples a pixel for which sums stay exact."""

GRID_BITS = 24
MANTISSA_BITS = 53

NOT_YET = (
    "aperture_window",
    "region_window",
    "sub_viewport",
    "sampling_mode",
    "roughness_clamping_factor",
    "shadow_terminator_fix",
)
"""Scene variables that will matter once they are drawn; told when they are set."""


def picture_size(context: SceneContext, options: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height in pixels: the options', else the scene's."""
    if not options.get("width"):
        return raster.picture_size(context)
    width, height = int(options["width"]), int(options["height"])
    raster.check_size(width, height)
    return width, height


def samples_per_pixel(context: SceneContext, options: Mapping[str, Any]) -> int:
    """Samples of each pixel: the option's, else pixel_samples squared."""
    spp = int(options.get("spp") or max(1, context.variables.get("pixel_samples")) ** 2)
    if spp > MAX_SPP:
        raise SceneError(f"{spp} samples a pixel are too many", hint=f"sums are exact up to {MAX_SPP}")
    return spp


def grid_bits(emitted: float) -> int:
    """Sums are multiples of 2^-bits: 24 bits, fewer where light is so bright that 2^16 samples would not be exact."""
    headroom = MANTISSA_BITS - int(math.log2(MAX_SPP))
    brightest = max(0, math.frexp(2.0 * emitted)[1]) if math.isfinite(emitted) else 0
    return min(GRID_BITS, headroom - brightest)


def settings_record(
    context: SceneContext, width: int, height: int, emitted: float, options: Mapping[str, Any], report: Report
) -> np.ndarray:
    """(1,) SETTINGS. emitted: the largest radiance any light or material sends out."""
    variables = context.variables
    for name in NOT_YET:
        if not variables.is_default(name):
            report.note("scene variables without effect yet", name)
    seed = options.get("seed")
    if seed is None:
        seed = 0 if variables.get("lock_frame_noise") else int(variables.get("frame"))
    bits = grid_bits(emitted)
    record = np.zeros(1, SETTINGS)
    record["width"], record["height"] = width, height
    record["filter"] = variables.get("pixel_filter")
    record["filter_width"] = max(0.0, variables.get("pixel_filter_width"))
    record["light_samples"] = max(1, variables.get("light_samples")) ** 2
    record["bsdf_samples"] = max(1, variables.get("bsdf_samples")) ** 2
    for name in ("max_depth", "max_diffuse_depth", "max_glossy_depth", "max_mirror_depth"):
        record[name] = max(0, variables.get(name))
    record["clamp_value"] = max(0.0, variables.get("sample_clamping_value"))
    record["clamp_depth"] = variables.get("sample_clamping_depth")
    record["roulette_threshold"] = max(0.0, variables.get("russian_roulette_threshold"))
    record["seed"] = int(seed) & 0xFFFFFFFF
    record["grid"] = 2.0**bits
    record["limit"] = 2.0 ** (MANTISSA_BITS - bits - int(math.log2(MAX_SPP)))
    return record

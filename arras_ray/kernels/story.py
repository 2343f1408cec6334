"""The story of one path: what `debug-pixel` prints. Kernels tell it line by line where a log's address is given."""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import kernel
from arras_ray.kernels.parcels import LOG_LINES, log_of

NO_LOG = np.uint64(0)
"""In place of a log's address: nothing is told."""


@kernel
def log_event(log, depth, event, geometry, primitive, material, light, t, p, n, throughput, radiance, pdf):
    """One line of a path's story at address `log`; its first record counts the lines."""
    lines = log_of(log)
    i = lines[0].depth + 1
    if i < LOG_LINES:
        lines[0].depth = i
        line = lines[i]
        line.depth = depth
        line.event = event
        line.geometry = geometry
        line.primitive = primitive
        line.material = material
        line.light = light
        line.t = t
        line.pdf = pdf
        for k in range(3):
            line.position[k] = p[k]
            line.normal[k] = n[k]
            line.throughput[k] = throughput[k]
            line.radiance[k] = radiance[k]

"""Where a scene is: a sphere around what its layer draws, for cameras that turn about it or frame it."""

from __future__ import annotations

import numpy as np

from arras_ray.scene.context import SceneContext
from arras_ray.scene.scene_object import SceneObject

LARGEST = 1e100
"""What lies further away is nowhere."""


def bounding_sphere(context: SceneContext) -> tuple[np.ndarray, float]:
    """Centre, (3,), and radius in world space of a sphere around the geometry that the layer names; the unit sphere
    where there is none whose size is known."""
    layer = context.layer
    rows = layer.assignments if layer is not None else []
    boxes = [box for item in dict.fromkeys(row.geometry for row in rows) if (box := _world_box(item)) is not None]
    if not boxes:
        return np.zeros(3), 1.0
    low, high = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    radius = float(np.sqrt(((high - low) ** 2).sum()) / 2)
    return (low + high) / 2, radius if radius > 0.0 else 1.0


def _world_box(geometry: SceneObject) -> tuple[np.ndarray, np.ndarray] | None:
    """The lowest and highest corner, in world space; None for what is not known, or nowhere."""
    kind = geometry.scene_class.name
    if kind == "RdlMeshGeometry":
        points = np.asarray(geometry.get("vertex_list_0"), "f8").reshape(-1, 3)
    elif kind == "BoxGeometry":
        points = _corners(np.asarray(geometry.get("size"), "f8") / 2)
    elif kind == "SphereGeometry":
        points = _corners(np.full(3, abs(geometry.get("radius"))))
    else:
        return None
    matrix = geometry.get("node_xform")
    with np.errstate(over="ignore", invalid="ignore"):
        world = points @ matrix[:3, :3] + matrix[3, :3]
    if not len(world) or not (np.abs(world) < LARGEST).all():
        return None
    return world.min(axis=0), world.max(axis=0)


def _corners(half: np.ndarray) -> np.ndarray:
    signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, -1).T
    corners: np.ndarray = signs * half
    return corners

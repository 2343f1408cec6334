"""Primitive attributes: UserData at every rate, and the store of 3-vectors they share with vertices and normals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import CONSTANT, FACE_VARYING, PART, UNIFORM, VERTEX
from arras_ray.scene import SceneObject
from arras_ray.scene.values import lerp

if TYPE_CHECKING:
    from arras_ray.flatten.mesh import Mesh

EMBREE_PADDING = 2
"""Embree reads up to 16 bytes past the last vertex."""

COLUMNS = (
    ("int_key", "int_values", "", "int"),
    ("float_key", "float_values_0", "float_values_1", "float"),
    ("vec2f_key", "vec2f_values_0", "vec2f_values_1", "vec2f"),
    ("vec3f_key", "vec3f_values_0", "vec3f_values_1", "vec3f"),
    ("color_key", "color_values_0", "color_values_1", "rgb"),
)
"""UserData's attributes of one type: key, values at both motion steps, the type's name in AttributeMap."""

RATES = {1: CONSTANT, 2: PART, 3: UNIFORM, 4: VERTEX, 5: VERTEX, 6: FACE_VARYING}
"""UserData.rate to what kernels read; on polygons varying is vertex."""


class PointStore:
    """Gathers (n, 3) blocks into one float32 array."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._n = 0

    def add(self, block: np.ndarray) -> int:
        """Append (n, 3) values; return where they begin."""
        first = self._n
        self._blocks.append(block.astype("f4"))
        self._n += len(block)
        return first

    def array(self) -> np.ndarray:
        """(n + padding, 3) f4."""
        return np.concatenate([*self._blocks, np.zeros((EMBREE_PADDING, 3), "f4")])


def user_data(data: SceneObject) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """((name, type), values) of each attribute a UserData holds, at the scene's frame."""
    for key, values_0, values_1, type_name in COLUMNS:
        name = data.get(key)
        first = data.get(values_0)
        if not name or not len(first):
            continue
        second = data.get(values_1) if values_1 else first
        if len(second) != len(first):
            second = first
        yield (name, type_name), lerp(first, second, data.context.motion_fraction(0.0))


def attribute_values(values: np.ndarray) -> np.ndarray:
    """(n, 3): numbers become grey, 2-vectors (x, y, 0)."""
    if values.ndim == 1:
        return np.repeat(values[:, None], 3, axis=1)
    return np.pad(values, ((0, 0), (0, 3 - values.shape[1])))


def rate_of(data: SceneObject, n: int, mesh: Mesh | None, report: Report) -> int | None:
    """The rate of n values on a mesh (None: a sphere, which has constant ones only).

    By MoonRay's order of guesses; a rate that was asked for has to fit, else the attribute is dropped with a warning.
    """
    if mesh is None:
        sizes = {CONSTANT: 1}
    else:
        sizes = {
            CONSTANT: 1,
            FACE_VARYING: len(mesh.indices),
            PART: len(mesh.part_names),
            UNIFORM: len(mesh.counts),
            VERTEX: len(mesh.vertices),
        }
    asked = RATES.get(data.get("rate"))
    if asked is not None:
        if sizes.get(asked) == n:
            return asked
        report.note("a primitive attribute is dropped because its rate does not fit its size", data.name)
        return None
    for rate, size in sizes.items():
        if size == n:
            return rate
    fitting = {rate: size for rate, size in sizes.items() if 0 < size <= n}
    report.note("a primitive attribute has more values than its rate needs", data.name)
    return max(fitting, key=lambda rate: fitting[rate])

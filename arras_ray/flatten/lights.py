"""Lights into records, light sets into runs of light numbers. Radiance as MoonRay computes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from arras_ray.flatten.affine import dot, length, lengths
from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import (
    ENV_LIGHT,
    LIGHT,
    RECT_LIGHT,
    REGULAR,
    REVERSE,
    SEE_CAMERA,
    SEE_DIFFUSE,
    SEE_GLOSSY,
    SEE_MIRROR,
    SPHERE_LIGHT,
    TWO_SIDED,
)
from arras_ray.scene import SceneContext, SceneObject

FORCE_OFF, FORCE_ON = 0, 1

NOT_YET = {
    "texture": "light textures are not drawn yet",
    "light_filters": "light filters are not drawn yet",
    "spread": "light spread is not drawn yet",
    "clear_radius": "clear radius of lights is not drawn yet",
    "max_shadow_distance": "shadow distances of lights are not drawn yet",
    "min_shadow_distance": "shadow distances of lights are not drawn yet",
    "ray_termination": "lights that end rays are not drawn yet",
    "sample_upper_hemisphere_only": "sample_upper_hemisphere_only is not drawn yet",
}


class Lights:
    """Numbers lights as light sets name them; `run` gives a set's run of light numbers."""

    def __init__(self, context: SceneContext, report: Report) -> None:
        self._variables = context.variables
        self._report = report
        self._records: list[np.ndarray] = []
        self._numbers: dict[str, int | None] = {}
        self._runs: dict[str, tuple[int, int]] = {}
        self._ids: list[int] = []
        self.names: list[str] = []

    def run(self, lightset: SceneObject | None) -> tuple[int, int]:
        """(first, count) in `ids` of a LightSet's lights; none for no set."""
        if lightset is None:
            return 0, 0
        if lightset.name not in self._runs:
            numbers = [self._number(light) for light in lightset.get("lights")]
            lit = [number for number in numbers if number is not None]
            self._runs[lightset.name] = (len(self._ids), len(lit))
            self._ids += lit
        return self._runs[lightset.name]

    def finish(self) -> None:
        """All sets have been seen: freeze the records."""
        self._array = np.concatenate(self._records) if self._records else np.zeros(0, LIGHT)

    def array(self) -> np.ndarray:
        """(n,) LIGHT."""
        return self._array

    def ids(self) -> np.ndarray:
        """(n,) i4: the runs, one after the other."""
        return np.array(self._ids, "i4")

    def camera_ids(self) -> np.ndarray:
        """(n,) i4: the lights a camera ray meets."""
        return np.flatnonzero(self._array["mask"] & SEE_CAMERA).astype("i4")

    def _number(self, light: SceneObject) -> int | None:
        """The light's number, or None for one that is off or not drawn yet."""
        if light.name not in self._numbers:
            record = self._record(light)
            self._numbers[light.name] = None if record is None else len(self._records)
            if record is not None:
                self._records.append(record)
                self.names.append(light.name)
        return self._numbers[light.name]

    def _record(self, light: SceneObject) -> np.ndarray | None:
        shapes = {"RectLight": self._rect, "SphereLight": self._sphere, "EnvLight": self._env}
        kind = light.scene_class.name
        if kind not in shapes:
            self._report.note(f"{kind} is not drawn yet and left out", light.name)
            return None
        for name, remark in NOT_YET.items():
            if light.scene_class.find(name) is not None and not light.is_default(name):
                self._report.note(remark, light.name)
        radiance = np.array(light.get("color"), "f8") * light.get("intensity") * 2.0 ** light.get("exposure")
        if not light.get("on") or not np.isfinite(radiance).all() or radiance.max() <= 0.0:
            return None
        record = np.zeros(1, LIGHT)
        if not shapes[kind](light, record):
            return None
        if kind != "EnvLight":
            area = float(record["area"][0])
            if light.get("normalized"):
                radiance /= area
                if light.get("apply_scene_scale"):
                    radiance /= math.pi * self._variables.get("scene_scale") ** 2
        record["radiance"] = np.maximum(radiance, 0.0)
        record["mask"] = self._mask(light)
        return record

    def _mask(self, light: SceneObject) -> int:
        seen: Any = light.get("visible_in_camera")
        if seen not in (FORCE_OFF, FORCE_ON):
            seen = self._variables.get("lights_visible_in_camera")
        mask = SEE_CAMERA if seen else 0
        for bit, name in (
            (SEE_DIFFUSE, "visible_diffuse_reflection"),
            (SEE_GLOSSY, "visible_glossy_reflection"),
            (SEE_MIRROR, "visible_mirror_reflection"),
        ):
            mask |= bit if light.get(name) else 0
        return mask

    def _rect(self, light: SceneObject, record: np.ndarray) -> bool:
        """width along node x, height along y; it emits along -z."""
        matrix = light.get("node_xform")
        u = matrix[0, :3] * light.get("width") / 2.0
        v = matrix[1, :3] * light.get("height") / 2.0
        normal = np.cross(u, v)
        size = length(normal)
        if not size > 0.0:
            return False
        if abs(dot(u, v)) > 1e-4 * length(u) * length(v):
            self._report.note("a sheared light cannot be drawn and is left out", light.name)
            return False
        normal /= size
        if dot(normal, matrix[2, :3]) > 0.0:
            normal = -normal
        sidedness = light.get("sidedness")
        record["kind"] = RECT_LIGHT
        record["position"], record["u_axis"], record["v_axis"] = matrix[3, :3], u, v
        record["normal"] = -normal if sidedness == REVERSE else normal
        record["sidedness"] = TWO_SIDED if sidedness == TWO_SIDED else REGULAR
        record["area"] = 4.0 * size
        return True

    def _sphere(self, light: SceneObject, record: np.ndarray) -> bool:
        matrix = light.get("node_xform")
        scales = lengths(matrix[:3, :3])
        radius = abs(light.get("radius")) * float(scales[0])
        if not radius > 0.0:
            return False
        if np.ptp(scales) > 1e-3 * scales[0]:
            self._report.note("a SphereLight scaled unevenly is off, as in MoonRay", light.name)
            return False
        record["kind"] = SPHERE_LIGHT
        record["position"] = matrix[3, :3]
        record["radius"] = radius
        record["sidedness"] = light.get("sidedness")
        record["area"] = 4.0 * math.pi * radius * radius
        return True

    def _env(self, light: SceneObject, record: np.ndarray) -> bool:
        record["kind"] = ENV_LIGHT
        return True

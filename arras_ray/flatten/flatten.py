"""The whole scene flattened: rows of the layer, what they name, the camera and the settings.

Objects are visited in the order of the layer's rows, so that the same scene gives the same arrays everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.flatten.camera import camera_record
from arras_ray.flatten.geometry import Geometries
from arras_ray.flatten.lights import Lights
from arras_ray.flatten.materials import Materials
from arras_ray.flatten.report import Report
from arras_ray.flatten.settings import picture_size, samples_per_pixel, settings_record
from arras_ray.kernels.layout import ASSIGNMENT, MAP_ATTRIBUTE, NONE, RenderScene
from arras_ray.scene import Assignment, Delta, Layer, SceneContext


@dataclass(frozen=True)
class FlatScene:
    """A RenderScene with what it does not hold: samples a pixel, names by number, and what was drawn differently."""

    scene: RenderScene
    spp: int
    geometry_names: tuple[str, ...]
    material_names: tuple[str, ...]
    light_names: tuple[str, ...]
    warnings: tuple[str, ...]


class Scope(IntEnum):
    """How much of a scene an edit touches; each includes those before it."""

    NOTHING = 0
    CAMERA = 1
    """The camera and the picture's settings."""
    SHADING = 2
    """Lights, materials and maps."""
    GEOMETRY = 3
    """Everything: Embree's tree has to be built anew."""


SHADING_INTERFACES = ("LIGHT", "LIGHTSET", "LIGHTFILTER", "SHADER")

GEOMETRY_VARIABLES = frozenset(("layer", "motion_steps"))
"""Scene variables by which geometry is another."""


def flatten(context: SceneContext, options: Mapping[str, Any] | None = None) -> FlatScene:
    """Make the kernels' arrays of a scene; they are read-only.

    options override the scene: width, height (pixels), spp (samples a pixel in all), seed. Raises SceneError for a
    scene that cannot be drawn at all: no camera, no layer, planes of the camera that contradict each other.
    """
    return _Parts(context).flat(options or {})


class Flattener:
    """The arrays of a scene that is edited: `flat` now, and `again` after the context was changed.

    Arrays of what an edit does not touch are the same objects as before. Raises SceneError as `flatten` does.
    """

    def __init__(self, context: SceneContext, options: Mapping[str, Any] | None = None) -> None:
        self.context = context
        self._parts = _Parts(context)
        self.flat = self._parts.flat(options or {})
        context.commit()

    def again(self, options: Mapping[str, Any] | None = None) -> Scope:
        """Make anew what the changes since the last time touch, and tell how much that was.

        Raises SceneError for a scene that cannot be drawn; `flat` is then as it was, and the next call makes up for it.
        """
        scope = scope_of(self.context.delta())
        if scope is Scope.GEOMETRY:
            parts = _Parts(self.context)
        elif scope is Scope.SHADING:
            parts = self._parts.shaded_anew()
        else:
            parts = self._parts
        self.flat = parts.flat(options or {})
        self._parts = parts
        self.context.commit()
        return scope


def scope_of(delta: Delta) -> Scope:
    """How much of its scene a change touches."""
    scope = Scope.NOTHING
    for name, attributes in delta.attributes.items():
        item = delta.context[name]
        if item is delta.context.variables:
            of_item = Scope.CAMERA if attributes == ("camera",) else Scope.SHADING
            of_item = Scope.GEOMETRY if GEOMETRY_VARIABLES.intersection(attributes) else of_item
        elif item.is_a("CAMERA"):
            of_item = Scope.CAMERA
        elif any(item.is_a(interface) for interface in SHADING_INTERFACES):
            of_item = Scope.SHADING
        else:
            of_item = Scope.GEOMETRY
        scope = max(scope, of_item)
    return scope


class _Parts:
    """A scene's geometry, and its lights, materials and Layer rows, flattened."""

    def __init__(self, context: SceneContext, earlier: _Parts | None = None) -> None:
        self._context = context
        if context.layer is None:
            raise SceneError(
                "the scene has no Layer, so there is nothing to render",
                hint='add Layer("name") { {geometry, "", material, lightset} }',
            )
        self._report = Report()
        self._lights = Lights(context, self._report)
        self._materials = Materials(self._report)
        self._rows: list[tuple[int, int, int, int]] = []
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._asked: list[tuple[Assignment, int]] = []
        """What the rows were made of, in their order."""
        if earlier is None:
            self._geometries = self._all_geometries(context.layer)
            self._points = self._geometries.points.array()
            self._records, self._triangles = self._geometries.records(), self._geometries.triangles()
        else:
            self._geometries = earlier._geometries
            self._points, self._records, self._triangles = earlier._points, earlier._records, earlier._triangles
            for assignment, part_number in earlier._asked:
                self._row_of(assignment, part_number)
        self._lights.finish()
        self._emitted = max(
            float(self._lights.array()["radiance"].max(initial=0.0)),
            _largest_emission(self._materials, self._geometries.largest_values, self._points),
        )

    def shaded_anew(self) -> _Parts:
        """The same geometry under lights and with materials as they are now."""
        return _Parts(self._context, self)

    def flat(self, options: Mapping[str, Any]) -> FlatScene:
        """All of it, seen by the camera as it is now."""
        context, lights, materials, geometries = self._context, self._lights, self._materials, self._geometries
        seen = Report()
        width, height = picture_size(context, options)
        scene = RenderScene(
            camera=camera_record(context, width, height, seen),
            settings=settings_record(context, width, height, self._emitted, options, seen),
            geometries=self._records,
            triangles=self._triangles,
            points=self._points,
            attributes=geometries.attribute_records(materials.keys),
            assignments=np.array(self._rows, ASSIGNMENT),
            materials=materials.array(),
            maps=materials.map_array(),
            lights=lights.array(),
            light_ids=lights.ids(),
            camera_lights=lights.camera_ids(),
        )
        for array in scene:
            array.flags.writeable = False
        return FlatScene(
            scene=scene,
            spp=samples_per_pixel(context, options),
            geometry_names=tuple(geometries.names),
            material_names=tuple(materials.names),
            light_names=tuple(lights.names),
            warnings=tuple(line for report in (seen, self._report, geometries.report) for line in report.lines()),
        )

    def _row_of(self, assignment: Assignment, part_number: int) -> int:
        """The number of the row for a part of a geometry."""
        key = (assignment.geometry.name, assignment.part, part_number)
        if key not in self._numbers:
            first, count = self._lights.run(assignment.lightset)
            assert assignment.material is not None
            self._rows.append((self._materials.number(assignment.material), first, count, part_number))
            self._numbers[key] = len(self._rows) - 1
            self._asked.append((assignment, part_number))
        return self._numbers[key]

    def _all_geometries(self, layer: Layer) -> Geometries:
        geometries = Geometries(Report())
        for geometry in dict.fromkeys(assignment.geometry for assignment in layer.assignments):
            geometries.add(geometry, layer, self._row_of)
        for assignment in layer.assignments:
            for slot in ("displacement", "volume", "lightfilterset", "shadowset", "shadowreceiverset"):
                target = getattr(assignment, slot)
                if target is not None:
                    geometries.report.note(f"{target.scene_class.name} in the layer has no effect yet", target.name)
        return geometries


def _largest_emission(
    materials: Materials, largest_values: Mapping[tuple[str, str], float], points: np.ndarray
) -> float:
    """The largest radiance any material may send out, with what its map may multiply it by."""
    names = {number: name for name, number in materials.keys.items()}
    maps = materials.map_array()
    largest = 0.0
    for record in materials.array():
        radiance = float(record["emission"].max())
        if record["emission_map"] != NONE:
            bound = maps[record["emission_map"]]
            if bound["kind"] == MAP_ATTRIBUTE:
                radiance *= max(float(bound["default"].max()), largest_values.get(names[int(bound["key"])], 0.0))
            else:
                radiance *= float(points.max(initial=1.0, where=np.isfinite(points)))
        largest = max(largest, radiance)
    return largest

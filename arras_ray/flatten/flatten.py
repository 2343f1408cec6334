"""The whole scene flattened: rows of the layer, what they name, the camera and the settings.

Objects are visited in the order of the layer's rows, so that the same scene gives the same arrays everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from arras_ray.scene import Assignment, SceneContext


@dataclass(frozen=True)
class FlatScene:
    """A RenderScene with what it does not hold: samples a pixel, names by number, and what was drawn differently."""

    scene: RenderScene
    spp: int
    geometry_names: tuple[str, ...]
    material_names: tuple[str, ...]
    light_names: tuple[str, ...]
    warnings: tuple[str, ...]


def flatten(context: SceneContext, options: Mapping[str, Any] | None = None) -> FlatScene:
    """Make the kernels' arrays of a scene; they are read-only.

    options override the scene: width, height (pixels), spp (samples a pixel in all), seed. Raises SceneError for a
    scene that cannot be drawn at all: no camera, no layer, planes of the camera that contradict each other.
    """
    options = options or {}
    report = Report()
    if context.layer is None:
        raise SceneError(
            "the scene has no Layer, so there is nothing to render",
            hint='add Layer("name") { {geometry, "", material, lightset} }',
        )
    width, height = picture_size(context, options)
    camera = camera_record(context, width, height, report)

    lights = Lights(context, report)
    materials = Materials(report)
    geometries = Geometries(report)
    rows: list[tuple[int, int, int, int]] = []
    numbers: dict[tuple[str, str, int], int] = {}

    def row_of(assignment: Assignment, part_number: int) -> int:
        key = (assignment.geometry.name, assignment.part, part_number)
        if key not in numbers:
            first, count = lights.run(assignment.lightset)
            assert assignment.material is not None
            rows.append((materials.number(assignment.material), first, count, part_number))
            numbers[key] = len(rows) - 1
        return numbers[key]

    for geometry in dict.fromkeys(assignment.geometry for assignment in context.layer.assignments):
        geometries.add(geometry, context.layer, row_of)
    for assignment in context.layer.assignments:
        for slot in ("displacement", "volume", "lightfilterset", "shadowset", "shadowreceiverset"):
            target = getattr(assignment, slot)
            if target is not None:
                report.note(f"{target.scene_class.name} in the layer has no effect yet", target.name)

    lights.finish()
    material_array = materials.array()
    points = geometries.points.array()
    emitted = max(
        float(lights.array()["radiance"].max(initial=0.0)),
        _largest_emission(material_array, materials, geometries.largest_values, points),
    )
    scene = RenderScene(
        settings=settings_record(context, width, height, emitted, options, report),
        camera=camera,
        geometries=geometries.records(),
        triangles=geometries.triangles(),
        points=points,
        attributes=geometries.attribute_records(materials.keys),
        assignments=np.array(rows, ASSIGNMENT),
        materials=material_array,
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
        warnings=tuple(report.lines()),
    )


def _largest_emission(
    records: np.ndarray, materials: Materials, largest_values: Mapping[tuple[str, str], float], points: np.ndarray
) -> float:
    """The largest radiance any material may send out, with what its map may multiply it by."""
    names = {number: name for name, number in materials.keys.items()}
    maps = materials.map_array()
    largest = 0.0
    for record in records:
        radiance = float(record["emission"].max())
        if record["emission_map"] != NONE:
            bound = maps[record["emission_map"]]
            if bound["kind"] == MAP_ATTRIBUTE:
                radiance *= max(float(bound["default"].max()), largest_values.get(names[int(bound["key"])], 0.0))
            else:
                radiance *= float(points.max(initial=1.0, where=np.isfinite(points)))
        largest = max(largest, radiance)
    return largest

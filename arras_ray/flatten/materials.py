"""Materials and maps into records. What is not drawn yet is told; a material of another kind becomes a grey Lambert."""

from __future__ import annotations

import numpy as np

from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import (
    MAP,
    MAP_ATTRIBUTE,
    MAP_GEOMETRIC_NORMAL,
    MAP_POSITION,
    MAP_SHADING_NORMAL,
    MAP_ST,
    MATERIAL,
    NONE,
)
from arras_ray.scene import SceneObject

GREY = 0.5
MIN_IOR = 1e-3

BOUND = ("albedo", "emission", "specular", "roughness", "metallic", "metallic_color", "metallic_edge_color")
"""The attributes of a material that maps are applied to, by the names of layout.MATERIAL."""

MAP_KINDS = {0: MAP_ATTRIBUTE, 1: MAP_POSITION, 2: MAP_ST, 3: MAP_SHADING_NORMAL, 4: MAP_GEOMETRIC_NORMAL}
"""AttributeMap.map_type to what the kernels read."""

ATTRIBUTE_TYPES = ("float", "vec2f", "vec3f", "rgb", "int")
"""AttributeMap.primitive_attribute_type, in the order of its enumeration."""

WEIGHTS_NOT_YET = {
    "transmission": ("show_transmission", "transmission"),
    "fuzz": ("show_fuzz", "fuzz"),
    "clearcoat": ("show_clearcoat", "clearcoat"),
    "glitter": ("show_glitter", "glitter"),
    "subsurface scattering": ("show_diffuse", "scattering_radius"),
    "rough diffuse": ("show_diffuse", "diffuse_roughness"),
    "anisotropy": ("show_specular", "anisotropy"),
    "iridescence": ("show_specular", "iridescence"),
}
"""Parts of the Dwa materials that are left out: the switch and the attribute that give them a weight."""


class Materials:
    """Numbers materials and maps as they are met, and the keys of primitive attributes that maps read."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._records: list[np.ndarray] = []
        self._numbers: dict[str, int] = {}
        self._maps: list[np.ndarray] = []
        self._map_numbers: dict[str, int] = {}
        self.keys: dict[tuple[str, str], int] = {}
        """(name, type) of a primitive attribute to its key."""
        self.names: list[str] = []

    def number(self, material: SceneObject) -> int:
        """The material's number."""
        if material.name not in self._numbers:
            self._numbers[material.name] = len(self._records)
            self._records.append(self._record(material))
            self.names.append(material.name)
        return self._numbers[material.name]

    def array(self) -> np.ndarray:
        """(n,) MATERIAL."""
        return np.concatenate(self._records) if self._records else np.zeros(0, MATERIAL)

    def map_array(self) -> np.ndarray:
        """(n,) MAP."""
        return np.concatenate(self._maps) if self._maps else np.zeros(0, MAP)

    def _record(self, material: SceneObject) -> np.ndarray:
        record = np.zeros(1, MATERIAL)
        for name in BOUND:
            record[f"{name}_map"] = NONE
        record["ior"] = 1.5
        kind = material.scene_class.name
        if kind == "DwaEmissiveMaterial":
            self._put(record, material, "emission", material.get("show_emission"))
        elif kind in ("DwaBaseMaterial", "DwaSolidDielectricMaterial"):
            self._dwa(record, material)
        else:
            self._report.note(f"{kind} is not drawn yet; a grey Lambert stands in", material.name)
            record["albedo"] = GREY
        if material.scene_class.find("presence") is not None and not material.is_default("presence"):
            self._report.note("presence is not drawn yet", material.name)
        return record

    def _dwa(self, record: np.ndarray, material: SceneObject) -> None:
        self._put(record, material, "albedo", material.get("show_diffuse"))
        self._put(record, material, "emission", material.get("show_emission"))
        self._put(record, material, "specular", material.get("show_specular"))
        self._put(record, material, "roughness")
        record["ior"] = max(MIN_IOR, material.get("refractive_index"))
        if material.scene_class.find("metallic") is not None:
            for name in ("metallic", "metallic_color", "metallic_edge_color"):
                self._put(record, material, name)
        for part, (switch, weight) in WEIGHTS_NOT_YET.items():
            if material.scene_class.find(weight) is None or not material.get(switch):
                continue
            if material.get(weight) != 0.0 or material.binding(weight) is not None:
                self._report.note(f"materials are drawn without {part} so far", material.name)
        if material.get("input_normal") is not None:
            self._report.note("materials are drawn without normal maps so far", material.name)
        if max(material.get("diffuse_transmission_color")) > 0.0 and material.get("diffuse_transmission") > 0.0:
            self._report.note("materials are drawn without diffuse transmission so far", material.name)
        if material.get("specular_model") == 0 and material.get("show_specular"):
            self._report.note("the Beckmann model is drawn as GGX so far", material.name)

    def _put(self, record: np.ndarray, material: SceneObject, name: str, shown: bool = True) -> None:
        if not shown:
            return
        value = np.array(material.get(name), "f4")
        record[name] = np.maximum(value, 0.0) if name == "emission" else np.clip(value, 0.0, 1.0)
        bound = material.binding(name)
        if bound is not None:
            record[f"{name}_map"] = self._map(bound)

    def _map(self, bound: SceneObject) -> int:
        """The number of a map, or NONE where the attribute's own value has to stand in."""
        if bound.name not in self._map_numbers:
            self._map_numbers[bound.name] = self._add_map(bound)
        return self._map_numbers[bound.name]

    def _add_map(self, bound: SceneObject) -> int:
        kind = bound.scene_class.name
        if kind != "AttributeMap":
            self._report.note(f"{kind} is not drawn yet; the attribute's own value stands in", bound.name)
            return NONE
        map_type = bound.get("map_type")
        if map_type not in MAP_KINDS:
            self._report.note("this map_type of AttributeMap is not drawn yet; the own value stands in", bound.name)
            return NONE
        if bound.binding("default_value") is not None:
            self._report.note("a map on AttributeMap.default_value is not drawn yet", bound.name)
        record = np.zeros(1, MAP)
        record["kind"] = MAP_KINDS[map_type]
        record["default"] = bound.get("default_value")
        key = (bound.get("primitive_attribute_name"), ATTRIBUTE_TYPES[bound.get("primitive_attribute_type")])
        record["key"] = self.keys.setdefault(key, len(self.keys))
        self._maps.append(record)
        return len(self._maps) - 1

"""Scenes as plain dicts, to be compared value by value: what the checkers build from files, and what a context says.

    {name: {"class": name, "attributes": {name: value}, "bindings": {name: reference}, "rows": [...]}}

An object that another refers to is (class, name) or None; a blurrable value is {"begin": value, "end": value};
colours, vectors and matrices are flat tuples; vectors of values are lists. Sets, layers and metadata have rows and no
attributes. Nothing of the package is imported: the schema is read as data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Classes:
    """What schema.json says; rows by class: kind, interfaces, parents, attributes."""

    def __init__(self, rows: Mapping[str, list[Any]]) -> None:
        self.rows = rows
        self._attributes: dict[str, dict[str, dict[str, Any]]] = {}

    def attribute(self, class_name: str, name: str) -> dict[str, Any]:
        """An attribute by its name or an alias. Raises Wrong."""
        try:
            return self._by_name(class_name)[name]
        except KeyError:
            raise Wrong(f"no attribute {name!r} on {class_name}") from None

    def names(self, class_name: str) -> list[str]:
        """The attributes of a class in their order."""
        return [columns[0] for columns in self.rows[class_name][3]]

    def fits(self, class_name: str, accepted: str) -> bool:
        """Whether an object of a class has one of the interfaces that stand there with | between them."""
        return accepted in ("", "GENERIC") or bool(set(accepted.split("|")) & set(self.rows[class_name][1]))

    def _by_name(self, class_name: str) -> dict[str, dict[str, Any]]:
        if class_name not in self._attributes:
            found: dict[str, dict[str, Any]] = {}
            for declared, type_name, default, *rest in self.rows[class_name][3]:
                flags, object_type, aliases, labels = (*rest, *("", "", (), {})[len(rest) :])
                row = {
                    "name": declared, "type": type_name, "default": default, "bindable": "b" in flags,
                    "blurrable": "m" in flags, "object_type": object_type, "labels": labels,
                }  # fmt: skip
                row["comparable"] = comparable(both_steps(_default(row), row["blurrable"]))
                found |= {alias: row for alias in aliases if alias not in found} | {declared: row}
            self._attributes[class_name] = found
        return self._attributes[class_name]


class Wrong(Exception):
    """A file that a checker does not accept."""


SCHEMA_FILE = Path(__file__).parents[2] / "arras_ray" / "scene" / "schema.json"
ROWS: dict[str, list[Any]] = json.loads(SCHEMA_FILE.read_bytes())["classes"]
CLASSES = Classes(ROWS)

MEMBER_SETS = {
    "GeometrySet": "geometries",
    "LightSet": "lights",
    "LightFilterSet": "lightfilters",
    "ShadowSet": "lights",
}
LAYER_COLUMNS = (
    "geometries", "parts", "surface_shaders", "lightsets", "displacements", "volume_shaders", "lightfiltersets",
    "shadowsets", "shadowreceiversets",
)  # fmt: skip
METADATA_COLUMNS = ("name", "type", "value")
WITH_ROWS = {*MEMBER_SETS, "TraceSet", "Layer", "Metadata"}

SIZES = {"Rgb": 3, "Rgba": 4, "Vec2": 2, "Vec3": 3, "Vec4": 4, "Mat4": 16}
"""Components by the kind of a value; Vec3 is that of Vec3f and Vec3d."""


def base_type(type_name: str) -> tuple[str, bool]:
    """The type of one element, and whether the type is a vector."""
    if type_name == "SceneObjectIndexable":
        return "SceneObject", True
    return type_name.removesuffix("Vector"), type_name.endswith("Vector")


def kind_of_type(base: str) -> str:
    """Vec3 of Vec3f and Vec3d, Mat4 of Mat4f and Mat4d, else the type itself."""
    return base[:4] if base[:3] in ("Vec", "Mat") else base


def is_single(base: str) -> bool:
    """Whether components are 32-bit floats."""
    return base in ("float", "Rgb", "Rgba") or (base[:3] in ("Vec", "Mat") and base.endswith("f"))


def rounded(value: float) -> float:
    """The nearest 32-bit float."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def new_object(classes: Classes, class_name: str, name: str) -> dict[str, Any]:
    """An object nothing has been said about. Raises Wrong."""
    if class_name not in classes.rows or classes.rows[class_name][0] == "abstract":
        raise Wrong(f"no class {class_name!r}")
    if not name or (class_name == "SceneVariables") != (name == "__SceneVariables__"):
        raise Wrong(f"an object named {name!r}")
    return {"class": class_name, "attributes": {}, "bindings": {}, "rows": []}


def completed(objects: Mapping[str, Any], classes: Classes) -> dict[str, Any]:
    """The same scene with every attribute that was not mentioned at its default, rows in one order, and each value in
    the form that `comparable` gives it.
    """
    whole = {}
    for name, item in objects.items():
        attributes = {}
        if item["class"] not in WITH_ROWS:
            for attribute in classes.names(item["class"]):
                row = classes.attribute(item["class"], attribute)
                said = attribute in item["attributes"]
                attributes[attribute] = comparable(item["attributes"][attribute]) if said else row["comparable"]
        bindings = {key: target for key, target in item["bindings"].items() if target is not None}
        rows = comparable_rows(item["class"], item["rows"])
        whole[name] = {"class": item["class"], "attributes": attributes, "bindings": bindings, "rows": rows}
    return whole


def both_steps(value: Any, blurrable: bool) -> Any:
    """A value that is the same at both timesteps."""
    return {"begin": value, "end": value} if blurrable else value


def comparable_rows(class_name: str, rows: Sequence[Any]) -> list[Any]:
    """Rows as `comparable` gives them, in an order that does not depend on theirs where theirs has no meaning."""
    compared = [comparable(row) for row in rows]
    return compared if class_name == "Metadata" else sorted(compared, key=repr)


def comparable(value: Any) -> Any:
    """A value that is equal to another only if they are the same: 0.0 is not -0.0, True not 1; every NaN is one."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return f"int {value}"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value.hex()
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    return tuple(comparable(item) for item in value)


def _default(row: Mapping[str, Any]) -> Any:
    base, vector = base_type(row["type"])
    if vector:
        return [_element(base, item) for item in row["default"]]
    return _element(base, row["default"])


def _element(base: str, value: Any) -> Any:
    if base in ("bool", "int", "long", "string", "SceneObject"):
        return value
    if isinstance(value, list):
        return tuple(_element("float" if is_single(base) else "double", item) for item in value)
    return rounded(value) if is_single(base) else float(value)

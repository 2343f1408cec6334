"""The scene classes of RDL2 and their attributes, from the data in `schema.json`."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arras_ray.scene.values import TYPES, ValueType, convert

INTERFACES = (
    "NODE", "GEOMETRY", "GEOMETRYSET", "CAMERA", "ENVMAP", "JOINT", "LIGHT", "LIGHTFILTER", "LIGHTSET",
    "LIGHTFILTERSET", "SHADOWSET", "SHADOWRECEIVERSET", "TRACESET", "LAYER", "METADATA", "USERDATA", "RENDEROUTPUT",
    "SHADER", "ROOTSHADER", "MATERIAL", "DISPLACEMENT", "VOLUMESHADER", "MAP", "NORMALMAP", "DISPLAYFILTER",
    "DWABASELAYERABLE", "DWABASEHAIRLAYERABLE",
)  # fmt: skip
"""What an object can be used as; one bit each in a mask. GENERIC is every object and needs no bit."""

_BITS = {name: 1 << index for index, name in enumerate(INTERFACES)}


def interface_mask(names: Iterable[str]) -> int:
    """The bits of some interfaces."""
    return sum(_BITS[name] for name in set(names))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a class. index: its place in the class's declaration. default: in stored form (`values`)."""

    name: str
    index: int
    type: ValueType
    default: Any
    bindable: bool
    blurrable: bool
    filename: bool
    object_type: str
    """Interfaces an object (or the target of a binding) must have one of, joined by `|`; empty: any object."""
    aliases: tuple[str, ...]
    labels: Mapping[str, int]
    """Names of an enum's values; empty when it is no enum."""

    def accepts(self, scene_class: SceneClass) -> bool:
        """Whether an object of that class may be referred to by this attribute."""
        if self.object_type in ("", "GENERIC"):
            return True
        return bool(scene_class.mask & interface_mask(self.object_type.split("|")))


class SceneClass:
    """A class of scene objects: its attributes in declaration order, its interfaces and parents."""

    def __init__(self, name: str, row: list[Any]) -> None:
        kind, interfaces, parents, attributes = row
        self.name = name
        self.kind: str = kind
        """abstract: there are no objects of it; builtin: every scene has it; dso: it stands in a library of its own."""
        self.abstract = kind == "abstract"
        self.interfaces = frozenset(interfaces)
        self.mask = interface_mask(interfaces)
        self.parents = tuple(parents)
        self.attributes: dict[str, Attribute] = {}
        self._by_any_name: dict[str, Attribute] = {}
        for index, columns in enumerate(attributes):
            attribute = _attribute(index, *columns)
            self.attributes[attribute.name] = attribute
        for attribute in self.attributes.values():
            for name_or_alias in (*attribute.aliases, attribute.name):
                self._by_any_name[name_or_alias] = attribute

    def find(self, name: str) -> Attribute | None:
        """The attribute with exactly this name or alias."""
        return self._by_any_name.get(name)

    def closest(self, name: str) -> str | None:
        """An attribute name much like `name`, for a hint."""
        return _closest(name, self._by_any_name)

    def is_a(self, interface: str) -> bool:
        """Whether objects of this class have an interface."""
        return interface in self.interfaces

    def __repr__(self) -> str:
        return f"SceneClass({self.name!r})"


class Schema:
    """All scene classes. A class is built when it is first asked for."""

    def __init__(self, rows: dict[str, list[Any]]) -> None:
        self._rows = rows
        self._classes: dict[str, SceneClass] = {}

    def find(self, name: str) -> SceneClass | None:
        """The class of exactly this name."""
        found = self._classes.get(name)
        if found is None and name in self._rows:
            found = self._classes[name] = SceneClass(name, self._rows[name])
        return found

    def closest(self, name: str) -> str | None:
        """The name of a class objects can be made of, much like `name`, for a hint."""
        return _closest(name, (known for known, row in self._rows.items() if row[0] != "abstract"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@functools.cache
def load_schema() -> Schema:
    """The schema this package ships; read once."""
    data = json.loads(Path(__file__).with_name("schema.json").read_bytes())
    return Schema(data["classes"])


def _attribute(
    index: int,
    name: str,
    type_name: str,
    default: Any,
    flags: str = "",
    object_type: str = "",
    aliases: Iterable[str] = (),
    labels: Mapping[str, int] | None = None,
) -> Attribute:
    value_type = TYPES[type_name]
    if value_type.family != "object":
        default = convert(default, value_type)
    elif value_type.vector:
        default = ()
    return Attribute(
        name=name,
        index=index,
        type=value_type,
        default=default,
        bindable="b" in flags,
        blurrable="m" in flags,
        filename="f" in flags,
        object_type=object_type,
        aliases=tuple(aliases),
        labels=labels or {},
    )


def _closest(name: str, known: Iterable[str]) -> str | None:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return matches[0] if matches else None

"""The objects that hold other objects: sets of geometry or lights, trace sets, the layer, metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from arras_ray.errors import SceneError
from arras_ray.scene.scene_object import SceneObject
from arras_ray.scene.schema import Attribute

MEMBERS = {"GeometrySet": "geometries", "LightSet": "lights", "LightFilterSet": "lightfilters", "ShadowSet": "lights"}
"""The classes whose members are added by union, and the attribute that holds them."""

METADATA_TYPES = frozenset(
    ("box2i", "box2f", "chromaticities", "double", "float", "int", "m33f", "m44f", "string", "v2i", "v2f", "v3i", "v3f")
)


class MemberSet(SceneObject):
    """A set of objects. A GeometrySet keeps the order in which they came; the others are sorted by name."""

    __slots__ = ("_known",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._known: tuple[Any, set[str]] = ((), set())
        """The members as they were last, and their names: sets grow one by one, to thousands."""

    @property
    def member_attribute(self) -> str:
        """The attribute that holds the members."""
        return MEMBERS[self.scene_class.name]

    @property
    def members(self) -> tuple[SceneObject, ...]:
        """The objects in the set."""
        members: tuple[SceneObject, ...] = self.get(self.member_attribute)
        return members

    def add(self, members: Iterable[SceneObject]) -> None:
        """Put objects into the set; one that is there already stays where it is. Raises ConversionError."""
        attribute = self.attribute(self.member_attribute)
        present, names = self._known
        if present is not self.members:
            present, names = self.members, {member.name for member in self.members}
        accepted = super()._stored(attribute, tuple(members))
        fresh = {member.name: member for member in accepted if member is not None and member.name not in names}
        self._unbind(attribute)
        if fresh:
            longer = self._ordered((*present, *fresh.values()))
            self._put(attribute, (longer, longer))
            names.update(fresh)
            self._known = longer, names

    def _compared(self, attribute: Attribute) -> tuple[Any, ...]:
        if attribute.name != self.member_attribute:
            return super()._compared(attribute)
        return (sorted(map(repr, self.members)),)

    def _stored(self, attribute: Attribute, value: Any) -> Any:
        members = {member.name: member for member in super()._stored(attribute, value) if member is not None}
        return self._ordered(tuple(members.values()))

    def _ordered(self, members: tuple[SceneObject, ...]) -> tuple[SceneObject, ...]:
        return members if self.scene_class.name == "GeometrySet" else tuple(sorted(members, key=attrgetter("name")))


class TraceSet(SceneObject):
    """Pairs of a geometry and the name of one of its parts (empty: all of it)."""

    __slots__ = ("_seen",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: tuple[Any, Any, set[tuple[SceneObject, str]]] = (None, None, set())
        """The two columns as they were last, and the pairs in them: sets grow one by one, to thousands."""

    @property
    def rows(self) -> tuple[tuple[SceneObject, str], ...]:
        """The pairs, in the order in which they came."""
        return tuple(zip(self.get("geometries"), self.get("parts"), strict=False))

    def add(self, geometry: SceneObject, part: str) -> None:
        """Put a pair into the set. Raises ConversionError."""
        geometries, parts, seen = self._seen
        if geometries is not self.get("geometries") or parts is not self.get("parts"):
            seen = set(self.rows)
        if (geometry, part) not in seen:
            self._append("geometries", geometry)
            self._append("parts", part)
            seen.add((geometry, part))
            self._seen = (self.get("geometries"), self.get("parts"), seen)

    def _compared(self, attribute: Attribute) -> tuple[Any, ...]:
        if attribute.name not in ("geometries", "parts"):
            return super()._compared(attribute)
        return (sorted(map(repr, self.rows)),)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one part of one geometry looks like. part "" stands for every part that has no row of its own.

    A part with neither material nor volume is not rendered.
    """

    geometry: SceneObject
    part: str
    material: SceneObject | None = None
    lightset: SceneObject | None = None
    displacement: SceneObject | None = None
    volume: SceneObject | None = None
    lightfilterset: SceneObject | None = None
    shadowset: SceneObject | None = None
    shadowreceiverset: SceneObject | None = None

    @property
    def objects(self) -> tuple[SceneObject | None, ...]:
        """What is assigned, in the order of the fields."""
        return tuple(getattr(self, slot) for slot in _ORDERED_SLOTS)


_COLUMNS = {
    "geometries": "geometry",
    "parts": "part",
    "surface_shaders": "material",
    "lightsets": "lightset",
    "displacements": "displacement",
    "volume_shaders": "volume",
    "lightfiltersets": "lightfilterset",
    "shadowsets": "shadowset",
    "shadowreceiversets": "shadowreceiverset",
}

_ORDERED_SLOTS = tuple(_COLUMNS.values())[2:]

# the first that fits names the slot: a ShadowSet is a LightSet too
_SLOTS = {
    "MATERIAL": "material",
    "SHADOWSET": "shadowset",
    "LIGHTSET": "lightset",
    "DISPLACEMENT": "displacement",
    "VOLUMESHADER": "volume",
    "LIGHTFILTERSET": "lightfilterset",
    "SHADOWRECEIVERSET": "shadowreceiverset",
}


class Layer(SceneObject):
    """The assignments of a scene, one row for each (geometry, part). Its attributes are the columns of the rows."""

    __slots__ = ("_rows",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._rows: dict[tuple[str, str], Assignment] = {}

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """All rows, in the order in which their keys first came."""
        return tuple(self._rows.values())

    def assign(self, geometry: SceneObject, part: str, objects: Iterable[SceneObject]) -> None:
        """Assign objects, each to the slot of its kind; a row of the same key is replaced with all its slots.

        Raises SceneError for two objects of one kind and for kinds a layer has no slot for.
        """
        if not geometry.is_a("GEOMETRY"):
            raise SceneError(f"{geometry} is no geometry", object=self.name)
        slots: dict[str, SceneObject] = {}
        for target in objects:
            slot = next((slot for interface, slot in _SLOTS.items() if target.is_a(interface)), None)
            if slot is None:
                raise SceneError(f"{target} cannot be assigned by a layer", object=self.name)
            if slot in slots:
                raise SceneError(f"two objects for one slot: {slots[slot]} and {target}", object=self.name)
            slots[slot] = target
        if "volume" in slots:
            part = ""
        row = Assignment(geometry, part, **slots)
        if self._rows.get((geometry.name, part)) != row:
            for attribute in self.scene_class.attributes.values():
                self._remember(attribute)
            self._rows[geometry.name, part] = row

    def lookup(self, geometry: SceneObject, part: str) -> Assignment | None:
        """The row of a part: its own, else that of the whole geometry."""
        return self._rows.get((geometry.name, part)) or self._rows.get((geometry.name, ""))

    def assign_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Assign rows given as parallel columns, by attribute name; a column that is missing or empty is all None.

        Raises SceneError.
        """
        geometries = columns.get("geometries", ())
        for name, column in columns.items():
            if len(column) not in (0, len(geometries)):
                raise SceneError(f"{len(column)} {name} for {len(geometries)} geometries", object=self.name)
        others = [column for name, column in columns.items() if name not in ("geometries", "parts") and len(column)]
        parts = columns.get("parts") or [""] * len(geometries)
        for row, (geometry, part) in enumerate(zip(geometries, parts, strict=True)):
            if geometry is not None:
                self.assign(geometry, part, [column[row] for column in others if column[row] is not None])

    def _pair(self, attribute: Attribute) -> tuple[Any, Any]:
        column = tuple(getattr(row, _COLUMNS[attribute.name]) for row in self._rows.values())
        if all(cell is None for cell in column):
            column = ()
        return column, column

    def _compared(self, attribute: Attribute) -> tuple[Any, ...]:
        rows = sorted((key, repr(getattr(row, _COLUMNS[attribute.name]))) for key, row in self._rows.items())
        return (rows,)

    def _put(self, attribute: Attribute, pair: tuple[Any, Any]) -> None:
        raise SceneError("a layer is changed row by row, by assign", object=self.name, attribute=attribute.name)


class Metadata(SceneObject):
    """Entries for the header of a picture file."""

    __slots__ = ()

    @property
    def entries(self) -> tuple[tuple[str, str, str], ...]:
        """(name, type, value) of each entry."""
        return tuple(zip(self.get("name"), self.get("type"), self.get("value"), strict=False))

    def replace(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Replace all entries. Raises SceneError for a type a header does not know."""
        for _, type_name, _ in entries:
            if type_name not in METADATA_TYPES:
                raise SceneError(f"no metadata type '{type_name}'", object=self.name)
        for index, attribute in enumerate(("name", "type", "value")):
            self.set(attribute, [entry[index] for entry in entries])


SPECIAL: dict[str, type[SceneObject]] = {
    **dict.fromkeys(MEMBERS, MemberSet),
    "TraceSet": TraceSet,
    "Layer": Layer,
    "Metadata": Metadata,
}

"""The classes with Python classes of their own; all others are plain SceneObjects."""

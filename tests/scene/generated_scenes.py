"""Scenes that hypothesis makes up: steps to build one, any classes, values of every type, sets, layers, references.

A scene is a list of steps, plain data, so that the same scene can be built twice and changed in two ways.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from plain_scene import (
    MEMBER_SETS,
    METADATA_COLUMNS,
    ROWS,
    SIZES,
    WITH_ROWS,
    Classes,
    base_type,
    comparable,
    comparable_rows,
    is_single,
    kind_of_type,
)

from arras_ray.scene import BEGIN, END, Layer, MemberSet, Metadata, SceneContext, SceneObject, Schema, TraceSet

BASES = (
    "bool", "int", "long", "float", "double", "string", "Rgb", "Rgba", "Vec2f", "Vec2d", "Vec3f", "Vec3d", "Vec4f",
    "Vec4d", "Mat4f", "Mat4d", "SceneObject",
)  # fmt: skip


def _zero(base: str) -> Any:
    kind = kind_of_type(base)
    if kind == "Mat4":
        return np.eye(4).ravel().tolist()
    return [0.0] * SIZES[kind] if kind in SIZES else {"bool": False, "string": "", "SceneObject": None}.get(base, 0)


def _every_type() -> list[Any]:
    """A class with an attribute of every type and kind, which no class of the schema has."""
    attributes: list[Any] = []
    for base in BASES:
        for flags in ("", "b", "m", "bm"):
            if base != "SceneObject" or "m" not in flags:  # references have one value for all timesteps
                attributes.append([f"{base} {flags}", base, _zero(base), flags, "", [f"{base}_{flags}_alias"]])
        attributes.append([base + "Vector", base + "Vector", []])
        attributes.append([base + "Vector b", base + "Vector", [], "b", "MAP|CAMERA"])
    attributes.append(["indexable", "SceneObjectIndexable", [], "", "GENERIC"])
    attributes.append(["label", "int", 1, "b", "", [], {"a": 0, 'b "quoted"': 1, "same as a": 0, "": 7}])
    return ["dso", ["SHADER", "MAP"], ["SceneObject"], attributes]


ALL_ROWS = {**ROWS, "EveryType": _every_type()}
ALL_CLASSES = Classes(ALL_ROWS)
ALL_SCHEMA = Schema(ALL_ROWS)
"""The schema that ships, and EveryType."""

CONCRETE = [name for name, row in ROWS.items() if row[0] != "abstract" and name != "SceneVariables"]
FAVOURITES = [
    "SphereGeometry", "BoxGeometry", "RectLight", "SphereLight", "DwaBaseMaterial", "BaseVolume", "ImageMap",
    "UserData", "NormalDisplacement", "IntensityLightFilter", "PerspectiveCamera", "OrthographicCamera",
    "ShadowReceiverSet", "RdlMeshGeometry", "RenderOutput", "Joint", *WITH_ROWS, "Layer",
]  # fmt: skip
STAGE = [
    ("g", "SphereGeometry"), ("h", "BoxGeometry"), ("m", "DwaBaseMaterial"), ("v", "BaseVolume"), ("l", "RectLight"),
    ("d", "NormalDisplacement"), ("filters", "LightFilterSet"), ("lights", "LightSet"), ("shadows", "ShadowSet"),
    ("receivers", "ShadowReceiverSet"), ("layer", "Layer"), ("trace", "TraceSet"), ("c2", "PerspectiveCamera"),
    ("i", "ImageMap"),
]  # fmt: skip
"""What rows of a layer are made of, and a bound attribute; in half of all scenes."""
METADATA_TYPES = ["box2i", "chromaticities", "string", "m44f", "v3i"]
VARIABLES = "__SceneVariables__"


class Ref(NamedTuple):
    """An object by its name, in a step; not a tuple of values."""

    name: str


Step = tuple[Any, ...]
"""A method's name and its arguments, for `apply`."""


# --- values

_SINGLES = [
    0.0, -0.0, 1.0, 0.1, 1 / 3, 16777217.0, 1e-45, 1.1754942e-38, 3.4028234663852886e38, 1e10, -123456.79,
    0.11898497492074966, 122.05997467041016, float("nan"), -float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
_INTS = [0, 1, -1, 255, 63, 64, (1 << 31) - 1, -(1 << 31)]

EDGES: dict[str, list[Any]] = {
    "bool": [True, False],
    "int": _INTS,
    "long": [*_INTS, (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1, 1 << 31, 1 << 53, (1 << 53) + 1],
    "float": _SINGLES,
    "double": [
        *_SINGLES, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 2.0**53 + 2, 1e17, -(2.0**63), 1e-5,
        0.1 + 0.2,
    ],
    "string": [
        "", '"', "\\", "'", "\n", "\r\n", "\0", "\0001", "\x7f", "]]", "--", "\\n", "\x1a", "\x85", "é", "\udcff",
        "a" * 300,
    ],
}  # fmt: skip
"""Values at the edges of their types, and those that text easily loses."""


def _any_bytes(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


SINGLES = st.sampled_from(EDGES["float"]) | st.floats(width=32)
DOUBLES = st.sampled_from(EDGES["double"]) | st.floats()
INTS = st.sampled_from(EDGES["int"]) | st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.sampled_from(EDGES["long"]) | st.integers(-(1 << 63), (1 << 63) - 1)
STRINGS = st.sampled_from(EDGES["string"]) | st.text(max_size=6) | st.binary(max_size=6).map(_any_bytes)
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3) | STRINGS.filter(bool)


def _components(base: str) -> st.SearchStrategy[Any]:
    number = SINGLES if is_single(base) else DOUBLES
    size = SIZES[kind_of_type(base)]
    return st.lists(number, min_size=size, max_size=size)


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(), "int": INTS, "long": LONGS, "float": SINGLES, "double": DOUBLES, "string": STRINGS,
    **{base: _components(base) for base in BASES if kind_of_type(base) in SIZES},
}  # fmt: skip


def _array(base: str, values: list[Any]) -> Any:
    """Numbers as an array, which keeps the bits of those that are none."""
    if base in ("string", "SceneObject"):
        return values
    kind = {"bool": "?", "int": "i4", "long": "i8"}.get(base, "f4" if is_single(base) else "f8")
    shape: tuple[int, ...] = (-1, 4, 4) if kind_of_type(base) == "Mat4" else (-1, SIZES.get(kind_of_type(base), 0))
    with np.errstate(over="ignore"):
        array = np.array(values, kind)
    return array.reshape(shape) if shape[-1] and len(values) else array


def _values(row: dict[str, Any], references: Sequence[str]) -> st.SearchStrategy[Any]:
    """What an attribute may be set to."""
    base, vector = base_type(row["type"])
    if base == "SceneObject":
        one: st.SearchStrategy[Any] = st.none() | (st.sampled_from(references).map(Ref) if references else st.none())
    elif row["labels"] and not vector:
        one = st.sampled_from(list(row["labels"])) | INTS
    else:
        return _of_type(base, vector)
    return _lists(one, base) if vector else one


@functools.cache
def _of_type(base: str, vector: bool) -> st.SearchStrategy[Any]:
    return _lists(_SCALARS[base], base) if vector else _SCALARS[base]


def _lists(one: st.SearchStrategy[Any], base: str) -> st.SearchStrategy[Any]:
    lists = st.lists(one, max_size=4) | st.builds(lambda item, n: [item] * n, one, st.sampled_from([12, 13, 14, 250]))
    return lists.map(lambda values: _array(base, values))


# --- steps


@st.composite
def scenes(draw: st.DrawFn, most: int = 8, rows: Classes = ALL_CLASSES) -> list[Step]:
    """Steps that build a scene of up to `most` objects besides the scene variables."""
    classes = st.sampled_from(FAVOURITES) | st.sampled_from(CONCRETE)
    if "EveryType" in rows.rows:
        classes |= st.just("EveryType")
    pairs = draw(st.lists(st.tuples(classes, NAMES), max_size=most, unique_by=lambda pair: pair[1]))
    steps: list[Step] = [("create", kind, name) for kind, name in pairs]
    if draw(st.booleans()):
        steps = [("create", kind, name) for name, kind in draw(st.permutations(STAGE))]
        steps += [("create", kind, name) for kind, name in pairs if name not in dict(STAGE)]
        steps += [("bind", "m", "albedo", "i"), ("members", "lights", ["l"]), ("row", "trace", "g", "a", [])]
        steps.append(("row", "layer", "g", "", ["m", "lights", "d"]))
    return steps + draw(changes(made_by(steps), rows, most=2 * most))


@st.composite
def changes(draw: st.DrawFn, made: dict[str, str], rows: Classes = ALL_CLASSES, most: int = 6) -> list[Step]:
    """Steps that change some of the objects there are; made: class by name."""
    steps: list[Step] = []
    names = st.sampled_from(list(made))
    if with_rows := [name for name, kind in made.items() if kind in WITH_ROWS]:
        names |= st.sampled_from(with_rows)
    for name in draw(st.lists(names, max_size=most)):
        steps += _change(draw, name, made, rows)
    return steps


@st.composite
def changed_scenes(draw: st.DrawFn, new_objects: int = 2) -> tuple[list[Step], list[Step]]:
    """Steps that build a scene, and steps that change it: new objects and new values."""
    first = draw(scenes(most=5))
    made = made_by(first)
    new_one = st.tuples(st.sampled_from(FAVOURITES), NAMES)
    pairs = draw(st.lists(new_one, max_size=new_objects, unique_by=lambda pair: pair[1]))
    new = {name: kind for kind, name in pairs if name not in made}
    then: list[Step] = [("create", kind, name) for name, kind in new.items()]
    return first, then + draw(_takings_back(first)) + draw(changes(made | new))


def _takings_back(steps: Sequence[Step]) -> st.SearchStrategy[list[Step]]:
    """Some bindings ended and sets emptied, which chance seldom hits on."""
    back: list[Step] = [("bind", *step[1:3], None) for step in steps if step[0] == "bind"]
    back += [("members", step[1], []) for step in steps if step[0] in ("members", "add")]
    return st.lists(st.sampled_from(back), max_size=2) if back else st.just([])


def made_by(steps: Sequence[Step]) -> dict[str, str]:
    """Classes by name of the objects that some steps make."""
    return {VARIABLES: "SceneVariables", **{step[2]: step[1] for step in steps if step[0] == "create"}}


def _change(draw: st.DrawFn, name: str, made: dict[str, str], classes: Classes) -> list[Step]:
    kind = made[name]

    def fitting(accepted: str) -> list[str]:
        return [other for other, of in made.items() if classes.fits(of, accepted)]

    if kind in MEMBER_SETS:
        members = fitting(classes.attribute(kind, MEMBER_SETS[kind])["object_type"])
        chosen = draw(st.lists(st.sampled_from(members), max_size=4)) if members else []
        return [(draw(st.sampled_from(["members", "add"])), name, chosen)]
    if kind == "Metadata":
        entry = st.tuples(STRINGS, st.sampled_from(METADATA_TYPES), STRINGS)
        return [("metadata", name, draw(st.lists(entry, max_size=3)))]
    if kind in ("TraceSet", "Layer"):
        geometries = fitting("GEOMETRY")
        if not geometries:
            return []
        steps: list[Step] = []
        for _ in range(draw(st.integers(1, 3))):
            geometry, part = draw(st.sampled_from(geometries)), draw(st.sampled_from(["", "a", "b"]) | STRINGS)
            steps.append(("row", name, geometry, part, _assigned(draw, made, classes) if kind == "Layer" else []))
        return steps
    steps = []
    names = st.sampled_from(classes.names(kind) or [""])  # some classes have no attributes
    if kind == "SceneVariables":
        names = st.sampled_from(["camera", "layer"]) | names  # what decides through what a scene is seen
    for attribute in draw(st.lists(names, min_size=1, max_size=3)) if classes.names(kind) else ():
        row = classes.attribute(kind, attribute)
        # MoonRay's reader takes no such set as a value
        references = [other for other in fitting(row["object_type"]) if made[other] != "ShadowReceiverSet"]
        values = _values(row, references)
        if draw(st.booleans()) and row["blurrable"]:
            steps.append(("blur", name, attribute, draw(values), draw(values)))
        elif draw(st.integers(0, 3)):
            steps.append(("set", name, attribute, draw(values)))
        if row["bindable"] and draw(st.booleans()):
            steps.append(("bind", name, attribute, draw(st.none() | st.sampled_from(references or [None]))))
    return steps


def _assigned(draw: st.DrawFn, made: dict[str, str], classes: Classes) -> list[str]:
    """Objects for a layer's row, at most one of a kind."""
    slots: dict[str, str] = {}
    for other in draw(st.lists(st.sampled_from(list(made)), max_size=6)):
        interfaces = classes.rows[made[other]][1]
        for slot in ("MATERIAL", "SHADOWSET", "LIGHTSET", "DISPLACEMENT", "VOLUMESHADER", "LIGHTFILTERSET",
                     "SHADOWRECEIVERSET"):  # fmt: skip
            if slot in interfaces:
                slots.setdefault(slot, other)
                break
    return list(slots.values())


# --- contexts


def build(steps: Sequence[Step], schema: Schema = ALL_SCHEMA) -> SceneContext:
    """The context some steps lead to."""
    context = SceneContext(schema)
    apply(context, steps)
    return context


def apply(context: SceneContext, steps: Sequence[Step]) -> None:
    """Take some steps in a context."""
    for action, *arguments in steps:
        if action == "create":
            context.create(*arguments)
            continue
        name, *rest = arguments
        item = context[name]
        if action == "set":
            item.set(rest[0], _resolved(context, rest[1]))
        elif action == "blur":
            item.set_blur(rest[0], _resolved(context, rest[1]), _resolved(context, rest[2]))
        elif action == "bind":
            item.bind(rest[0], None if rest[1] is None else context[rest[1]])
        elif action == "metadata":
            assert isinstance(item, Metadata)
            item.replace(rest[0])
        elif action == "row" and isinstance(item, Layer):
            item.assign(context[rest[0]], rest[1], [context[other] for other in rest[2]])
        elif action == "row":
            assert isinstance(item, TraceSet)
            item.add(context[rest[0]], rest[1])
        else:
            assert isinstance(item, MemberSet)
            members = [context[other] for other in rest[0]]
            if action == "add":
                item.add(members)
            else:
                item.set(item.member_attribute, members)


def _resolved(context: SceneContext, value: Any) -> Any:
    if isinstance(value, Ref):
        return context[value.name]
    return [_resolved(context, item) for item in value] if isinstance(value, list) else value


def plain(context: SceneContext) -> dict[str, Any]:
    """A context as `plain_scene.completed` gives it."""
    return {item.name: _plain_object(item) for item in context}


def _plain_object(item: SceneObject) -> dict[str, Any]:
    kind = item.scene_class.name
    described: dict[str, Any] = {"class": kind, "attributes": {}, "bindings": {}, "rows": []}
    if kind in WITH_ROWS:
        return described | {"rows": comparable_rows(kind, _plain_rows(item))}
    for name, attribute in item.scene_class.attributes.items():
        begin, end = item.get(name, BEGIN), item.get(name, END)
        untouched = begin is attribute.default and end is attribute.default
        value = _DEFAULTS.get((kind, name)) if untouched else None
        if value is None:
            begin, end = (_plain_value(one, attribute.type.name) for one in (begin, end))
            value = comparable({"begin": begin, "end": end} if attribute.blurrable else end)
            if untouched:
                _DEFAULTS[kind, name] = value
        described["attributes"][name] = value
        if bound := item.binding(name):
            described["bindings"][name] = _reference(bound)
    return described


_DEFAULTS: dict[tuple[str, str], Any] = {}
"""Comparable values of attributes that nothing was said about, which are most, by class and name."""


def _plain_rows(item: SceneObject) -> list[Any]:
    kind = item.scene_class.name
    if isinstance(item, MemberSet):
        return [_reference(member) for member in item.members]
    if isinstance(item, Layer):
        return [(_reference(row.geometry), row.part, *map(_reference, row.objects)) for row in item.assignments]
    columns = ("geometries", "parts") if kind == "TraceSet" else METADATA_COLUMNS
    return list(zip(*([_reference(cell) for cell in item.get(column)] for column in columns), strict=True))


def _reference(target: Any) -> Any:
    return (target.scene_class.name, target.name) if isinstance(target, SceneObject) else target


def _plain_value(value: Any, type_name: str) -> Any:
    base, vector = base_type(type_name)
    if vector:
        return [_plain_value(item, base) for item in value]
    if base == "SceneObject":
        return _reference(value)
    if kind_of_type(base) in SIZES:
        return tuple(np.asarray(value, "f8").ravel().tolist())
    return value.item() if isinstance(value, np.generic) else value

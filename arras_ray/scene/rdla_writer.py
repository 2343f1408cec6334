"""Writes RDLA, laid out as MoonRay's own writer does it: objects in groups of their kind, sorted by name.

Three things differ so that what is read back is the same scene: strings are escaped, a ShadowReceiverSet is written as
what it is (attributes), and rows of layers and members of sets keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.schema import Attribute
from arras_ray.scene.sets import Layer, MemberSet, Metadata, TraceSet
from arras_ray.scene.style import Style
from arras_ray.scene.values import ValueType

GROUPS = (
    "MAP", "JOINT", "GEOMETRY", "GEOMETRYSET", "ENVMAP", "TRACESET", "MATERIAL", "LIGHT", "LIGHTFILTERSET", "LIGHTSET",
    "SHADOWSET", "LAYER", "CAMERA", "METADATA",
)  # fmt: skip
"""Interfaces in the order in which objects are written; all others come last."""

_INDENT = "    "
_SHORTEST_INT = -(1 << 63)
"""Lua reads its digits as a float."""


def encode(context: SceneContext, only: Mapping[str, Iterable[str]] | None = None, style: Style | None = None) -> bytes:
    """A scene as an RDLA program. only: objects by name, with the attributes to write of each, whatever they are."""
    return b"".join(pieces(context, only, style))


def pieces(
    context: SceneContext, only: Mapping[str, Iterable[str]] | None = None, style: Style | None = None
) -> Iterator[bytes]:
    """The same, object by object. Raises SceneError for a string that has no bytes."""
    writer = _Writer(style or Style())
    items = list(context) if only is None else [context[name] for name in only]
    # "the first one" is what a scene is seen through and rendered by where its variables say nothing
    for what, first, interface in (("camera", context.camera, "CAMERA"), ("layer", context.layer, "LAYER")):
        several = sum(item.is_a(interface) for item in items) > 1
        if first is not None and first in items and several and context.variables.get(what) is None:
            yield _bytes(f"{reference(first)}\n\n")
    for index, item in enumerate(sorted(items, key=_place)):
        if only is not None:
            attributes = [item.attribute(name) for name in only[item.name]]
        elif writer.style.skip_defaults:
            attributes = item.non_default_attributes()
        else:
            attributes = list(item.scene_class.attributes.values())
        try:
            yield _bytes("\n" * (index > 0) + writer.block(item, attributes))
        except UnicodeEncodeError:
            raise SceneError(
                f"{item.name!a} has a string that cannot be written: a character of it is half of a surrogate pair",
                object=item.name,
            ) from None


def reference(target: SceneObject | None) -> str:
    """An object where it is a value."""
    if target is None:
        return "undef()"
    if target is target.context.variables:
        return "SceneVariables"  # an object there, and no function that makes one
    return f"{target.scene_class.name}({quoted(target.name)})"


def quoted(text: str) -> str:
    """A string as Lua reads it; its bytes, if they are no UTF-8, stay as they are."""
    return '"' + text.translate(_ESCAPES) + '"'


_ESCAPES = {code: f"\\{code:03d}" for code in (*range(32), 127)} | {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\t"): "\\t",
}


def value_text(value: Any, attribute: Attribute) -> str:
    """One value of an attribute that is no vector, in its stored form."""
    kind = attribute.type
    if attribute.labels:
        label = next((label for label, number in attribute.labels.items() if number == value), None)
        return _whole(value) if label is None else quoted(label)
    if kind.family == "object":
        return reference(value)
    return _scalar(kind)(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _place(item: SceneObject) -> tuple[int, str, str]:
    if item is item.context.variables:
        return -1, "", ""
    group = next((index for index, interface in enumerate(GROUPS) if item.is_a(interface)), len(GROUPS))
    return group, item.name, item.scene_class.name


class _Writer:
    def __init__(self, style: Style) -> None:
        self.style = style

    def block(self, item: SceneObject, attributes: Sequence[Attribute]) -> str:
        """An object and what is to be said of it."""
        lines = "".join(f"{_INDENT}{line},\n" for line in self._lines(item, attributes))
        return f"{reference(item)} {{\n{lines}}}\n"

    def _lines(self, item: SceneObject, attributes: Sequence[Attribute]) -> Iterable[str]:
        if isinstance(item, MemberSet | Layer | TraceSet | Metadata):
            return _rows(item) if attributes else ()
        texts = ((attribute, self._value(item, attribute)) for attribute in attributes)
        return (f"[{quoted(attribute.name)}] = {text}" for attribute, text in texts if text)

    def _value(self, item: SceneObject, attribute: Attribute) -> str:
        begin, end = item.get(attribute.name, BEGIN), item.get(attribute.name, END)
        longest = self.style.longest_vector
        bound = item.binding(attribute.name)
        if not attribute.type.vector:
            text = value_text(end, attribute)
            if attribute.blurrable:
                text = f"blur({value_text(begin, attribute)}, {text})"
        elif longest is None or len(end) <= longest:
            text = self._vector(end, attribute.type)
        else:
            return f"bind({reference(bound)})" if bound is not None else ""
        return f"bind({reference(bound)}, {text})" if attribute.bindable else text

    def _vector(self, values: Any, kind: ValueType) -> str:
        if not len(values):
            return "{}"
        texts = iter(element_texts(values, kind))
        count = self.style.elements_per_line or len(values)
        lines = iter(lambda: ", ".join(islice(texts, count)), "")
        return "{ " + f",\n{2 * _INDENT}".join(lines) + "}"


def _rows(item: MemberSet | Layer | TraceSet | Metadata) -> Iterable[str]:
    if isinstance(item, MemberSet):
        return map(reference, item.members)
    if isinstance(item, Metadata):
        return ("{" + ", ".join(map(quoted, entry)) + "}" for entry in item.entries)
    if isinstance(item, TraceSet):
        return (f"{{{reference(geometry)}, {quoted(part)}}}" for geometry, part in item.rows)
    return (
        "{" + ", ".join((reference(row.geometry), quoted(row.part), *map(reference, row.objects))) + "}"
        for row in item.assignments
    )


def _scalar(kind: ValueType) -> Callable[[Any], str]:
    """What writes a value that is no vector, no label and no object."""
    if kind.family == "bool":
        return lambda value: "true" if value else "false"
    if kind.family == "int":
        return _whole
    if kind.family == "string":
        return quoted
    digits = _digits(kind)
    if kind.family == "float":
        return lambda value: _number(value, digits)
    return lambda value: f"{kind.kind}({', '.join(_number(x, digits) for x in np.ravel(value).tolist())})"


def _digits(kind: ValueType) -> str:
    """So many decimal digits read back as the same number."""
    return "%.17g" if kind.dtype == np.dtype("<f8") else "%.9g"


def element_texts(values: Any, kind: ValueType) -> Iterable[str]:
    """The elements of a vector, in its stored form."""
    if kind.family == "object":
        return map(reference, values)
    if kind.family == "string":
        return map(quoted, values)
    if kind.dtype is None or kind.dtype.kind != "f":
        return map(_scalar(kind), values.tolist())
    flat = values.reshape(len(values), -1)
    if not np.isfinite(flat).all() or (np.signbit(flat) & (flat == 0.0)).any():
        return map(_scalar(kind), flat if flat.shape[1] > 1 else flat[:, 0].tolist())
    digits = _digits(kind)
    form = ", ".join([digits] * flat.shape[1])
    form = f"{kind.kind}({form})" if kind.shape else form
    return map(form.__mod__, map(tuple, flat.tolist()))


def _whole(value: int) -> str:
    return "math.mininteger" if value == _SHORTEST_INT else str(value)


def _number(value: float, digits: str) -> str:
    if value == 0.0:
        return "-0.0" if str(value) == "-0.0" else "0"  # Lua's -0 is an integer without a sign
    if not isfinite(value):
        return "0/0" if value != value else "1/0" if value > 0.0 else "-1/0"
    return digits % value

"""Scene values as `scene print` and `scene classes` show them: as RDLA has them, or as JSON."""

from __future__ import annotations

import re
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from arras_ray.scene import BEGIN, END, SceneObject
from arras_ray.scene.rdla_writer import element_texts, reference, value_text
from arras_ray.scene.values import same

if TYPE_CHECKING:
    from arras_ray.scene import Attribute
    from arras_ray.scene.values import ValueType

CUT = 8
"""So many elements of a long vector are shown."""


_NUMBER = re.compile(r"(?<![A-Za-z])-?\d[\d.e+-]*")


def stored_text(value: Any, attribute: Attribute, most: int | None = None) -> str:
    """A value in its stored form, as RDLA has it. most: of a longer vector only so many elements, and its length."""
    kind = attribute.type
    if not kind.vector:
        return _short(value_text(value, attribute), kind)
    if not len(value):
        return "{}"
    count = len(value) if most is None else most
    texts = _short(", ".join(islice(element_texts(value[:count], kind), count)), kind)
    left = f", ... {len(value)} in all" if len(value) > count else ""
    return f"{{ {texts}{left} }}"


def _short(text: str, kind: ValueType) -> str:
    """Numbers with as few digits as tell them from their neighbours."""
    if kind.dtype is None or kind.dtype.kind != "f":
        return text
    number = kind.dtype.type
    return _NUMBER.sub(lambda match: str(number(match[0])).removesuffix(".0"), text)


def attribute_text(item: SceneObject, attribute: Attribute, most: int | None = None) -> str:
    """What an object's attribute is: its value, its two values where they differ, and what it is bound to."""
    begin, end = item.get(attribute.name, BEGIN), item.get(attribute.name, END)
    text = stored_text(end, attribute, most)
    if not same(begin, end):
        text = f"blur({stored_text(begin, attribute, most)}, {text})"
    bound = item.binding(attribute.name)
    return text if bound is None else f"bind({reference(bound)}, {text})"


def attribute_json(item: SceneObject, attribute: Attribute) -> dict[str, Any]:
    """The same for programs: type, value, and where they are there begin (value is the end then) and binding."""
    begin, end = item.get(attribute.name, BEGIN), item.get(attribute.name, END)
    told = {"type": attribute.type.name, "value": value_json(end)}
    label = next((label for label, number in attribute.labels.items() if number == end), None)
    if label is not None:
        told["label"] = label
    if not same(begin, end):
        told["begin"] = value_json(begin)
    bound = item.binding(attribute.name)
    if bound is not None:
        told["binding"] = value_json(bound)
    return told


def value_json(value: Any) -> Any:
    """A stored value for JSON: objects by class and name; numbers that are not finite as text."""
    if isinstance(value, SceneObject):
        return {"class": value.scene_class.name, "name": value.name}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [value_json(element) for element in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value

r"""Values as they stand on a command line, in MoonRay's syntax: what an attribute holds decides what a text means.

    bool               1 0 true false on off yes no, in any case
    number             3, -0.5, 1e3, 0x10; where a fraction can be, inf and nan too
    string             as it is, or in quotes
    enum               a label or a number
    Rgb, VecN, Mat4    1, 2, 3 or (1, 2, 3) or [1 2 3] or Rgb(1, 2, 3); a matrix has 16 numbers, row by row
    vector             elements with commas between them, in brackets or not: (1,2,3),(4,5,6) or [a.exr, "b, c.exr"]
    object             /lights/key or SphereLight("/lights/key"); nothing, or undef(), for none

Any of them may stand in quotes, in which \" and \\ are a quote and a backslash. An element of a vector needs them if
there is a comma in it or a bracket without its partner.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Any

from arras_ray.scene.context import SceneContext
from arras_ray.scene.lua_numbers import parse_number
from arras_ray.scene.scene_object import SceneObject
from arras_ray.scene.schema import Attribute
from arras_ray.scene.values import ConversionError, ValueType, convert

BOOLS = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ROUND_TOO, _NOT_ROUND = "([{", "[{"
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_WHOLLY_QUOTED = re.compile(_QUOTED, re.DOTALL)
_REFERENCE = re.compile(rf"([A-Za-z_]\w*)\s*\(\s*({_QUOTED})\s*\)", re.DOTALL)
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)


def value_from_text(text: str, attribute: Attribute, context: SceneContext) -> Any:
    """The value a text means for an attribute, in its stored form (`values`); objects are those of the scene.

    Raises ConversionError. Whether an attribute takes this kind of object is found out when it is set.
    """
    kind = attribute.type
    if kind.vector:
        return _vector(text, kind, context)
    if kind.family == "object":
        return object_from_text(text, context)
    inner = _unquoted(text)
    if kind.family == "string":
        return text if inner is None else inner
    text = text.strip() if inner is None else inner.strip()
    if attribute.labels:
        return _label(text, attribute)
    return convert(_components(text, kind) if kind.shape else _word(text, kind), kind)


def object_from_text(text: str, context: SceneContext) -> SceneObject | None:
    """The object of the scene that a text names, or None for no object. Raises ConversionError."""
    text = text.strip()
    inner = _unquoted(text)
    name = text if inner is None else inner
    if name in context:
        return context[name]
    if not name or text in ("undef", "undef()"):
        return None
    class_name = ""
    if match := _REFERENCE.fullmatch(text):
        class_name, name = match[1], _unquoted(match[2]) or ""
    if name not in context:
        closest = difflib.get_close_matches(name, [item.name for item in context], n=1)
        hint = f"did you mean '{closest[0]}'?" if closest else ""
        raise ConversionError(f"the scene has no object named '{name}'", hint=hint)
    found = context[name]
    if found.scene_class.name != class_name:
        raise ConversionError(f"'{name}' is a {found.scene_class.name}, not a {class_name}")
    return found


def set_from_text(context: SceneContext, owner: str, attribute_name: str, text: str) -> None:
    """Set an attribute of the object named `owner`, at both timesteps, and end its binding, as a plain value in RDLA
    does. Raises SceneError.
    """
    target = _owner(owner, context)
    attribute = target.attribute(attribute_name)
    try:
        value = value_from_text(text, attribute, context)
    except ConversionError as error:
        error.fields |= {"object": target.name, "attribute": attribute.name}
        raise
    target.set(attribute.name, value)


def bind_from_text(context: SceneContext, owner: str, attribute_name: str, text: str) -> None:
    """Bind an attribute of the object named `owner` to another one, or to none. Raises SceneError."""
    target = _owner(owner, context)
    target.bind(target.attribute(attribute_name).name, object_from_text(text, context))


def _owner(text: str, context: SceneContext) -> SceneObject:
    found = object_from_text(text, context)
    if found is None:
        raise ConversionError("no object is named")
    return found


def _vector(text: str, kind: ValueType, context: SceneContext) -> Any:
    if kind.family == "object":
        return tuple(object_from_text(piece, context) for piece in _pieces(text, _NOT_ROUND))
    if kind.family == "string":
        inners = ((piece, _unquoted(piece)) for piece in _pieces(text, _NOT_ROUND))
        return tuple(piece if inner is None else inner for piece, inner in inners)
    inner = _unquoted(text)
    pieces = _pieces(text if inner is None else inner)
    if not kind.shape:
        return convert([_word(word, kind) for piece in pieces for word in piece.split() or [""]], kind)
    if all(piece.endswith(tuple(_CLOSING.values())) for piece in pieces):
        return convert([_components(piece, kind) for piece in pieces], kind)
    size = _size(kind)
    numbers = _numbers(pieces)
    if len(numbers) % size:
        raise ConversionError(f"expected {size} numbers for each {kind.kind}, got {len(numbers)} in all")
    return convert([numbers[first : first + size] for first in range(0, len(numbers), size)], kind)


def _size(kind: ValueType) -> int:
    """How many numbers are one element."""
    return math.prod(kind.shape)


def _components(text: str, kind: ValueType) -> list[int | float]:
    """The numbers of one colour, vector or matrix."""
    bare = text.removeprefix(kind.kind).lstrip() if text.endswith(")") else text
    numbers = _numbers(_pieces(bare))
    if len(numbers) != _size(kind):
        raise ConversionError(f"expected {_size(kind)} numbers for one {kind.kind}, got {len(numbers)}")
    return numbers


def _numbers(pieces: list[str]) -> list[int | float]:
    """Numbers with commas or blanks between them; rows of a matrix may be in brackets of their own."""
    return [_number(word) for piece in pieces for part in _pieces(piece) or [""] for word in part.split() or [""]]


def _word(text: str, kind: ValueType) -> bool | int | float:
    if kind.family != "bool":
        return _number(text)
    if text.lower() not in BOOLS:
        raise ConversionError(f"'{text}' is none of {', '.join(BOOLS)}")
    return BOOLS[text.lower()]


def _number(text: str) -> int | float:
    number = float(text) if _NOT_FINITE.fullmatch(text) else parse_number(text)
    if number is None:
        raise ConversionError(f"'{text}' is no number")
    return number


def _label(text: str, attribute: Attribute) -> Any:
    number = parse_number(text)
    return convert(text if text in attribute.labels or number is None else number, attribute.type, attribute.labels)


def _unquoted(text: str) -> str | None:
    """What is in the quotes around a text; None if there are none."""
    text = text.strip()
    return re.sub(r"\\([\"'\\])", r"\1", text[1:-1]) if _WHOLLY_QUOTED.fullmatch(text) else None


def _pieces(text: str, openings: str = _ROUND_TOO) -> list[str]:
    """What stands between the commas of a text, without the brackets around all of it; a last comma may end it."""
    text = text.strip()
    pieces = None
    if text and text[0] in openings and text.endswith(_CLOSING[text[0]]):
        pieces = _split(text[1:-1])
    if pieces is None:
        pieces = _split(text)
    if pieces is None:
        raise ConversionError(
            f"a bracket or a quote in '{text}' has no partner", hint="put names with such into quotes"
        )
    return pieces


def _split(text: str) -> list[str] | None:
    """At the commas that are in no brackets and no quotes; None where one of those is left open."""
    pieces: list[str] = []
    start, open_brackets, quote, escaped, at_start = 0, "", "", False, True
    for index, character in enumerate(text):
        if quote:
            if character == quote and not escaped:
                quote = ""
            escaped = character == "\\" and not escaped
        elif character in "\"'" and at_start:
            quote = character
        elif character in _CLOSING:
            open_brackets += _CLOSING[character]
        elif character in ")]}":
            if not open_brackets.endswith(character):
                return None
            open_brackets = open_brackets[:-1]
        elif character == "," and not open_brackets:
            pieces.append(text[start:index].strip())
            start = index + 1
        at_start = character in ",([{" or (at_start and character.isspace())
    if quote or open_brackets:
        return None
    last = text[start:].strip()
    return [*pieces, last] if last else pieces

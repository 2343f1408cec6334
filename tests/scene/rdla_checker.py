"""A second reader of RDLA, for tests: written from the format alone, without Lua and without the package.

It takes what a writer says (objects with their attributes, sets, rows, values, comments) and nothing that needs a
program: no variables, no arithmetic but signs and quotients of numbers. It raises Wrong where a reader would only warn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plain_scene import (
    CLASSES,
    MEMBER_SETS,
    SIZES,
    WITH_ROWS,
    Classes,
    base_type,
    both_steps,
    is_single,
    kind_of_type,
    new_object,
    rounded,
)
from rdla_scanner import Scanner, quotient, wrapped

Value = tuple[str, Any]
"""What an expression is, and its payload: ("number", 3), ("object", (class, name)), ("blur", (value, value)) ..."""

_WORDS = {"true": True, "false": False}
_RESERVED = {"nil", "local", "function", "return", "if", "for", "while", "do", "end", "and", "or", "not", "goto"}
_HUGE, _SMALLEST = float("inf"), -(1 << 63)

_SLOTS = (
    ("MATERIAL", 2), ("SHADOWSET", 7), ("LIGHTSET", 3), ("DISPLACEMENT", 4), ("VOLUMESHADER", 5),
    ("LIGHTFILTERSET", 6), ("SHADOWRECEIVERSET", 8),
)  # fmt: skip
"""Column of a layer's row by interface; the first that an object has counts."""


def read_rdla(*sources: bytes, classes: Classes = CLASSES) -> dict[str, Any]:
    """The objects of some texts, read one after the other, as plain_scene describes. Raises Wrong."""
    objects: dict[str, Any] = {}
    for source in sources:
        _Program(source, classes, objects).run()
    return objects


class _Program:
    """Runs one text on the objects there are."""

    def __init__(self, source: bytes, classes: Classes, objects: dict[str, Any]) -> None:
        self._scan = Scanner(source)
        self._classes = classes
        self._objects = objects
        self._create("SceneVariables", "__SceneVariables__")

    def run(self) -> None:
        while self._scan.kind != "end":
            target = self._statement_target()
            while self._scan.is_sign("{"):
                self._apply(target, self._table(named=self._objects[target[1]]["class"] not in WITH_ROWS))
            self._scan.take(";")

    def _statement_target(self) -> tuple[str, str]:
        """The object a statement begins with; SceneVariables alone is no statement."""
        if self._scan.kind != "name":
            raise self._scan.wrong("expected an object")
        is_variables = self._scan.payload == "SceneVariables"
        kind, target = self._value()
        if kind != "object" or target is None:
            raise self._scan.wrong("expected an object")
        if is_variables and not self._scan.is_sign("{"):
            raise self._scan.wrong("SceneVariables without a table")
        return target  # type: ignore[no-any-return]

    def _create(self, class_name: str, name: str) -> tuple[str, str]:
        class_name = "PerspectiveCamera" if class_name == "Camera" else class_name
        found = self._objects.get(name)
        if found is None:
            self._objects[name] = new_object(self._classes, class_name, name)
        elif found["class"] != class_name:
            raise self._scan.wrong(f"{name!r} belongs to {found['class']}, not {class_name}")
        return class_name, name

    # --- expressions

    def _value(self) -> Value:
        scan = self._scan
        if scan.kind == "string":
            return "string", scan.next()
        if scan.is_sign("{"):
            return "table", self._table(named=False)
        if scan.kind == "name" and scan.payload not in ("math", "true", "false"):
            return self._word(scan.next())
        if scan.kind == "name" and scan.payload in _WORDS:
            return "boolean", _WORDS[scan.next()]
        return "number", self._quotient()

    def _quotient(self) -> int | float:
        value = self._signed()
        while self._scan.take("/"):
            value = quotient(value, self._signed())
        return value

    def _signed(self) -> int | float:
        scan = self._scan
        if scan.take("-"):
            value = self._signed()
            return wrapped(-value) if isinstance(value, int) else -value
        if scan.take("("):
            value = self._quotient()
            scan.expect("sign", ")")
            return value
        if scan.kind == "name" and scan.payload == "math":
            scan.next()
            scan.expect("sign", ".")
            name = scan.expect("name")
            known = {"huge": _HUGE, "mininteger": _SMALLEST, "maxinteger": -_SMALLEST - 1}
            if name not in known:
                raise scan.wrong(f"math.{name}")
            return known[name]
        number: int | float = scan.expect("number")
        return number

    def _word(self, word: str) -> Value:
        if word in _RESERVED:
            raise self._scan.wrong(f"the word {word}")
        if word == "SceneVariables":
            return "object", (word, "__SceneVariables__")
        self._scan.expect("sign", "(")
        arguments: list[Value] = []
        while not self._scan.is_sign(")"):
            arguments.append(self._value())
            if not self._scan.is_sign(")"):
                self._scan.expect("sign", ",")
                if self._scan.is_sign(")"):
                    raise self._scan.wrong("a comma at the end of arguments")
        self._scan.next()
        return self._called(word, arguments)

    def _called(self, word: str, arguments: list[Value]) -> Value:
        kinds = [kind for kind, _ in arguments]
        if word == "undef" and not arguments:
            return "object", None
        if word in SIZES and kinds == ["number"] * SIZES[word]:
            single = word in ("Rgb", "Rgba")
            return word, tuple(rounded(value) if single else float(value) for _, value in arguments)
        if word == "bind" and kinds[:1] == ["object"] and len(kinds) <= 2 and "bind" not in kinds:
            return "bind", (arguments[0][1], arguments[1] if len(arguments) == 2 else None)
        if word == "blur" and len(kinds) == 2 and kinds[0] == kinds[1] and kinds[0] not in ("bind", "blur", "table"):
            return "blur", tuple(arguments)
        if word in (*self._classes.rows, "Camera") and kinds == ["string"]:
            return "object", self._create(word, arguments[0][1])
        raise self._scan.wrong(f"{word} of {kinds}")

    def _table(self, named: bool) -> list[Any]:
        """A list of values, or (named) of pairs of a name and a value."""
        scan = self._scan
        scan.expect("sign", "{")
        items: list[Any] = []
        while not scan.is_sign("}"):
            if named:
                scan.expect("sign", "[")
                name = scan.expect("string")
                scan.expect("sign", "]")
                scan.expect("sign", "=")
                items.append((name, self._value()))
            else:
                items.append(self._value())
            if not scan.take(",") and not scan.take(";") and not scan.is_sign("}"):
                raise scan.wrong("expected , or }")
        scan.next()
        return items

    # --- what calling an object does

    def _apply(self, target: tuple[str, str], items: list[Any]) -> None:
        item = self._objects[target[1]]
        if item["class"] not in WITH_ROWS:
            names = [name for name, _ in items]
            if len(set(names)) < len(names):
                raise self._scan.wrong("an attribute that is set twice")
            for name, value in items:
                self._set(item, name, value)
        elif item["class"] == "Metadata":
            item["rows"] = [tuple(self._strings(row, 3)) for row in items]
        elif item["class"] in MEMBER_SETS:
            accepted = self._classes.attribute(item["class"], MEMBER_SETS[item["class"]])["object_type"]
            for kind, member in items:
                if kind != "object" or member is None:
                    raise self._scan.wrong("a bad member of a set")
                self._check_interface(member, accepted)
                if member not in item["rows"]:
                    item["rows"].append(member)
        else:
            for row in items:
                self._row(item, row)

    def _strings(self, row: Value, count: int) -> list[str]:
        if row[0] != "table" or [kind for kind, _ in row[1]] != ["string"] * count:
            raise self._scan.wrong("a bad row of strings")
        return [value for _, value in row[1]]

    def _row(self, item: dict[str, Any], row: Value) -> None:
        kind, columns = row
        if kind != "table" or len(columns) < 2 or columns[0][0] != "object" or columns[1][0] != "string":
            raise self._scan.wrong("a bad row")
        geometry, part = columns[0][1], columns[1][1]
        self._check_interface(geometry, "GEOMETRY")
        slots: list[Any] = [geometry, part, *[None] * 7]
        if item["class"] == "TraceSet":
            if len(columns) != 2:
                raise self._scan.wrong("a row of a trace set has a geometry and a part")
            slots = [geometry, part]
        for column_kind, target in columns[2:]:
            if column_kind != "object":
                raise self._scan.wrong(f"a {column_kind} in a layer's row")
            if target is None:
                continue
            interfaces = self._classes.rows[target[0]][1]
            slot = next((slot for interface, slot in _SLOTS if interface in interfaces), None)
            if slot is None or slots[slot] is not None:
                raise self._scan.wrong(f"{target} cannot stand in a layer's row, or not beside another")
            slots[slot] = target
        if item["class"] == "Layer" and slots[5] is not None:
            slots[1] = ""
        item["rows"] = [old for old in item["rows"] if old[:2] != (slots[0], slots[1])] + [tuple(slots)]

    def _set(self, item: dict[str, Any], name: str, value: Value) -> None:
        row = self._classes.attribute(item["class"], name)
        if value[0] == "bind":
            target, value = value[1]
            if not row["bindable"]:
                raise self._scan.wrong(f"{name} cannot be bound")
            if target is not None:
                self._check_interface(target, row["object_type"])
            item["bindings"][row["name"]] = target
            if value is None:
                return
        elif row["bindable"]:
            item["bindings"][row["name"]] = None
        if value[0] == "blur":
            if not row["blurrable"]:
                raise self._scan.wrong(f"{name} cannot be blurred")
            begin, end = (self._converted(one, row) for one in value[1])
            item["attributes"][row["name"]] = {"begin": begin, "end": end}
        else:
            item["attributes"][row["name"]] = both_steps(self._converted(value, row), row["blurrable"])

    # --- values by type

    def _converted(self, value: Value, row: dict[str, Any]) -> Any:
        base, vector = base_type(row["type"])
        if not vector:
            return self._element(value, base, row)
        if value[0] != "table":
            raise self._scan.wrong(f"{row['name']} wants a table")
        return [self._element(one, base, {**row, "labels": {}}) for one in value[1]]

    def _element(self, value: Value, base: str, row: dict[str, Any]) -> Any:
        kind, payload = value
        if row["labels"] and kind == "string":
            if payload not in row["labels"]:
                raise self._scan.wrong(f"{payload!r} is no label of {row['name']}")
            return row["labels"][payload]
        convert = _CONVERT.get(base)
        if convert is not None:
            wanted, function = convert
            if kind != wanted:
                raise self._scan.wrong(f"{row['name']} wants a {wanted}")
            try:
                return function(payload)
            except (ValueError, OverflowError) as error:
                raise self._scan.wrong(f"{row['name']}: {error}") from None
        if base == "SceneObject":
            if kind != "object":
                raise self._scan.wrong(f"{row['name']} wants an object")
            if payload is not None:
                self._check_interface(payload, row["object_type"])
            return payload
        if kind != kind_of_type(base):
            raise self._scan.wrong(f"{row['name']} wants a {kind_of_type(base)}")
        return tuple(map(rounded, payload)) if is_single(base) else payload

    def _check_interface(self, target: tuple[str, str] | None, accepted: str) -> None:
        if target is None or not self._classes.fits(target[0], accepted):
            raise self._scan.wrong(f"{target} is no {accepted}")


def _integer(bits: int) -> Callable[[int | float], int]:
    def convert(value: int | float) -> int:
        if value != int(value) or not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"{value} is no integer of {bits} bits")
        return int(value)

    return convert


_CONVERT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "bool": ("boolean", bool),
    "int": ("number", _integer(32)),
    "long": ("number", _integer(64)),
    "float": ("number", rounded),
    "double": ("number", float),
    "string": ("string", str),
}

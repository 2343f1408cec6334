"""A second reader of RDLB, for tests: written from the format alone, strict about every size, without the package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from plain_scene import (
    CLASSES,
    LAYER_COLUMNS,
    MEMBER_SETS,
    METADATA_COLUMNS,
    SIZES,
    Classes,
    Wrong,
    base_type,
    is_single,
    kind_of_type,
    new_object,
)

_BASES = (
    "bool", "int", "long", "float", "double", "string", "Rgb", "Rgba", "Vec2f", "Vec2d", "Vec3f", "Vec3d", "Vec4f",
    "Vec4d", "Mat4f", "Mat4d", "SceneObject",
)  # fmt: skip
TYPES = {0: "", **{2 * k + 1: base for k, base in enumerate(_BASES)}}
TYPES |= {2 * k + 2: base + "Vector" for k, base in enumerate(_BASES)} | {35: "SceneObjectIndexable"}


def read_rdlb(data: bytes, objects: dict[str, Any] | None = None, *, classes: Classes = CLASSES) -> dict[str, Any]:
    """The objects of a file, on top of those there are, as plain_scene describes. Raises Wrong."""
    objects = {} if objects is None else objects
    _create(objects, classes, "SceneVariables", "__SceneVariables__")
    if len(data) < 16:
        raise Wrong("shorter than its header")
    manifest_size, payload_size = struct.unpack_from(">QQ", data)
    if len(data) != 16 + manifest_size + payload_size:
        raise Wrong(f"{len(data)} bytes for {manifest_size} of manifest and {payload_size} of payload")
    manifest = _Container(data[16 : 16 + manifest_size])
    begin = 16 + manifest_size
    records = []
    for _ in range(manifest.unsigned()):
        if manifest.unsigned() != 2:
            raise Wrong("a record that is no object")
        size = manifest.unsigned()
        records.append(_Container(data[begin : begin + size]))
        begin += size
    manifest.end()
    if begin != len(data):
        raise Wrong("payload that is in no record")
    named = [_create(objects, classes, record.text(), record.text()) for record in records]
    for item, record in zip(named, records, strict=True):
        _read_object(item, record, objects, classes)
    return objects


class _Container:
    """The bytes of one value container, read from its begin."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 8 or struct.unpack_from("<Q", data)[0] != len(data):
            raise Wrong("a container whose size is not the one it says")
        self._data = data
        self._at = 8

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise Wrong(f"{count} bytes wanted, {len(taken)} left")
        self._at += count
        return taken

    def end(self) -> None:
        if self._at != len(self._data):
            raise Wrong(f"{len(self._data) - self._at} bytes too many")

    def byte(self, *allowed: int) -> int:
        value = self.take(1)[0]
        if value not in allowed:
            raise Wrong(f"byte {value}, not one of {allowed}")
        return value

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >= 1 << 64 or (byte == 0 and shift > 7):
                    raise Wrong("an integer that is too long")
                return value

    def signed(self, bits: int = 64) -> int:
        code = self.unsigned()
        if code >= 1 << bits:
            raise Wrong(f"an integer of more than {bits} bits")
        return -(code + 1) // 2 if code & 1 else code // 2

    def text(self) -> str:
        return self.take(self.unsigned()).decode("utf-8", "surrogateescape")

    def reference(self) -> tuple[str, str] | None:
        class_size, name_size = self.unsigned(), self.unsigned()
        pair = self.take(class_size).decode(), self.take(name_size).decode("utf-8", "surrogateescape")
        if bool(pair[0]) != bool(pair[1]):
            raise Wrong(f"half a reference {pair}")
        return pair if pair[0] else None

    def value(self, type_name: str) -> Any:
        base, vector = base_type(type_name)
        if vector:
            return [self._element(base) for _ in range(self.unsigned())]
        return self._element(base)

    def _element(self, base: str) -> Any:
        if base == "bool":
            return bool(self.byte(0, 1))
        if base in ("int", "long"):
            return self.signed(32 if base == "int" else 64)
        if base == "string":
            return self.text()
        if base == "SceneObject":
            return self.reference()
        count = SIZES.get(kind_of_type(base), 1)
        form = f"<{count}{'f' if is_single(base) else 'd'}"
        values = struct.unpack(form, self.take(struct.calcsize(form)))
        return values if base not in ("float", "double") else values[0]


def _create(objects: dict[str, Any], classes: Classes, class_name: str, name: str) -> dict[str, Any]:
    found = objects.setdefault(name, new_object(classes, class_name, name))
    if found["class"] != class_name:
        raise Wrong(f"{name!r} belongs to {found['class']}, not {class_name}")
    return found  # type: ignore[no-any-return]


def _read_object(item: dict[str, Any], record: _Container, objects: dict[str, Any], classes: Classes) -> None:
    columns: dict[str, Any] = {}
    while code := record.unsigned():
        if code not in TYPES:
            raise Wrong(f"value type {code}")
        row = _attribute(record, item["class"], classes)
        if row["type"] != TYPES[code]:
            raise Wrong(f"{row['name']} is {row['type']}, not {TYPES[code]}")
        if record.byte(0, 1) != row["blurrable"]:
            raise Wrong(f"{row['name']} with a wrong count of timesteps")
        values = {}
        for step, name in enumerate(("begin", "end")[: 1 + row["blurrable"]]):
            record.byte(step)
            values[name] = record.value(row["type"])
        columns[row["name"]] = values if row["blurrable"] else values["begin"]
    _check_references(columns, objects, classes)
    _put(item, columns)
    while record.byte(0, 1):
        row = _attribute(record, item["class"], classes)
        bound = record.text(), record.text()
        if not row["bindable"] and bound != ("", ""):
            raise Wrong(f"{row['name']} cannot be bound")
        if bound != ("", ""):
            _create(objects, classes, *bound)
        item["bindings"][row["name"]] = bound if bound != ("", "") else None
    record.end()


def _attribute(record: _Container, class_name: str, classes: Classes) -> dict[str, Any]:
    if not record.byte(0, 1):
        return classes.attribute(class_name, record.text())
    names, index = classes.names(class_name), record.signed()
    if not 0 <= index < len(names):
        raise Wrong(f"attribute {index} of {len(names)}")
    return classes.attribute(class_name, names[index])


def _check_references(value: Any, objects: dict[str, Any], classes: Classes) -> None:
    for reference in _references(value):
        _create(objects, classes, *reference)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        yield value  # type: ignore[misc]
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(item)


def _put(item: dict[str, Any], columns: dict[str, Any]) -> None:
    """Attributes as they are; those of sets, trace sets, layers and metadata as rows."""
    kind = item["class"]
    if kind in MEMBER_SETS:
        if columns:
            item["rows"] = columns[MEMBER_SETS[kind]]
    elif kind in ("TraceSet", "Metadata"):
        names = ("geometries", "parts") if kind == "TraceSet" else METADATA_COLUMNS
        item["rows"] = _zipped(
            {name: [row[k] for row in item["rows"]] for k, name in enumerate(names)} | columns, names
        )
    elif kind == "Layer":
        for row in _zipped(columns, LAYER_COLUMNS) if columns else ():
            if row[5] is not None and row[1] != "":
                raise Wrong("a volume on a part")
            item["rows"] = [old for old in item["rows"] if old[:2] != row[:2]] + [row]
    else:
        item["attributes"] |= columns


def _zipped(columns: dict[str, Any], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows of parallel columns; one that is missing or empty is all None, or "" where it holds the parts."""
    count = len(columns.get(names[0], ()))
    filled = [columns.get(name) or [None if name != "parts" else ""] * count for name in names]
    if any(len(column) != count for column in filled):
        raise Wrong(f"columns of lengths {[len(column) for column in filled]}")
    return list(zip(*filled, strict=True))

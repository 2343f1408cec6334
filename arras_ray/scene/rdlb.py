"""RDLB, the binary form of a scene: what travels from the client to the machines.

A file is two big-endian 64-bit lengths, a manifest (how long each record is) and a payload (one record an object). It
has neither version nor checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.rdlb_values import Cursor, text, unsigned, value_bytes
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.schema import Attribute
from arras_ray.scene.sets import Layer
from arras_ray.scene.style import Style
from arras_ray.scene.values import TYPES_BY_CODE

_OBJECT_RECORD = 2
"""The only kind of record there is today."""

__all__ = ["decode", "encode"]


def pieces(
    context: SceneContext, only: Mapping[str, Iterable[str]] | None = None, style: Style | None = None
) -> Iterator[bytes]:
    """The same, piece by piece."""
    yield encode(context, only)


def encode(context: SceneContext, only: Mapping[str, Iterable[str]] | None = None) -> bytes:
    """A scene as bytes: all objects, with the attributes that are not at their default.

    only: objects by name, with the attributes to write of each, whatever their values.
    """
    if only is None:
        records = [_record(item, item.non_default_attributes()) for item in context]
    else:
        records = [_record(context[name], map(context[name].attribute, names)) for name, names in only.items()]
    entries = (unsigned(_OBJECT_RECORD) + unsigned(len(record)) for record in records)
    manifest = _container(unsigned(len(records)) + b"".join(entries))
    payload = b"".join(records)
    return struct.pack(">QQ", len(manifest), len(payload)) + manifest + payload


def decode(data: bytes | memoryview, context: SceneContext | None = None, file: str = "") -> SceneContext:
    """The scene of some bytes, put on top of `context` where one is given.

    Classes and attributes that do not exist are left out with a warning. Raises SceneError, with the offset where the
    bytes make no sense.
    """
    view = memoryview(data).cast("B")
    whole = Cursor(view, 0, len(view))
    manifest_size, payload_size = struct.unpack(">QQ", whole.take(16))
    manifest = whole.stretch(manifest_size)
    if payload_size != whole.left:
        raise whole.fail(f"{payload_size} bytes of objects expected, {whole.left} found")
    decoder = _Decoder(context or SceneContext())
    # all objects first, so that they stand in the order of their records and not of the first reference to them
    opened = [decoder.open(record) for record in _records(manifest, whole)]
    for target, record in opened:
        if target is not None:
            decoder.read(target, record)
    return decoder.context


def _container(data: bytes) -> bytes:
    return struct.pack("<Q", 8 + len(data)) + data


def _record(target: SceneObject, attributes: Iterable[Attribute]) -> bytes:
    values = [text(target.scene_class.name), text(target.name)]
    bindings = []
    for attribute in attributes:
        values += [unsigned(attribute.type.code), b"\0", text(attribute.name), bytes([attribute.blurrable])]
        for timestep in (BEGIN, END) if attribute.blurrable else (BEGIN,):
            values += [bytes([timestep]), value_bytes(target.get(attribute.name, timestep), attribute.type)]
        if bound := target.binding(attribute.name):
            bindings += [b"\1\0", text(attribute.name), text(bound.scene_class.name), text(bound.name)]
    return _container(b"".join((*values, b"\0", *bindings, b"\0")))


def _records(manifest: Cursor, payload: Cursor) -> Iterable[Cursor]:
    manifest.container()
    for _ in range(manifest.unsigned()):
        kind, size = manifest.unsigned(), manifest.unsigned()
        if kind != _OBJECT_RECORD:
            raise manifest.fail(f"a record of kind {kind} (only {_OBJECT_RECORD} is known)")
        yield payload.stretch(size)
    if manifest.left or payload.left:
        raise (manifest if manifest.left else payload).fail("bytes that belong to nothing")


class _Decoder:
    """Reads records into a context."""

    def __init__(self, context: SceneContext) -> None:
        self.context = context

    def open(self, record: Cursor) -> tuple[SceneObject | None, Cursor]:
        """Make the object of a record; None where its class does not exist."""
        record.container()
        return self._object(record.text(), record.text(), record), record

    def read(self, target: SceneObject, record: Cursor) -> None:
        """Read attributes and bindings of a record whose object was made."""
        columns: dict[str, list[Any]] = {}
        while code := record.unsigned():
            self._attribute(target, code, record, columns)
        if isinstance(target, Layer):
            target.assign_columns(columns)
        while more := record.byte():
            if more != 1:
                raise record.fail(f"a binding that begins with {more}")
            self._binding(target, record)
        if record.left:
            raise record.fail("bytes that belong to nothing")

    def _attribute(self, target: SceneObject, code: int, record: Cursor, columns: dict[str, list[Any]]) -> None:
        value_type = TYPES_BY_CODE.get(code)
        if value_type is None:
            raise record.fail(f"a value of type {code}")
        name = self._attribute_name(target, record)
        attribute = target.scene_class.find(name)
        for _ in range(record.byte() + 1):
            timestep = record.byte()
            if timestep not in (BEGIN, END):
                raise record.fail(f"a value for timestep {timestep}")
            value = record.value(value_type)
            if value_type.family == "object":
                value = self._resolve(value, record)
            if attribute is None or attribute.type != value_type:
                problem = "no attribute of this name" if attribute is None else f"a {value_type.name}, not its type"
                self._warn(target, name, problem)
            elif isinstance(target, Layer):
                columns[attribute.name] = value
            else:
                both = not attribute.blurrable or value_type.family == "object"
                self._set(target, attribute, value, None if both else timestep)

    def _set(self, target: SceneObject, attribute: Attribute, value: object, timestep: int | None) -> None:
        try:
            target.set(attribute.name, value, timestep, keep_binding=True)
        except SceneError as error:
            self._warn(target, attribute.name, error.message)

    def _binding(self, target: SceneObject, record: Cursor) -> None:
        name = self._attribute_name(target, record)
        bound = self._object(record.text(), record.text(), record)
        attribute = target.scene_class.find(name)
        if isinstance(target, Layer) or (bound is None and (attribute is None or not attribute.bindable)):
            return
        try:
            target.bind(name, bound)
        except SceneError as error:
            self._warn(target, name, error.message)

    def _attribute_name(self, target: SceneObject, record: Cursor) -> str:
        if not record.byte():
            return record.text()
        index = record.signed()
        names = list(target.scene_class.attributes)
        if not 0 <= index < len(names):
            raise record.fail(f"attribute {index} of a class that has {len(names)}")
        return names[index]

    def _resolve(self, value: Any, record: Cursor) -> Any:
        if isinstance(value, list):
            return [self._object(class_name, name, record) for class_name, name in value]
        class_name, name = value
        return self._object(class_name, name, record)

    def _object(self, class_name: str, name: str, record: Cursor) -> SceneObject | None:
        if not class_name and not name:
            return None
        scene_class = self.context.schema.find(class_name)
        if scene_class is None or scene_class.abstract:
            self.context.warn(SceneWarning(f"left out: there is no scene class '{class_name}'", object=name))
            return None
        try:
            return self.context.create(class_name, name)
        except SceneError as error:
            error.fields["offset"] = record.offset
            raise

    def _warn(self, target: SceneObject, name: str, message: str) -> None:
        self.context.warn(SceneWarning(message, object=target.name, attribute=name))

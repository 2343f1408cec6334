"""Reads RDLB into a scene."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.rdlb_cursor import Cursor
from arras_ray.scene.scene_object import END, SceneObject
from arras_ray.scene.schema import Attribute
from arras_ray.scene.sets import Layer
from arras_ray.scene.values import TYPES_BY_CODE, ValueType

OBJECT_RECORD = 2
"""The only kind of record there is today."""


def touched(data: bytes | memoryview) -> frozenset[tuple[str, str]]:
    """What a change of a scene sets, as pairs of an object and what of it: "" for that it is there, `focal 0` for the
    value of an attribute at a timestep, `color binding`, or `rows` of a layer, which go by what they are. What is left
    out with a warning is not among them.

    A change that has all pairs of an earlier one leaves nothing of it. Raises SceneError as `decode` does.
    """
    return _decoded(data, SceneContext(), "").touched


def decode(data: bytes | memoryview, context: SceneContext | None = None, file: str = "") -> SceneContext:
    """The scene of some bytes, put on top of `context` where one is given; nothing of it refers to the bytes.

    Classes and attributes that do not exist are left out with a warning that names `file`. Raises SceneError, with the
    offset where the bytes make no sense, and file, object and attribute as far as known; the context may have some of
    what stands before.
    """
    return _decoded(data, SceneContext() if context is None else context, file).context


def _decoded(data: bytes | memoryview, context: SceneContext, file: str) -> _Decoder:
    view = memoryview(data).cast("B")
    whole = Cursor(view, 0, len(view))
    decoder = _Decoder(context, file)
    try:
        manifest_size, payload_size = struct.unpack(">QQ", whole.take(16))
        manifest = whole.stretch(manifest_size)
        if payload_size != whole.left:
            raise whole.fail(f"{payload_size} bytes of objects expected, {whole.left} found")
        # all objects first, so that they stand in the order of their records and not of the first reference to them
        opened = [decoder.open(record) for record in _records(manifest, whole)]
        for target, record in opened:
            if target is not None:
                decoder.read(target, record)
    except SceneError as error:
        if file:
            error.fields["file"] = file
        raise
    return decoder


def _records(manifest: Cursor, payload: Cursor) -> Iterator[Cursor]:
    manifest.container()
    for _ in range(manifest.unsigned()):
        kind, size = manifest.unsigned(), manifest.unsigned()
        if kind != OBJECT_RECORD:
            raise manifest.fail(f"a record of kind {kind} (only {OBJECT_RECORD} is known)")
        yield payload.stretch(size)
    if manifest.left or payload.left:
        raise (manifest if manifest.left else payload).fail("bytes that belong to nothing")


class _Decoder:
    """Reads records into a context."""

    def __init__(self, context: SceneContext, file: str) -> None:
        self.context = context
        self._file = file
        self._touched: set[tuple[str, str]] = set()
        self._attribute_name = ""
        """Of the value or binding that is read, once it is known."""

    @property
    def touched(self) -> frozenset[tuple[str, str]]:
        """As the function of this name has it."""
        return frozenset(self._touched)

    def open(self, record: Cursor) -> tuple[SceneObject | None, Cursor]:
        """Make the object of a record; None where its class does not exist."""
        record.container()
        class_name, name = record.text(), record.text()
        if not class_name and not name:
            raise record.fail("an object without class and name")
        target = self._object(class_name, name, record)
        if target is not None:
            self._touched.add((name, ""))
        return target, record

    def read(self, target: SceneObject, record: Cursor) -> None:
        """Read attributes and bindings of a record whose object was made."""
        columns: dict[str, list[Any]] = {}
        self._attribute_name = ""
        if isinstance(target, Layer):
            self._touched.add((target.name, f"rows {record.digest()}"))
        try:
            while code := record.unsigned():
                self._value(target, code, record, columns)
                self._attribute_name = ""
            if isinstance(target, Layer):
                target.assign_columns(columns)
            while more := record.byte():
                if more != 1:
                    raise record.fail(f"a binding that begins with {more}")
                self._binding(target, record)
                self._attribute_name = ""
            if record.left:
                raise record.fail("bytes that belong to nothing")
        except SceneError as error:
            error.fields.setdefault("offset", record.offset)
            error.fields.setdefault("object", target.name)
            if self._attribute_name:
                error.fields.setdefault("attribute", self._attribute_name)
            raise

    def _value(self, target: SceneObject, code: int, record: Cursor, columns: dict[str, list[Any]]) -> None:
        value_type = TYPES_BY_CODE.get(code)
        if value_type is None:
            raise record.fail(f"a value of type {code}")
        name = self._name(target, record)
        attribute = target.scene_class.find(name)
        last = record.byte()
        if last > END:
            raise record.fail(f"a value with {last + 1} timesteps")
        for _ in range(last + 1):
            timestep = record.byte()
            if timestep > END:
                raise record.fail(f"a value for timestep {timestep}")
            value = record.value(value_type)
            if attribute is None:
                self._warn(target, name, "no attribute of this name")
            elif attribute.type != value_type:
                self._warn(target, name, f"a {value_type.name}, not its type")
            else:
                self._take(target, attribute, timestep, value, record, columns)

    def _take(
        self,
        target: SceneObject,
        attribute: Attribute,
        timestep: int,
        value: Any,
        record: Cursor,
        columns: dict[str, list[Any]],
    ) -> None:
        if attribute.type.family == "object":
            value = self._objects(attribute.type, value, record)
        if isinstance(target, Layer):
            columns[attribute.name] = value
            return
        both = not attribute.blurrable or attribute.type.family == "object"
        try:
            target.set(attribute.name, value, None if both else timestep, keep_binding=True)
        except SceneError as error:
            self._warn(target, attribute.name, error.message)
        else:
            self._touched.add((target.name, f"{attribute.name} {timestep}"))

    def _binding(self, target: SceneObject, record: Cursor) -> None:
        name = self._name(target, record)
        class_name, bound_name = record.text(), record.text()
        if isinstance(target, Layer):
            return
        ended = not class_name and not bound_name
        attribute = target.scene_class.find(name)
        if ended and (attribute is None or not attribute.bindable):
            return  # a scene that is written as a whole says of every attribute that it is not bound
        bound = self._object(class_name, bound_name, record)
        if bound is None and not ended:
            return
        try:
            target.bind(name, bound)
        except SceneError as error:
            self._warn(target, name, error.message)
        else:
            self._touched.add((target.name, f"{name} binding"))

    def _name(self, target: SceneObject, record: Cursor) -> str:
        by_number = record.byte()
        if by_number > 1:
            raise record.fail(f"an attribute that begins with {by_number}")
        if by_number:
            index = record.signed()
            names = list(target.scene_class.attributes)
            if not 0 <= index < len(names):
                raise record.fail(f"attribute {index} of a class that has {len(names)}")
            self._attribute_name = names[index]
        else:
            self._attribute_name = record.text()
        return self._attribute_name

    def _objects(self, value_type: ValueType, value: Any, record: Cursor) -> Any:
        """The objects that were read as (class, name)."""
        if value_type.vector:
            return [self._object(class_name, name, record) for class_name, name in value]
        class_name, name = value
        return self._object(class_name, name, record)

    def _object(self, class_name: str, name: str, record: Cursor) -> SceneObject | None:
        """An object, made where it is not there; None where there is none, or no such class."""
        if not class_name and not name:
            return None
        scene_class = self.context.schema.find(class_name)
        if scene_class is None or scene_class.abstract:
            message = f"left out: there is no scene class '{class_name}'"
            self.context.warn(SceneWarning(message, file=self._file, object=name))
            return None
        try:
            return self.context.create(class_name, name)
        except SceneError as error:
            error.fields["offset"] = record.offset
            raise

    def _warn(self, target: SceneObject, name: str, message: str) -> None:
        self.context.warn(SceneWarning(message, file=self._file, object=target.name, attribute=name))

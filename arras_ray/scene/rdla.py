"""Reads RDLA: Lua programs that make the objects of a scene.

What a program says wrongly about one value is skipped with a warning; what makes no scene (Lua errors, unknown classes,
names taken twice, bad sets and layer rows) ends the reading with a SceneError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.lua_sandbox import Limits, LuaSandbox, print_to_stderr
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.sets import Layer, MemberSet, Metadata, TraceSet
from arras_ray.scene.values import TUPLES, ConversionError, Packed

CLASS_ALIASES = {"Camera": "PerspectiveCamera"}


class RdlaReader:
    """Runs RDLA programs on one context, in one Lua state: globals of a file are seen by the next."""

    def __init__(
        self,
        context: SceneContext,
        limits: Limits,
        print_line: Callable[[str], None] = print_to_stderr,
    ) -> None:
        self.context = context
        self._lua = LuaSandbox(limits, print_line)
        self._objects: list[SceneObject] = []
        self._ids: dict[str, int] = {}
        self._hints: dict[str, str] = {}
        self._files: list[str] = []
        functions: dict[str, Callable[..., Any]] = {
            "class": self._class,
            "create": self._create,
            "describe": self._describe,
            "get": self._get,
            "set": self._set,
            "members": self._members,
            "rows": self._rows,
            "size": self._size,
            "warn": self._warn,
        }
        self._lua.add_words(functions)

    def run(self, source: bytes, file: str) -> None:
        """Run one program. Raises SceneError."""
        self._files.append(file)
        self.context.files.append(file)
        # Lua's own file loader drops a byte order mark and a first line that starts with #
        source = source.removeprefix(b"\xef\xbb\xbf")
        if source.startswith(b"#"):
            source = b"--" + source
        try:
            self._lua.run(source, len(self._files), file)
        except SceneError as error:
            chunk = error.fields.pop("chunk", None)
            if chunk is not None:
                error.fields = {"file": self._files[chunk - 1], **error.fields}
            error.hint = error.hint or self._hints.get(error.message, "")
            raise

    def assign(self, name: str, expression: str) -> None:
        """Set a global variable to the value of a Lua expression, for the programs to come. Raises SceneError."""
        self.run(f"{name} = {expression}".encode("utf-8", "surrogateescape"), f"the value of {name}")

    # What follows is called by rdla.lua. Text comes as bytes; a message comes back where something is wrong.

    def _class(self, name: bytes) -> tuple[bytes | None, bytes | None]:
        text = CLASS_ALIASES.get(_text(name), _text(name))
        found = self.context.schema.find(text)
        if found is not None and not found.abstract:
            return name, None
        message = f"'{text}' is neither a variable that was assigned before nor a scene class"
        closest = self.context.schema.closest(text)
        self._hints[message] = f"did you mean {closest}?" if closest else ""
        return None, _bytes(message)

    def _create(self, class_name: bytes, name: bytes) -> tuple[Any, ...]:
        text = _text(class_name)
        try:
            made = self.context.create(CLASS_ALIASES.get(text, text), _text(name))
        except SceneError as error:
            self._hints[error.message] = error.hint
            return None, _bytes(error.message)
        number = self._number(made)
        return number, *self._describe(number)

    def _describe(self, number: int) -> tuple[bytes | None, bytes]:
        target = self._objects[number - 1]
        call = next((call for cls, call in _CALLS.items() if isinstance(target, cls)), None)
        return call, _bytes(repr(target))

    def _number(self, target: SceneObject) -> int:
        """The number Lua knows an object by; it counts from 1, as 0 stands for no object."""
        number = self._ids.get(target.name)
        if number is None:
            self._objects.append(target)
            number = self._ids[target.name] = len(self._objects)
        return number

    def _object(self, number: int) -> SceneObject | None:
        return self._objects[number - 1] if number else None

    def _set(self, number: int, name: bytes, target: int, form: bytes, *arguments: Any) -> bytes | None:
        """Set an attribute as an assignment does. target: -1 no bind(), 0 bind(undef()), else the object bound to."""
        owner = self._objects[number - 1]
        text = _text(name)
        try:
            if target >= 0 or owner.attribute(text).bindable:
                owner.bind(text, self._object(max(target, 0)))
            self._assign(owner, text, form, arguments, keep_binding=target >= 0)
        except SceneError as error:
            message = f"{error.message}; {error.hint}" if error.hint else error.message
            return _bytes(message)
        return None

    def _assign(
        self, owner: SceneObject, name: str, form: bytes, arguments: tuple[Any, ...], *, keep_binding: bool
    ) -> None:
        if form == b"value":
            owner.set(name, self._decode(*arguments), keep_binding=keep_binding)
        elif form == b"list":
            owner.set(name, self._decode_list(*arguments), keep_binding=keep_binding)
        elif form == b"blur":
            begin, end = self._decode(*arguments[:2]), self._decode(*arguments[2:])
            owner.set_blur(name, begin, end, keep_binding=keep_binding)

    def _decode(self, kind: bytes, payload: Any) -> Any:
        if kind in (b"number", b"boolean"):
            return payload
        if kind == b"string":
            return _text(payload)
        if kind == b"object":
            return self._object(payload)
        if kind == b"Mat4":
            return np.frombuffer(payload, "<f8").reshape(4, 4)
        if kind == b"other":
            raise ConversionError(f"a {_text(payload)} cannot be the value of an attribute")
        cls = TUPLES[kind.decode()]
        return cls(*np.frombuffer(payload, "<f8").tolist())

    def _decode_list(self, kind: bytes, payload: Any = b"") -> Any:
        if kind == b"empty":
            return ()
        if kind == b"string":
            return _texts(payload)
        if kind == b"object":
            return [self._object(number) for number in np.frombuffer(payload, "<i8").tolist()]
        if kind == b"mixed":
            flat = list(payload.values())
            return [self._element(index, *flat[2 * index : 2 * index + 2]) for index in range(len(flat) // 2)]
        if kind == b"integer":
            return Packed("number", np.frombuffer(payload, "<i8"))
        data = np.frombuffer(payload, "<f8")
        if kind == b"number":
            return Packed("number", data)
        name = kind.decode()
        return Packed(name, data.reshape(-1, 4, 4) if name == "Mat4" else data.reshape(-1, len(TUPLES[name]._fields)))

    def _element(self, index: int, kind: bytes, payload: Any) -> Any:
        try:
            return self._decode(kind, payload)
        except ConversionError as error:
            raise ConversionError(f"bad element #{index + 1} in table: {error.message}") from None

    def _get(self, number: int, name: bytes) -> tuple[Any, ...]:
        """problem, number of the binding's target or 0, form, kind, then one value or two."""
        owner = self._objects[number - 1]
        text = _text(name)
        try:
            attribute = owner.attribute(text)
        except SceneError as error:
            self._hints[error.message] = error.hint
            return (_bytes(error.message),)
        target = owner.binding(text)
        bound = 0 if target is None else self._number(target)
        kind = attribute.type.kind.encode()
        end = owner.get(text, END)
        if attribute.type.vector:
            return None, bound, b"list", kind, self._lua.list_of([self._encode(item) for item in end])
        if attribute.blurrable:
            return None, bound, b"blur", kind, self._encode_one(owner.get(text, BEGIN)), self._encode_one(end)
        return None, bound, b"value", kind, self._encode_one(end)

    def _encode_one(self, value: Any) -> Any:
        encoded = self._encode(value)
        return self._lua.list_of(encoded) if isinstance(encoded, list) else encoded

    def _encode(self, value: Any) -> Any:
        if value is None:
            return 0
        if isinstance(value, SceneObject):
            return self._number(value)
        if isinstance(value, str):
            return _bytes(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.ravel().tolist() if value.ndim else value.item()
        return list(value) if isinstance(value, tuple) else value

    def _members(self, number: int, payload: bytes) -> bytes | None:
        target = self._objects[number - 1]
        try:
            if isinstance(target, Metadata):
                texts = _texts(payload)
                target.replace([(texts[i], texts[i + 1], texts[i + 2]) for i in range(0, len(texts), 3)])
            elif isinstance(target, MemberSet):
                target.add(self._objects[member - 1] for member in np.frombuffer(payload, "<i8").tolist())
        except SceneError as error:
            return _bytes(error.message)
        return None

    def _rows(self, number: int, geometry: int, parts: bytes, payload: bytes) -> bytes | None:
        target = self._objects[number - 1]
        shape = self._objects[geometry - 1]
        assigned = [self._objects[item - 1] for item in np.frombuffer(payload, "<i8").tolist()]
        try:
            for part in _texts(parts):
                if isinstance(target, Layer):
                    target.assign(shape, part, assigned)
                elif isinstance(target, TraceSet):
                    target.add(shape, part)
        except SceneError as error:
            return _bytes(error.message)
        return None

    def _size(self, number: int) -> int:
        target = self._objects[number - 1]
        if isinstance(target, MemberSet):
            return len(target.members)
        if isinstance(target, Layer):
            return len(target.assignments)
        return len(target.rows) if isinstance(target, TraceSet) else len(target.get("name"))

    def _warn(self, number: int, name: bytes, message: bytes, chunk: int, line: int) -> None:
        file = self._files[chunk - 1] if chunk else self._files[-1]
        owner = self._objects[number - 1]
        self.context.warn(SceneWarning(_text(message), file, line, owner.name, _text(name)))


_CALLS: dict[type[SceneObject], bytes] = {
    MemberSet: b"members",
    TraceSet: b"pairs",
    Layer: b"layer",
    Metadata: b"metadata",
}
"""What calling an object of a class with a table does, where it does not set attributes; names of rdla.lua."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _texts(payload: bytes) -> list[str]:
    """The strings of Lua's `string.pack` format s4."""
    texts, offset = [], 0
    while offset < len(payload):
        (length,) = struct.unpack_from("<I", payload, offset)
        texts.append(_text(payload[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    return texts

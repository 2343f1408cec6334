"""Reads RDLA: Lua programs that make the objects of a scene.

What a program says wrongly about one value is skipped with a warning; what makes no scene (Lua errors, unknown classes,
names taken twice, bad sets and layer rows) ends the reading with a SceneError.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.lua_sandbox import Limits, LuaSandbox, print_to_stderr
from arras_ray.scene.number_lists import NumberList, take_out
from arras_ray.scene.packing import items, texts, to_bytes, to_text
from arras_ray.scene.program_folder import ProgramFolder
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.sets import Layer, MemberSet, Metadata, TraceSet
from arras_ray.scene.values import TUPLES, ConversionError, Packed, ValueType

CLASS_ALIASES = {"Camera": "PerspectiveCamera"}

# what an object and a warning take at least, in bytes
OBJECT_SIZE = 1000
WARNING_SIZE = 1000

LUA_KEYWORDS = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)


class RdlaReader:
    """Runs RDLA programs on one context, in one Lua state: globals of a file are seen by the next."""

    def __init__(
        self,
        context: SceneContext,
        limits: Limits,
        print_line: Callable[[str], None] = print_to_stderr,
    ) -> None:
        self.context = context
        self._lua = LuaSandbox(limits, print_line, self._open, self._list_text)
        self._lists: list[tuple[NumberList, int]] = []
        """The lists taken out of the programs, each with its chunk number."""
        self._folder = ProgramFolder(None)
        self._left = limits.memory
        """Bytes that programs may still hand over to the scene, where Lua's own limit does not reach."""
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

    def run(self, source: bytes, file: str, folder: Path | None = None) -> None:
        """Run one program; `dofile` reaches what is in `folder`. Raises SceneError."""
        self._folder = ProgramFolder(folder)
        chunk = self._add_file(file)
        try:
            self._lua.run(self._prepared(source, chunk), chunk, file)
        except SceneError as error:
            chunk = error.fields.pop("chunk", None)
            if chunk is not None:
                error.fields = {"file": self._files[chunk - 1], **error.fields}
            error.hint = error.hint or self._hints.get(error.message, "")
            raise

    def assign(self, name: str, expression: str) -> None:
        """Set a global variable to the value of a Lua expression, for the programs to come. Raises SceneError."""
        file = f"the value of {name}"
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in LUA_KEYWORDS:
            raise SceneError(
                f"'{name}' cannot be the name of a Lua variable",
                hint="a name is made of letters, digits and _, begins with no digit and is no word of Lua",
            )
        # a program that is one return statement can hold no other statement
        value = to_bytes(f"({expression}\n)")
        if problem := self._lua.check(b"return " + value):
            raise SceneError(f"'{expression}' is not one Lua expression: {problem}", hint="give one value", file=file)
        self.run(to_bytes(name) + b" = " + value, file)

    def _add_file(self, file: str) -> int:
        """A file that is read; gives the number of its chunk, from 1."""
        self._files.append(file)
        self.context.files.append(file)
        return len(self._files)

    def _prepared(self, source: bytes, chunk: int) -> bytes:
        # Lua's own file loader drops a byte order mark and a first line that starts with #
        source = source.removeprefix(b"\xef\xbb\xbf")
        if source.startswith(b"#"):
            source = b"--" + source
        source, lists = take_out(source, len(self._lists) + 1)
        self._lists += [(found, chunk) for found in lists]
        if self._spend(sum(found.data.nbytes for found in lists)):
            raise self._lua.out_of_memory()
        return source

    def _spend(self, size: int) -> bytes | None:
        """Count bytes that the scene takes; gives the problem if they are too many."""
        self._left -= size
        return None if self._left >= 0 else to_bytes(self._lua.out_of_memory().message)

    # What follows is called by Lua. Text comes as bytes; a message comes back where something is wrong.

    def _open(self, path: bytes) -> tuple[bytes | None, int | bytes]:
        """The program and chunk number of a file that a program opens with dofile."""
        try:
            source, file = self._folder.read(to_text(path), self._left)
            chunk = self._files.index(file) + 1 if file in self._files else self._add_file(file)
            return self._prepared(source, chunk), chunk
        except SceneError as error:
            return None, self._problem(error)

    def _problem(self, error: SceneError) -> bytes:
        """An error's message for Lua to raise; its hint is found again if that ends the program."""
        if len(self._hints) > 100:
            self._hints.clear()
        self._hints[error.message] = error.hint
        return to_bytes(error.message)

    def _list_text(self, number: int) -> tuple[bytes, int, int]:
        found, chunk = self._lists[number - 1]
        return bytes(found.text), chunk, found.line

    def _class(self, name: bytes) -> tuple[bytes | None, bytes | None]:
        text = CLASS_ALIASES.get(to_text(name), to_text(name))
        found = self.context.schema.find(text)
        if found is not None and not found.abstract:
            return name, None
        closest = self.context.schema.closest(text)
        error = SceneError(
            f"'{text}' is neither a variable that was assigned before nor a scene class",
            hint=f"did you mean {closest}?" if closest else "",
        )
        return None, self._problem(error)

    def _create(self, class_name: bytes, name: bytes) -> tuple[Any, ...]:
        text = to_text(class_name)
        if problem := self._spend(OBJECT_SIZE + len(name) if to_text(name) not in self.context else 0):
            return None, problem
        try:
            made = self.context.create(CLASS_ALIASES.get(text, text), to_text(name))
        except SceneError as error:
            return None, self._problem(error)
        number = self._number(made)
        return number, *self._describe(number)

    def _describe(self, number: int) -> tuple[bytes | None, bytes]:
        target = self._objects[number - 1]
        call = next((call for cls, call in _CALLS.items() if isinstance(target, cls)), None)
        return call, to_bytes(repr(target))

    def _number(self, target: SceneObject) -> int:
        """The number Lua knows an object by; it counts from 1, as 0 stands for no object."""
        number = self._ids.get(target.name)
        if number is None:
            self._objects.append(target)
            number = self._ids[target.name] = len(self._objects)
        return number

    def _object(self, number: int) -> SceneObject | None:
        return self._objects[number - 1] if number else None

    def _set(self, number: int, name: bytes, target: int, form: bytes, *arguments: Any) -> bytes | bool | None:
        """Set an attribute as an assignment does. target: -1 no bind(), 0 bind(undef()), else the object bound to.

        True asks for the same list again, as a mixed one.
        """
        owner = self._objects[number - 1]
        text = to_text(name)
        # of a list, or of a string: what else may be large
        if len(arguments) > 1 and isinstance(arguments[1], bytes) and (problem := self._spend(len(arguments[1]))):
            return problem
        try:
            if target >= 0 or owner.attribute(text).bindable:
                owner.bind(text, self._object(max(target, 0)))
            self._assign(owner, text, form, arguments, keep_binding=target >= 0)
        except _MixedNumbers:
            return True
        except SceneError as error:
            message = f"{error.message}; {error.hint}" if error.hint else error.message
            return to_bytes(message)
        return None

    def _assign(
        self, owner: SceneObject, name: str, form: bytes, arguments: tuple[Any, ...], *, keep_binding: bool
    ) -> None:
        if form == b"value":
            owner.set(name, self._decode(*arguments), keep_binding=keep_binding)
        elif form == b"list":
            family = owner.attribute(name).type.family
            owner.set(name, self._decode_list(family, *arguments), keep_binding=keep_binding)
        elif form == b"blur":
            begin, end = self._decode(*arguments[:2]), self._decode(*arguments[2:])
            owner.set_blur(name, begin, end, keep_binding=keep_binding)

    def _decode(self, kind: bytes, payload: Any) -> Any:
        if kind in (b"number", b"boolean"):
            return payload
        if kind == b"string":
            return to_text(payload)
        if kind == b"object":
            return self._object(payload)
        if kind == b"Mat4":
            return np.frombuffer(payload, "<f8").reshape(4, 4)
        if kind == b"other":
            raise ConversionError(f"a {to_text(payload)} cannot be the value of an attribute")
        cls = TUPLES[kind.decode()]
        return cls(*np.frombuffer(payload, "<f8").tolist())

    def _decode_list(self, family: str, kind: bytes, payload: Any = b"", some_whole: bool = False) -> Any:
        """family: of the attribute. some_whole: these are numbers of which some are whole ones."""
        if kind == b"empty":
            return ()
        if kind == b"listed":
            found = self._lists[payload - 1][0]
            if self._spend(found.data.nbytes):
                raise self._lua.out_of_memory()
            if found.kind == "number" and _has_to_be_exact(family, found.data):
                return found.numbers()
            return self._packed(found.kind, found.data)
        if kind == b"string":
            return texts(payload)
        if kind == b"object":
            return [self._object(number) for number in np.frombuffer(payload, "<i8").tolist()]
        if kind == b"mixed":
            return [self._element(index, *item) for index, item in enumerate(items(payload))]
        data = np.frombuffer(payload, "<i8" if kind == b"integer" else "<f8")
        if some_whole and _has_to_be_exact(family, data):
            raise _MixedNumbers
        return self._packed(kind.decode(), data)

    def _packed(self, kind: str, data: np.ndarray) -> Packed:
        if kind in ("integer", "number"):
            return Packed("number", data)
        return Packed(kind, data.reshape(-1, 4, 4) if kind == "Mat4" else data.reshape(-1, len(TUPLES[kind]._fields)))

    def _element(self, index: int, kind: bytes, payload: Any) -> Any:
        try:
            return self._decode(kind, payload)
        except ConversionError as error:
            raise ConversionError(f"bad element #{index + 1} in table: {error.message}") from None

    def _get(self, number: int, name: bytes) -> tuple[Any, ...]:
        """problem, number of the binding's target or 0, form, kind, then one value or two."""
        owner = self._objects[number - 1]
        text = to_text(name)
        try:
            attribute = owner.attribute(text)
        except SceneError as error:
            return (self._problem(error),)
        target = owner.binding(text)
        bound = 0 if target is None else self._number(target)
        kind = attribute.type.kind.encode()
        end = owner.get(text, END)
        if attribute.type.vector:
            return None, bound, b"list", kind, *self._encode_list(attribute.type, end)
        if attribute.blurrable:
            return None, bound, b"blur", kind, self._encode(owner.get(text, BEGIN)), self._encode(end)
        return None, bound, b"value", kind, self._encode(end)

    def _encode_list(self, value_type: ValueType, value: Any) -> tuple[bytes, bytes]:
        """The letter that Lua's `string.unpack` reads one number or string with, and what it reads from."""
        if value_type.family == "string":
            encoded = map(to_bytes, value)
            return b"s4", b"".join(struct.pack("<I", len(item)) + item for item in encoded)
        if value_type.family == "object":
            return b"j", np.array([self._encode(item) for item in value], "<i8").tobytes()
        whole = value_type.family in ("int", "bool")
        return (b"j" if whole else b"d"), value.astype("<i8" if whole else "<f8").tobytes()

    def _encode(self, value: Any) -> Any:
        if value is None:
            return 0
        if isinstance(value, SceneObject):
            return self._number(value)
        if isinstance(value, str):
            return to_bytes(value)
        return np.array(value, "<f8").tobytes() if isinstance(value, np.ndarray | tuple) else value

    def _members(self, number: int, payload: bytes) -> bytes | None:
        target = self._objects[number - 1]
        if problem := self._spend(len(payload)):
            return problem
        try:
            if isinstance(target, Metadata):
                cells = texts(payload)
                target.replace([(cells[i], cells[i + 1], cells[i + 2]) for i in range(0, len(cells), 3)])
            elif isinstance(target, MemberSet):
                target.add(self._objects[member - 1] for member in np.frombuffer(payload, "<i8").tolist())
        except SceneError as error:
            return to_bytes(error.message)
        return None

    def _rows(self, number: int, geometry: int, parts: bytes, payload: bytes) -> bytes | None:
        target = self._objects[number - 1]
        shape = self._objects[geometry - 1]
        assigned = [self._objects[item - 1] for item in np.frombuffer(payload, "<i8").tolist()]
        if problem := self._spend(OBJECT_SIZE + 10 * len(parts)):
            return problem
        try:
            for part in texts(parts):
                if isinstance(target, Layer):
                    target.assign(shape, part, assigned)
                elif isinstance(target, TraceSet):
                    target.add(shape, part)
        except SceneError as error:
            return to_bytes(error.message)
        return None

    def _size(self, number: int) -> int:
        target = self._objects[number - 1]
        if isinstance(target, MemberSet):
            return len(target.members)
        if isinstance(target, Layer):
            return len(target.assignments)
        return len(target.rows) if isinstance(target, TraceSet) else len(target.get("name"))

    def _warn(self, number: int, name: bytes, message: bytes, chunk: int, line: int) -> bytes | None:
        if problem := self._spend(WARNING_SIZE + len(message)):
            return problem
        file = self._files[chunk - 1] if chunk else self._files[-1]
        owner = self._objects[number - 1]
        self.context.warn(SceneWarning(to_text(message), file, line, owner.name, to_text(name)))
        return None


_CALLS: dict[type[SceneObject], bytes] = {
    MemberSet: b"members",
    TraceSet: b"pairs",
    Layer: b"layer",
    Metadata: b"metadata",
}
"""What calling an object of a class with a table does, where it does not set attributes; names of rdla.lua."""


class _MixedNumbers(Exception):
    """A list of which the whole numbers have to be told apart."""


def _has_to_be_exact(family: str, data: np.ndarray) -> bool:
    """Whether floats cannot stand for a list of whole numbers and others: 1 is no 1.0, and 2^53 + 1 no float."""
    return family == "string" or (family == "int" and bool((np.abs(data) >= 2.0**53).any()))

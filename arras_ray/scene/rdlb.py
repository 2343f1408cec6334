"""RDLB, the binary form of a scene: what travels from the client to the machines, and files that are read fast.

A file is two big-endian 64-bit lengths, a manifest (how long each record is) and a payload (one record an object). It
has neither version nor checksum. This module writes it; `rdlb_reader` reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext
from arras_ray.scene.rdlb_reader import OBJECT_RECORD, decode, touched
from arras_ray.scene.rdlb_values import Piece, text, value_pieces
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.schema import Attribute
from arras_ray.scene.sets import Layer, MemberSet, Metadata, TraceSet
from arras_ray.scene.style import Style
from arras_ray.scene.varints import signed, unsigned

__all__ = ["decode", "encode", "pieces", "touched"]

_LONG_PIECE = 1 << 13
"""Bytes; shorter pieces are joined."""


def encode(context: SceneContext, only: Mapping[str, Iterable[str]] | None = None, style: Style | None = None) -> bytes:
    """A scene as bytes. only: a change of it, objects by name with the attributes to write of each, whatever they are;
    a binding that is not there is written as one that has ended.
    """
    return b"".join(pieces(context, only, style))


def pieces(
    context: SceneContext, only: Mapping[str, Iterable[str]] | None = None, style: Style | None = None
) -> Iterator[Piece]:
    """The same piece by piece; most of them are the scene's own arrays, which are not copied."""
    writer = _Writer(style or Style())
    if only is None:
        records = [writer.whole(item) for item in context]
    else:
        records = [writer.change(context[name], names) for name, names in only.items()]
    if writer.refers:
        records = [*map(writer.record, _first_ones(context)), *records]
    written = [record for record in records if record]
    sizes = [sum(map(len, record)) for record in written]
    entries = (unsigned(OBJECT_RECORD) + unsigned(size) for size in sizes)
    manifest = b"".join((unsigned(len(sizes)), *entries))
    yield struct.pack(">QQ", 8 + len(manifest), sum(sizes)) + _container_size(len(manifest)) + manifest
    for record in written:
        yield from _joined(record)


def _container_size(size: int) -> bytes:
    return struct.pack("<Q", 8 + size)


def _joined(record: Iterable[Piece]) -> Iterator[Piece]:
    """The same bytes, with short pieces joined."""
    short: list[Piece] = []
    for piece in record:
        if len(piece) < _LONG_PIECE:
            short.append(piece)
            continue
        if short:
            yield b"".join(short)
            short.clear()
        yield piece
    if short:
        yield b"".join(short)


def _first_ones(context: SceneContext) -> Iterator[SceneObject]:
    """The camera and the layer that are the scene's because they came first, where others could come before them."""
    for what, first, interface in (("camera", context.camera, "CAMERA"), ("layer", context.layer, "LAYER")):
        if first is not None and context.variables.get(what) is None and len(context.of_interface(interface)) > 1:
            yield first


class _Writer:
    """Makes records, each a list of pieces; an empty one stands for an object that is left out."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self.refers = False
        """Whether a reader makes objects by the references of a part of a scene before it meets their records."""

    def whole(self, item: SceneObject) -> list[Piece]:
        """An object and what is to be said of it."""
        if not self._style.skip_defaults:
            attributes = list(item.scene_class.attributes.values())
            return self._styled(item, attributes, attributes)
        attributes = item.non_default_attributes()
        return self._styled(item, attributes, [part for part in attributes if item.binding(part.name)])

    def change(self, item: SceneObject, names: Iterable[str]) -> list[Piece]:
        """An object and some of its attributes; of a layer all, for its rows are set as a whole."""
        attributes = [item.attribute(name) for name in names]
        if attributes and isinstance(item, Layer):
            attributes = list(item.scene_class.attributes.values())
        return self._styled(item, attributes, [part for part in attributes if part.bindable])

    def _styled(self, item: SceneObject, values: Sequence[Attribute], bindings: Sequence[Attribute]) -> list[Piece]:
        shortest, longest = self._style.shortest_vector, self._style.longest_vector
        rows = isinstance(item, MemberSet | Layer | TraceSet | Metadata)  # they are never split
        if longest is not None and not rows:
            values = [part for part in values if not part.type.vector or len(item.get(part.name, END)) <= longest]
        if shortest:
            if rows:
                return []
            values = [part for part in values if part.type.vector and len(item.get(part.name, END)) >= shortest]
            bindings = [part for part in bindings if part in values]
            self.refers |= any(part.type.family == "object" for part in values)
            if not values:
                return []
        return self.record(item, values, bindings)

    def record(
        self, item: SceneObject, values: Iterable[Attribute] = (), bindings: Iterable[Attribute] = ()
    ) -> list[Piece]:
        """An object with some values and bindings. Raises SceneError for a string that cannot be written."""
        body: list[Piece] = [text(item.scene_class.name), text(item.name)]
        for attribute in values:
            body += self._head(attribute.type.code, attribute)
            body.append(b"\1" if attribute.blurrable else b"\0")
            for timestep in (BEGIN, END) if attribute.blurrable else (BEGIN,):
                body.append(bytes([timestep]))
                try:
                    body += value_pieces(item.get(attribute.name, timestep), attribute.type)
                except SceneError as error:
                    error.fields |= {"object": item.name, "attribute": attribute.name}
                    raise
        body.append(b"\0")
        for attribute in bindings:
            bound = item.binding(attribute.name)
            body += self._head(1, attribute)
            body += [text(bound.scene_class.name), text(bound.name)] if bound else [b"\0\0"]
        body.append(b"\0")
        return [_container_size(sum(map(len, body))), *body]

    def _head(self, code: int, attribute: Attribute) -> list[Piece]:
        """What stands before a value (code: its type) or a binding (1)."""
        name = b"\1" + signed(attribute.index) if self._style.transient else b"\0" + text(attribute.name)
        return [unsigned(code), name]

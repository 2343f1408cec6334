"""Messages between the parties of a session: typed content, what is known about it, and how it travels.

Content is an instance of any class that can be imported where it is received; a dataclass serves best. Its name is the
class name, or `message_name` of the class; routes and credit know it by that. A class may have

    message_version = 2                                     # 1 if it says nothing
    is_image = True                                         # sent only against credit, where a definition gives any
    def serialise(self) -> Any                              # what travels, instead of the object itself
    @classmethod
    def deserialise(cls, data: Any, version: int) -> Self   # from what travelled, also from other versions

Arrays travel beside the pickled rest, uncopied until they leave the process.
"""

from __future__ import annotations

import pickle
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from arras_ray.errors import MessageError

CLIENT = "(client)"
"""The client's name among the parties of a session."""

PROTOCOL = 5


@dataclass(frozen=True)
class Message:
    """A message that has arrived. size: bytes of its content as it travelled; created: seconds since 1970.

    source_id is its sender's choice and is copied to replies, so that answers can be told apart.
    """

    content: Any
    name: str
    version: int
    routing_name: str
    source_id: str
    instance_id: str
    sender: str
    created: float
    size: int


class Envelope(NamedTuple):
    """A message under way. kind: MODULE:CLASS of its content. body and buffers: a pickle and its arrays.

    number counts what its sender has sent to one receiver, from 1: it keeps the order. line: another one for a client
    that comes back, and counts anew.
    """

    name: str
    kind: str
    version: int
    routing_name: str
    source_id: str
    instance_id: str
    sender: str
    created: float
    body: bytes | memoryview
    buffers: Sequence[Any] = ()
    is_image: bool = False
    number: int = 0
    on_credit: bool = False
    line: str = ""

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.body) + sum(memoryview(b).nbytes for b in self.buffers)

    def kept(self) -> Envelope:
        """The same with arrays of its own, for one that does not leave at once: its sender may change them."""
        return self._replace(buffers=[bytes(buffer) for buffer in self.buffers])


@dataclass(frozen=True)
class UnknownContent:
    """Stands for content whose class cannot be imported here. reason: why."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class GenericMessage:
    """A line of text; what it means is between its sender and its receiver."""

    value: str


@dataclass(frozen=True)
class JSONMessage:
    """A named command with arguments JSON can tell."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CreditUpdate:
    """Image frames its receiver may send to its sender. mode: Update adds value, Set sets it, Reset begins anew."""

    value: int = 1
    mode: str = "Update"
    name: str = ""


def new_id() -> str:
    """One that no other message has."""
    return secrets.token_hex(16)


def pack(content: Any, sender: str, *, source_id: str = "", routing_name: str = "") -> Envelope:
    """Put content into an envelope. Raise MessageError for what cannot travel."""
    cls = type(content)
    name = getattr(cls, "message_name", cls.__name__)
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = content.serialise() if hasattr(cls, "serialise") else content
        body = pickle.dumps(data, PROTOCOL, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
    except Exception as error:  # whatever a class does when it is taken apart
        raise MessageError(f"a {name} cannot be sent: {type(error).__name__}: {error}", message_name=name) from error
    return Envelope(
        name=name,
        kind=kind_of(cls),
        version=getattr(cls, "message_version", 1),
        routing_name=routing_name or name,
        source_id=source_id or new_id(),
        instance_id=new_id(),
        sender=sender,
        created=time.time(),
        body=body,
        buffers=raw,
        is_image=getattr(cls, "is_image", False),
    )


def unpack(envelope: Envelope) -> Message:
    """Take the content out; arrays refer to the envelope's buffers. UnknownContent for a class that is not there.

    Raise MessageError for content that is corrupt, or of a version that its class here does not know.
    """
    try:
        cls = _class_of(envelope.kind)
    except Exception as error:  # importing runs code, which may fail in any way
        reason = f"{type(error).__name__}: {error}"
        return _message(envelope, UnknownContent(envelope.name, envelope.kind, reason))
    what = f"a {envelope.name} from {envelope.sender}"
    version = getattr(cls, "message_version", 1)
    if version != envelope.version and not hasattr(cls, "deserialise"):
        raise MessageError(
            f"{what} has version {envelope.version}; {version} is known here", message_name=envelope.name
        )
    try:
        data = pickle.loads(envelope.body, buffers=envelope.buffers)
        content = cls.deserialise(data, envelope.version) if hasattr(cls, "deserialise") else data
    except Exception as error:
        raise MessageError(
            f"{what} cannot be read: {type(error).__name__}: {error}", message_name=envelope.name
        ) from error
    return _message(envelope, content)


def kind_of(cls: type) -> str:
    """MODULE:CLASS, by which a class is found again."""
    return f"{cls.__module__}:{cls.__qualname__}"


def to_bytes(envelope: Envelope, number: int = 0, line: str = "") -> bytes:
    """A small envelope, `numbered`, as one piece: Ray takes bytes much quicker than an object with parts."""
    return pickle.dumps((*numbered(envelope, number, line),), PROTOCOL)


def from_bytes(data: bytes) -> Envelope:
    """The envelope that `to_bytes` made."""
    return Envelope(*pickle.loads(data))


def numbered(envelope: Envelope, number: int, line: str = "") -> Envelope:
    """The same, with its place in the order of its connection."""
    return envelope._replace(number=number, line=line)


def _message(envelope: Envelope, content: Any) -> Message:
    return Message(
        content,
        envelope.name,
        envelope.version,
        envelope.routing_name,
        envelope.source_id,
        envelope.instance_id,
        envelope.sender,
        envelope.created,
        envelope.size,
    )


def _class_of(kind: str) -> Any:
    module, _, path = kind.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found

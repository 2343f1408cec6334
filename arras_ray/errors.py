"""Every error a user can meet, in one tree.

    ArrasRayError                      exit 1
      UsageError                       exit 2   wrong arguments
      SceneError                       exit 3   file, line, object, attribute
      DefinitionError                  exit 3   file, line, column of a session definition
      CheckpointError                  exit 3   a checkpoint that cannot be read, or is not this render's
      ResourcesError                   exit 4   asked and free, computation by computation
      ReadyTimeout                     exit 5   a session that did not get ready
      MessageTimeout                   exit 5   a message that did not come
      ComputationError                 exit 6   a computation ended the session
      LoadError                        exit 6   a computation's library or class cannot be loaded
      MessageError                     exit 6   a message that cannot be sent, read or delivered
      ClusterError                     exit 7   cluster not reached, token refused, versions differ
      OutputError                      exit 8   picture or scene not written
      RenderError                      exit 1   a picture that is partial or has bad samples
      Interrupted                      exit 130

Errors cross process borders by pickle with all their fields; a user sees `message` and `hint`, never a traceback.
"""

from __future__ import annotations

from typing import Any


class ArrasRayError(Exception):
    """Base of all errors. `hint` says what to do next; the keyword fields say where it happened."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.fields)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def place(self) -> str:
        """`file:line:column` as far as known, else an empty string."""
        parts = [str(self.fields[key]) for key in ("file", "line", "column") if key in self.fields]
        return ":".join(parts)

    def __str__(self) -> str:
        place = self.place
        return f"{place}: {self.message}" if place else self.message


def _rebuild(cls: type[ArrasRayError], message: str, hint: str, fields: dict[str, Any]) -> ArrasRayError:
    return cls(message, hint=hint, **fields)


class UsageError(ArrasRayError):
    """Arguments that cannot be meant."""

    exit_code = 2


class SceneError(ArrasRayError):
    """A scene that cannot be read or rendered. Fields: file, line, object, attribute."""

    exit_code = 3


class DefinitionError(ArrasRayError):
    """A session definition that cannot be read or expanded. Fields: file, line, column, computation, field."""

    exit_code = 3


class CheckpointError(ArrasRayError):
    """A checkpoint that cannot be read, or that belongs to another render. Field: path."""

    exit_code = 3


class ResourcesError(ArrasRayError):
    """What a session asks does not fit. Field `table`: rows of (computation, asked, free, reason)."""

    exit_code = 4


class ReadyTimeout(ArrasRayError):
    """A session was not ready in time."""

    exit_code = 5


class MessageTimeout(ArrasRayError):
    """A message did not come in time."""

    exit_code = 5


class ComputationError(ArrasRayError):
    """A computation ended the session. Fields: computation, node, how."""

    exit_code = 6


class LoadError(ArrasRayError):
    """A computation's class cannot be loaded. Field: dso."""

    exit_code = 6


class MessageError(ArrasRayError):
    """A message cannot be sent, read or delivered. Field: message_name."""

    exit_code = 6


class ClusterError(ArrasRayError):
    """The cluster was not reached, refused the token, or runs other versions. Fields: address."""

    exit_code = 7


class OutputError(ArrasRayError):
    """A picture, scene or checkpoint could not be written. Field: path."""

    exit_code = 8


class RenderError(ArrasRayError):
    """A render that ended partial, or met samples that are no numbers. Fields: pixel, sample."""

    exit_code = 1


class Interrupted(ArrasRayError):
    """The user stopped it."""

    exit_code = 130

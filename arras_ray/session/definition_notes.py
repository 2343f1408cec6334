"""What a session definition says that has no effect here: it is kept, told once and ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from arras_ray.errors import DefinitionError
from arras_ray.session.definition_text import Path, Source
from arras_ray.session.dso import RENDER_KINDS, library_name
from arras_ray.session.message import CLIENT

SOFTWARE = "computations use what is installed on their nodes"
RECORDS = "nothing is recorded yet"
TRACE = "messages are not traced"
LEVEL = "all computations of a session have one log level"
CORES = "computations that ask for all cores share them all"
ARRAY_MAX = "only mcrts come later"
CONTEXT = "it is not defined here"

REQUIREMENTS = {
    "rez_packages": SOFTWARE,
    "rez_packages_prepend": SOFTWARE,
    "rez_context": SOFTWARE,
    "rez_context_file": SOFTWARE,
    "pseudo-compiler": SOFTWARE,
    "packaging_system": SOFTWARE,
    "script": SOFTWARE,
}
"""Fields of requirements and of contexts, and why they have no effect."""

RESOURCES = {"logLevel": LEVEL, "reservedCores": CORES}
BLOCK = {
    "saveConfigTo": RECORDS,
    "saveRoutingTo": RECORDS,
    "saveIncomingTo": RECORDS,
    "saveOutgoingTo": RECORDS,
    "saveDefinitionTo": RECORDS,
    "traceThreshold": TRACE,
}
AS_ALWAYS = {"packaging_system": ("none", "current-environment"), "traceThreshold": (-1,)}
"""Values that ask for what happens anyway."""


@dataclass(frozen=True)
class Finding:
    """Something about a definition: an error, or a note on what has no effect. `str` is one line with the place."""

    level: str
    message: str
    hint: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    computation: str | None = None
    field: str | None = None

    @classmethod
    def of(cls, level: str, error: DefinitionError) -> Finding:
        """An error or a note as an error tells it."""
        return cls(level, error.message, error.hint, **error.fields)

    def __str__(self) -> str:
        parts = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        return f"{':'.join(parts)}: {self.message}" if parts else self.message


def find_notes(document: Mapping[str, Any], source: Source) -> list[Finding]:
    """One for each reason why fields have no effect, with the place of the first and the number of all others."""
    first: dict[str, tuple[Path, str]] = {}
    others: dict[str, int] = {}
    for path, why, what in _without_effect(document):
        if why in first:
            others[why] = others.get(why, 0) + 1
        else:
            first[why] = path, what
    notes = []
    for why, (path, what) in first.items():
        more = f" ({others[why]} more like it)" if why in others else ""
        notes.append(Finding.of("note", source.error(path, f"{what} has no effect: {why}{more}")))
    return notes


def _without_effect(document: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """(path, why, what it is) of each such field."""
    contexts = _object(document.get("contexts"))
    for name, context in contexts.items():
        yield from _named(("contexts", name), _object(context), REQUIREMENTS)
    for name, value in _object(document.get("computations")).items():
        path, block = ("computations", name), _object(value)
        requirements = _object(block.get("requirements"))
        context = requirements.get("context")
        if name != CLIENT and isinstance(context, str) and context and context not in contexts:
            yield (*path, "requirements", "context"), CONTEXT, f"the context {context[:100]}"
        yield from _named((*path, "requirements"), requirements, REQUIREMENTS)
        yield from _named((*path, "requirements", "resources"), _object(requirements.get("resources")), RESOURCES)
        yield from _named(path, block, BLOCK)
        if "arrayMax" in block and library_name(str(block.get("dso"))) not in RENDER_KINDS:
            yield (*path, "arrayMax"), ARRAY_MAX, "arrayMax"


def _named(path: Path, fields: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[tuple[Path, str, str]]:
    for name, why in known.items():
        if name in fields and fields[name] not in AS_ALWAYS.get(name, ()):
            yield (*path, name), why, name


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

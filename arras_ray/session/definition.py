"""Session definitions: which computations a session has, how many, and what each asks of a machine.

The files are those of Arras; see definition_text.py for what is taken beside strict JSON. Unknown keys are kept.
`expand` turns the blocks of a file into computations, with arrays made and variables filled in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arras_ray.errors import DefinitionError
from arras_ray.session.block import read_rules
from arras_ray.session.computation_spec import MB, ComputationSpec, Resources
from arras_ray.session.definition_fields import Fields
from arras_ray.session.definition_notes import Finding, find_notes
from arras_ray.session.definition_text import MAX_CHARACTERS, Source
from arras_ray.session.dso import RENDER_KINDS
from arras_ray.session.expansion import Expansion
from arras_ray.session.message import CLIENT
from arras_ray.session.routing import Rule

__all__ = [
    "MB",
    "SEARCH_PATH",
    "SUFFIX",
    "ComputationSpec",
    "Resources",
    "SessionDefinition",
    "definition_files",
    "load_definition",
    "package_dir",
    "package_sessions_dir",
    "parse_definition",
    "read_definition",
]

SUFFIX = ".sessiondef"
SEARCH_PATH = "ARRAS_SESSION_PATH"
"""Environment variable: folders to look in before the package's own, separated as in PATH."""

MAX_BYTES = MAX_CHARACTERS


@dataclass(frozen=True)
class SessionDefinition:
    """A session definition as read. document: the root object. text and file are kept to say where an error is."""

    name: str
    document: dict[str, Any]
    text: str = field(default="", repr=False)
    file: str = ""

    @property
    def source(self) -> Source:
        """The text, which tells places."""
        return Source(self.text, self.file)

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """The blocks of computations by name, the client's left out, in the order of the file."""
        return {name: block for name, block in self.document["computations"].items() if name != CLIENT}

    @property
    def description(self) -> str:
        """What the file says it is for; empty if it does not."""
        description = self.document.get("description", "")
        return description if isinstance(description, str) else ""

    @property
    def log_level(self) -> int | None:
        """Level up to which computations write, 0 to 5; None if the file does not say. Raise DefinitionError."""
        root = Fields(self.source, (), self.document)
        if "logLevel" not in root:
            return None
        level = root.number("logLevel", 0)
        if level not in range(6):
            root.fail("logLevel", f"logLevel cannot be {level:g}", "Levels are 0 (fatal) to 5 (trace).")
        return int(level)

    @property
    def client_rules(self) -> dict[str, Rule]:
        """What the client accepts, by source. Raise DefinitionError."""
        return read_rules(Fields(self.source, (), self.document).object("computations").object(CLIENT))

    @property
    def findings(self) -> list[Finding]:
        """What is kept and has no effect: a note for each reason, at the first place."""
        return find_notes(self.document, self.source)

    @property
    def notes(self) -> tuple[str, ...]:
        """The same as lines of text."""
        return tuple(map(str, self.findings))

    def expansion(self, num_mcrt: int | None = None, dso: Mapping[str, str] | None = None) -> Expansion:
        """What `expand` does, block by block."""
        return Expansion(self.document, self.source, num_mcrt, dso)

    def expand(self, num_mcrt: int | None = None, dso: Mapping[str, str] | None = None) -> tuple[ComputationSpec, ...]:
        """All computations, arrays made: `mcrt` with arrayExpand 2 becomes mcrt_i0 and mcrt_i1.

        num_mcrt overrides the length of the mcrt array. dso: what stands for libraries, {name: target}, before those
        that are known. Raise DefinitionError, with the place in the file, for what cannot be meant: no such array,
        counts and resources out of range, unknown variables. A library that nobody knows is no error here.
        """
        return self.expansion(num_mcrt, dso).computations()

    @property
    def most_mcrts(self) -> int:
        """How many mcrts may come by themselves: arrayMax of the mcrt array, 0 where there is none."""
        expansion = self.expansion()
        return max((expansion.most(base) or 0 for base in self.blocks if expansion.kind(base) == "mcrt"), default=0)

    def check_render(self, computations: Sequence[ComputationSpec]) -> None:
        """Raise DefinitionError unless these can render: one dispatch, an mcrt or more, a merge or more, no others."""
        known = ", ".join(RENDER_KINDS)
        for other in (one for one in computations if one.kind not in RENDER_KINDS.values()):
            path = ("computations", other.array or other.name, "dso")
            message = f"no part of a render stands for the library {other.dso!r}"
            raise self.source.error(path, message, f"Known: {known}.")
        for kind in RENDER_KINDS.values():
            n = sum(c.kind == kind for c in computations)
            if n == 0:
                message = f"session {self.name} has no {kind}"
                raise self.source.error(("computations",), message, "A render needs a dispatch, mcrts and a merge.")
            if kind == "dispatch" and n > 1:
                raise self.source.error(
                    ("computations",), f"session {self.name} has {n} dispatches", "A render has one."
                )


def load_definition(name: str, environ: Mapping[str, str] = os.environ) -> SessionDefinition:
    """Find and read a definition by name, or by path if it ends in .sessiondef.

    Looked for as NAME.sessiondef in the folders of ARRAS_SESSION_PATH, then among the package's own, then as a path.
    Raise DefinitionError if there is none, with where it was looked for and what is there.
    """
    if name.endswith(SUFFIX):
        return read_definition(Path(name))
    folders = session_folders(environ)
    for path in [*(folder / (name + SUFFIX) for folder in folders), Path(name)]:
        if os.path.isfile(path):
            return read_definition(path)
    known = ", ".join(path.name.removesuffix(SUFFIX) for path in definition_files(environ))
    raise DefinitionError(
        f"there is no session named {name[:200]}",
        hint=f"Looked in {', '.join(map(str, folders))} (${SEARCH_PATH} adds folders). There: {known}.",
    )


def definition_files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The files that names lead to, sorted by name; of several with one name, the one that is found."""
    found: dict[str, Path] = {}
    for folder in session_folders(environ):
        for path in folder.glob("*" + SUFFIX):
            found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def session_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where names are looked up, in this order."""
    folders = [Path(folder) for folder in environ.get(SEARCH_PATH, "").split(os.pathsep) if folder]
    return [*folders, package_sessions_dir()]


def read_definition(path: Path) -> SessionDefinition:
    """Read a definition file. Raise DefinitionError, with line and column, for one that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DefinitionError(f"cannot read the session definition: {reason}", file=str(path)) from error
    if len(data) > MAX_BYTES:
        raise DefinitionError(f"a session definition may have {MAX_BYTES:,} bytes at most", file=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DefinitionError("the file is not UTF-8 text", file=str(path), line=line) from error
    return parse_definition(text, path.name.removesuffix(SUFFIX), str(path))


def parse_definition(text: str, name: str = "", file: str = "") -> SessionDefinition:
    """Make a definition of JSON text. Raise DefinitionError as `read_definition` does."""
    source = Source(text, file)
    document = source.parse()
    if not isinstance(document, dict):
        source.fail("a session definition is one object in braces", 0)
    blocks = document.get("computations")
    if not isinstance(blocks, dict):
        raise source.error(("computations",), '"computations" is missing or no object')
    for block, value in blocks.items():
        if not isinstance(value, dict):
            raise source.error(("computations", block), f"{block!r} must be an object in braces")
    return SessionDefinition(name, document, text, file)


def package_sessions_dir() -> Path:
    """The folder of the definitions that come with arras-ray."""
    return package_dir("sessions")


def package_dir(name: str) -> Path:
    """A folder that travels with arras-ray, `sessions` or `scenes`: in the package once installed, else beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name

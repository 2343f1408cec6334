"""Session definitions: which computations a session has, how many, and what each asks of a machine.

The files are those of Arras: JSON with comments, trailing commas and a byte-order mark allowed; `1.0` where an integer
is meant; "yes" for true; unknown keys kept. `expand` turns the blocks of a file into computations, with arrays made
and variables filled in.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from arras_ray.errors import DefinitionError
from arras_ray.session.dso import RENDER_KINDS, library_name
from arras_ray.session.message import CLIENT

SUFFIX = ".sessiondef"
SEARCH_PATH = "ARRAS_SESSION_PATH"
"""Environment variable: folders to look in before the package's own, separated as in PATH."""

DEFAULT_MEMORY_MB = 16384
MB = 1 << 20
MAX_COMPUTATIONS = 10_000
MAX_BYTES = 1_000_000
MAX_DEPTH = 200
MAX_EXPANDED = 250_000_000
"""Characters of all blocks after expansion, about: each computation has its own copy."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.|\\\Z)*(?:"|\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)|[{}\[\]:,]|[^\s{}\[\]:,"/]+|/', re.DOTALL)
"""Strings and comments that are not closed match up to the end: a hostile file costs linear time."""


@dataclass(frozen=True)
class Resources:
    """What a computation asks. Cores from min_cores to max_cores, None for all a machine has; memory in bytes."""

    min_cores: float
    max_cores: float | None
    memory: int

    @property
    def fixed(self) -> bool:
        """Whether it asks for one exact number of cores."""
        return self.min_cores == self.max_cores


@dataclass(frozen=True)
class ComputationSpec:
    """One computation of a session. kind: mcrt, dispatch or merge. index: its place in its array, None outside one."""

    name: str
    kind: str
    resources: Resources
    array: str = ""
    index: int | None = None
    block: dict[str, Any] = field(default_factory=dict)
    """Its whole block of the file, variables filled in, unknown keys included."""


@dataclass(frozen=True)
class SessionDefinition:
    """A session definition as read. document: the root object. text and file are kept to say where an error is."""

    name: str
    document: dict[str, Any]
    text: str = field(default="", repr=False)
    file: str = ""

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """The blocks of computations by name, the client's left out, in the order of the file."""
        return {name: block for name, block in self.document["computations"].items() if name != CLIENT}

    def expand(self, num_mcrt: int | None = None) -> tuple[ComputationSpec, ...]:
        """All computations, arrays made: `mcrt` with arrayExpand 2 becomes mcrt_i0 and mcrt_i1.

        num_mcrt overrides the length of the mcrt array. Raise DefinitionError, with the place in the file, for what
        cannot be meant: no such array, counts and resources out of range, unknown libraries or variables.
        """
        lengths = self._lengths(num_mcrt)
        computations: list[ComputationSpec] = []
        for base, block in self.blocks.items():
            kind, resources = self._kind(base), self._resources(base)
            if lengths[base] is None:
                filled = self._fill(block, (base,), None, lengths)
                computations.append(ComputationSpec(base, kind, resources, block=filled))
                continue
            for i in range(lengths[base] or 0):
                filled = self._fill(block, (base,), i, lengths)
                computations.append(ComputationSpec(f"{base}_i{i}", kind, resources, base, i, filled))
        seen: set[str] = set()
        for computation in computations:
            if computation.name in seen:
                self._fail(f"two computations are named {computation.name}", (computation.name,), "Rename a block.")
            seen.add(computation.name)
        return tuple(computations)

    @property
    def most_mcrts(self) -> int:
        """How many mcrts may come by themselves: arrayMax of the mcrt array, 0 where there is none."""
        most = 0
        for base, block in self.blocks.items():
            if "arrayMax" in block and self._kind(base) == "mcrt":
                number = self._number(block["arrayMax"], (base, "arrayMax"))
                if number != int(number) or not 1 <= number <= MAX_COMPUTATIONS:
                    self._fail(
                        f"an array cannot have up to {number} elements", (base, "arrayMax"), "Give a whole number."
                    )
                most = max(most, int(number))
        return most

    def check_render(self, computations: tuple[ComputationSpec, ...]) -> None:
        """Raise DefinitionError unless these can render: one dispatch, an mcrt or more, a merge or more."""
        for kind in RENDER_KINDS.values():
            n = sum(c.kind == kind for c in computations)
            if n == 0:
                self._fail(f"session {self.name} has no {kind}", (), "A render needs a dispatch, mcrts and a merge.")
            if kind == "dispatch" and n > 1:
                self._fail(f"session {self.name} has {n} dispatches", (), "A render has one.")

    def _lengths(self, num_mcrt: int | None) -> dict[str, int | None]:
        """Length of each array by the name of its block, None for a block that is no array."""
        lengths = {base: self._array_length(base) for base in self.blocks}
        if num_mcrt is not None:
            if num_mcrt < 1:
                raise DefinitionError(f"a session cannot have {num_mcrt} mcrts", hint="Ask for at least one.")
            arrays = [b for b, n in lengths.items() if n is not None and self._kind(b) == "mcrt"]
            if len(arrays) == 1:
                lengths[arrays[0]] = num_mcrt
            elif arrays:
                self._fail(f"--num-mcrt could mean any of {', '.join(arrays)}", (arrays[1],), "Set arrayExpand there.")
            elif num_mcrt > 1:
                self._fail(
                    f"session {self.name} has one mcrt, not {num_mcrt}: none of its blocks is an mcrt array",
                    (),
                    'Use a session with an array, such as mcrt_progressive_n, or add "arrayExpand".',
                )
        total = sum(1 if n is None else n for n in lengths.values())
        if total > MAX_COMPUTATIONS or total * len(self.text) > MAX_EXPANDED:
            longest = max(lengths, key=lambda base: lengths[base] or 0)
            message = f"{total} computations are more than a session of this size may have"
            self._fail(message, (longest, "arrayExpand"), f"Stay below {MAX_COMPUTATIONS} in all.")
        return lengths

    def _array_length(self, base: str) -> int | None:
        if not _NAME.fullmatch(base):
            self._fail(f"{base!r} is no name for a computation", (base,), "Use letters, digits, '_', '-' and '.'.")
        if "arrayExpand" not in self.blocks[base]:
            return None
        path = (base, "arrayExpand")
        length = self._number(self.blocks[base]["arrayExpand"], path)
        if length != int(length) or length < 1:
            self._fail(f"an array cannot have {length} elements", path, "Give a whole number, at least 1.")
        return int(length)

    def _kind(self, base: str) -> str:
        dso = self.blocks[base].get("dso")
        if not isinstance(dso, str):
            self._fail("a computation needs a dso", (base, "dso"), f"One of {', '.join(RENDER_KINDS)}.")
        kind = RENDER_KINDS.get(library_name(dso))
        if kind is None:
            self._fail(
                f"no computation stands for the library {dso!r}", (base, "dso"), f"Known: {', '.join(RENDER_KINDS)}."
            )
        return kind

    def _resources(self, base: str) -> Resources:
        requirements = self._object(self.blocks[base].get("requirements", {}), (base, "requirements"))
        path = (base, "requirements", "resources")
        if "resources" not in requirements:
            return Resources(1, 1, DEFAULT_MEMORY_MB * MB)
        asked = self._object(requirements["resources"], path)
        memory = int(self._number(asked.get("memoryMB", 0), (*path, "memoryMB")) * MB) or DEFAULT_MEMORY_MB * MB
        if "cores" in asked:
            cores = self._number(asked["cores"], (*path, "cores"))
            return Resources(cores, cores, memory)
        least = self._number(asked.get("minCores", 1), (*path, "minCores"))
        most = asked.get("maxCores", "*")
        if most == "*":
            return Resources(least, None, memory)
        most = self._number(most, (*path, "maxCores"))
        if most < least:
            self._fail(f"maxCores {most:g} is below minCores {least:g}", (*path, "maxCores"))
        return Resources(least, most, memory)

    def _fill(self, value: Any, path: tuple[str, ...], index: int | None, lengths: dict[str, int | None]) -> Any:
        """A copy of `value` with variables filled in, at any depth, where a string is a variable and nothing else."""
        if isinstance(value, dict):
            return {key: self._fill(item, (*path, key), index, lengths) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, path, index, lengths) for item in value]
        if value == "$arrayIndex":
            return index
        if isinstance(value, str) and (value == "$arrayNumber" or value.startswith("$arrayNumber.")):
            array = value.removeprefix("$arrayNumber").removeprefix(".") or path[0]
            if lengths.get(array) is None:
                self._fail(f"{value!r} counts an array, and {array!r} is none", path, 'An array has "arrayExpand".')
            return lengths[array]
        return value

    def _number(self, value: Any, path: tuple[str, ...]) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._fail(f"{path[-1]} must be a number, not {json.dumps(value)[:40]}", path)
        if not 0 <= value <= 1e12:  # false for NaN as well
            self._fail(f"{path[-1]} cannot be {json.dumps(value)[:40]}", path, "Give a number from 0 to 10^12.")
        return value

    def _object(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fail(f"{path[-1]} must be an object in braces, not {json.dumps(value)[:40]}", path)
        return value

    def _fail(self, message: str, path: tuple[str, ...], hint: str = "") -> NoReturn:
        """Raise for a field given by its path below `computations`; the nearest part that is written is pointed at."""
        source = _Source(self.text, self.file)
        full = ("computations", *path)
        where = {".".join(full[:n]): source.offset_of(full[:n]) for n in range(len(full), 0, -1)}
        offset = next((at for at in where.values() if at is not None), None)
        name = path[0] if path else None
        source.fail(message, offset, hint, computation=name, field=".".join(path[1:]) or None)


def load_definition(name: str, environ: Mapping[str, str] = os.environ) -> SessionDefinition:
    """Find and read a definition by name, or by path if it ends in .sessiondef.

    Looked for as NAME.sessiondef in the folders of ARRAS_SESSION_PATH, then among the package's own. Raise
    DefinitionError if there is none, with where it was looked for and what is there.
    """
    if name.endswith(SUFFIX):
        return read_definition(Path(name))
    folders = [Path(folder) for folder in environ.get(SEARCH_PATH, "").split(os.pathsep) if folder]
    folders.append(package_sessions_dir())
    for folder in folders:
        if (folder / (name + SUFFIX)).is_file():
            return read_definition(folder / (name + SUFFIX))
    known = sorted({path.stem for folder in folders for path in folder.glob("*" + SUFFIX)})
    raise DefinitionError(
        f"there is no session named {name}",
        hint=f"Looked in {', '.join(map(str, folders))} (${SEARCH_PATH} adds folders). There: {', '.join(known)}.",
    )


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
    source = _Source(text, file)
    document = source.parse()
    if not isinstance(document, dict):
        source.fail("a session definition is one object in braces", 0)
    blocks = document.get("computations")
    if not isinstance(blocks, dict):
        source.fail('"computations" is missing or no object', source.offset_of(("computations",)))
    for block, value in blocks.items():
        if not isinstance(value, dict):
            source.fail(f"{block!r} must be an object in braces", source.offset_of(("computations", block)))
    return SessionDefinition(name, document, text, file)


def package_sessions_dir() -> Path:
    """The folder of the definitions that come with arras-ray."""
    return package_dir("sessions")


def package_dir(name: str) -> Path:
    """A folder that travels with arras-ray, `sessions` or `scenes`: in the package once installed, else beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name


class _Source:
    """The text of a definition, and where things are in it."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    def fail(self, message: str, offset: int | None, hint: str = "", **fields: Any) -> NoReturn:
        """Raise DefinitionError with the line and column of an offset, counted from 1."""
        if offset is not None:
            fields["line"] = self.text.count("\n", 0, offset) + 1
            fields["column"] = offset - self.text.rfind("\n", 0, offset)
        raise DefinitionError(message, hint=hint, file=self.file or None, **fields)

    def parse(self) -> Any:
        """The value of the text. Comments and trailing commas become spaces first, so that all places stay right."""
        plain = list(self.text)
        depth = 0
        before: tuple[int, str] = (0, "")
        comma_after_value = False
        for at, token in self._tokens():
            if token.startswith(("//", "/*")):
                plain[at : at + len(token)] = ["\n" if c == "\n" else " " for c in token]
                continue
            depth += (token in ("{", "[")) - (token in ("}", "]"))
            if depth > MAX_DEPTH:
                self.fail(f"nested deeper than {MAX_DEPTH} levels", at)
            if token in ("}", "]") and before[1] == "," and comma_after_value:
                plain[before[0]] = " "
            if token == ",":
                comma_after_value = before[1] not in ("", ",", ":", "{", "[")
            before = (at, token)
        try:
            return json.loads("".join(plain), strict=False)
        except json.JSONDecodeError as error:
            hint = "Session definitions are JSON; // and /* */ comments and trailing commas are allowed."
            self.fail(f"not valid JSON: {error.msg}", error.pos, hint)
        except ValueError as error:  # an integer of thousands of digits
            self.fail(f"not valid JSON: {error}", None)

    def offset_of(self, path: tuple[str, ...]) -> int | None:
        """Where the key at the end of a path of keys is written; the last one, which counts, if there are several."""
        keys: list[str | None] = []
        before: tuple[int, str] = (0, "")
        found = None
        for at, token in self._tokens():
            if token.startswith(("//", "/*")):
                continue
            if token in ("{", "["):
                keys.append(None)
            elif token in ("}", "]") and keys:
                keys.pop()
            elif token == ":" and keys and before[1].startswith('"'):
                keys[-1] = json.loads(before[1], strict=False)
                if tuple(keys) == path:
                    found = before[0]
            before = (at, token)
        return found

    def _tokens(self) -> Iterator[tuple[int, str]]:
        for match in _TOKEN.finditer(self.text):
            token = match[0]
            if token.startswith("/*") and (len(token) < 4 or not token.endswith("*/")):
                self.fail("this comment is not closed", match.start())
            yield match.start(), token

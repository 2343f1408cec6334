"""Scenes in files: .rdla is text, a Lua program; .rdlb is binary; a name without an ending stands for one of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from arras_ray.errors import OutputError, SceneError
from arras_ray.output_file import refusing, replacing
from arras_ray.scene import rdla_writer, rdlb
from arras_ray.scene.context import SceneContext
from arras_ray.scene.delta import Delta
from arras_ray.scene.lua_sandbox import Limits, print_to_stderr
from arras_ray.scene.rdla import RdlaReader
from arras_ray.scene.style import SPLIT_SIZE, Style

RDLA, RDLB = ".rdla", ".rdlb"


def read_scene(
    paths: Sequence[str | Path],
    *,
    strict: bool = False,
    variables: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    print_line: Callable[[str], None] = print_to_stderr,
) -> SceneContext:
    """Read .rdla and .rdlb files, in order, into one scene; the programs run in one Lua state.

    strict: a value that is skipped is an error. variables: Lua expressions by the global they are assigned to before
    the first program runs. limits: of all programs together. print_line gets what they print; their `dofile` opens
    files in the folder of their own file and below. What was skipped stands in the context's `warnings`. The scene is
    committed: its `delta` is what is changed from then on. Raises SceneError with file and line, or offset.
    """
    if not paths:
        raise SceneError("no scene file was given")
    context = SceneContext()
    _read(context, paths, strict, variables or {}, limits, print_line)
    context.commit()
    return context


def read_delta(
    context: SceneContext,
    path: str | Path,
    *,
    strict: bool = False,
    limits: Limits | None = None,
    print_line: Callable[[str], None] = print_to_stderr,
) -> None:
    """Put a file on top of a scene. A program runs in a Lua state of its own: it knows the scene's objects by their
    names and none of the variables of other programs. Otherwise as `read_scene`; the context is not committed.
    """
    _read(context, [path], strict, {}, limits, print_line)


def write_scene(context: SceneContext, path: str | Path, *, style: Style | None = None) -> list[Path]:
    """Write a scene as the name's ending says; without one as RDLA, and as RDLB the vectors of 13 elements and more.

    Each file is replaced as a whole or not at all. Returns what was written. Raises OutputError.
    """
    path, style = Path(path), style or Style()
    if path.suffix.lower() == RDLB:
        return [_write(path, rdlb.pieces(context, style=style))]
    if path.suffix.lower() == RDLA:
        return [_write(path, rdla_writer.pieces(context, style=style))]
    if path.suffix:
        raise OutputError(f"cannot write a scene to {path}", hint="its name has to end in .rdla, .rdlb or nothing")
    text = replace(style, longest_vector=SPLIT_SIZE - 1)
    binary = replace(style, shortest_vector=SPLIT_SIZE)
    return [
        _write(path.with_name(path.name + RDLA), rdla_writer.pieces(context, style=text)),
        _write(path.with_name(path.name + RDLB), rdlb.pieces(context, style=binary)),
    ]


def write_delta(delta: Delta, path: str | Path) -> Path:
    """Write a change of a scene as the name's ending says. Raises OutputError; SceneError for what RDLA cannot say."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (RDLA, RDLB):
        raise OutputError(f"cannot write a delta to {path}", hint="its name has to end in .rdla or .rdlb")
    return _write(path, [delta.to_rdla() if kind == RDLA else delta.to_rdlb()])


def _read(
    context: SceneContext,
    paths: Sequence[str | Path],
    strict: bool,
    variables: Mapping[str, str],
    limits: Limits | None,
    print_line: Callable[[str], None],
) -> None:
    sources = [Source(str(path), load(Path(path)), Path(path).parent) for path in paths]
    read_sources(context, sources, strict, variables, limits, print_line)


class Source(NamedTuple):
    """A scene file that was loaded. folder: what its `dofile` can reach."""

    file: str
    data: bytes
    folder: Path | None = None


def read_sources(
    context: SceneContext,
    sources: Iterable[Source],
    strict: bool,
    variables: Mapping[str, str],
    limits: Limits | None,
    print_line: Callable[[str], None],
) -> None:
    """Read scene files, as `read_scene` does, into a context that is not committed. Raises SceneError."""
    first_warning = len(context.warnings)
    reader: RdlaReader | None = None
    for file, source, folder in sources:
        if file.lower().endswith(RDLB):
            context.files.append(file)
            rdlb.decode(source, context, file)
            continue
        if reader is None:
            reader = RdlaReader(context, limits or Limits(), print_line)
            for name, expression in variables.items():
                reader.assign(name, expression)
        reader.run(source, file, folder)
    skipped = context.warnings[first_warning:]
    if strict and skipped:
        first, others = skipped[0], len(skipped) - 1
        raise SceneError(
            first.message,
            hint=f"there are {others} more like this; without strict reading they are warnings" if others else "",
            file=first.file or None,
            line=first.line or None,
            object=first.object or None,
            attribute=first.attribute or None,
        )


def load(path: Path, data: bytes | None = None) -> bytes:
    """What is in a scene file; `data` is what would be in it where there is none. Raises SceneError."""
    suffix = path.suffix.lower()
    if suffix not in (RDLA, RDLB):
        raise SceneError(f"not a scene file: its name ends in '{suffix}', not '.rdla' or '.rdlb'", file=str(path))
    if data is not None:
        return data
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SceneError("there is no such scene file", hint=_where_else(path), file=str(path)) from None
    except OSError as error:
        raise SceneError(
            f"the scene file cannot be read: {error.strerror}", hint="it has to be a file you may read", file=str(path)
        ) from None


def _where_else(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    return "a relative path counts from the current folder" if not path.is_absolute() else ""


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> Path:
    with refusing(path), replacing(path) as temporary, temporary.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    return path

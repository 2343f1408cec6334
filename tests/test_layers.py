"""The house has one direction of imports. These tests read the source; nothing is imported.

A room may import from its own line and from lower ones, and only the third-party packages of its line.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "arras_ray"
KERNELS = PACKAGE / "kernels"

LINES: tuple[tuple[str, ...], ...] = (
    ("", "errors", "messages", "ended", "versions", "output_file"),
    (
        "session",
        "computations",
        "credit",
        "ledger",
        "unit_plan",
        "unit_states",
        "tallies",
        "failures",
        "pace",
        "film",
        "previews",
        "snapshots",
        "frame_receiver",
    ),
    ("kernels",),
    ("scene", "image", "checkpoint", "identity", "edits"),
    ("flatten", "engine", "local_render", "local_view", "undrawn"),
    ("actors",),
    (
        "client",
        "shards",
        "overview",
        "session_link",
        "ray_session",
        "render_session",
        "render_start",
        "session_start",
        "session_client",
        "waiting",
        "view",
    ),
    ("cli",),
)
"""Rooms, line by line; "" is the package's own __init__."""

THIRD_PARTY: tuple[set[str], ...] = (
    {"numpy"},
    {"numpy"},
    {"numpy", "numba", "llvmlite", "embreex", "psutil"},
    {"numpy", "lupa", "OpenEXR", "PIL"},
    {"numpy", "psutil", "llvmlite"},
    {"numpy", "psutil", "ray", "grpc"},
    {"numpy", "psutil", "ray", "grpc", "aiohttp"},
    {"numpy", "psutil", "click", "rich"},
)
"""What a line may import besides the standard library. grpc is Ray's: a cluster is asked before Ray is imported."""

FORBIDDEN_BELOW = {
    "scene": {"kernels"},
    "image": {"kernels", "scene"},
    "local_render": {"kernels", "flatten"},
    "local_view": {"kernels", "flatten"},
    "view": {"kernels", "flatten", "actors"},
    "actors": {"kernels", "flatten"},
    "client": {"kernels", "flatten"},
    "shards": {"kernels", "flatten"},
    "session_link": {"kernels", "flatten"},
    "ray_session": {"kernels", "flatten"},
    "render_session": {"kernels", "flatten"},
    "render_start": {"kernels", "flatten"},
    "session_start": {"kernels", "flatten"},
    "session_client": {"kernels", "flatten"},
    "waiting": {"kernels", "flatten"},
    "overview": {"kernels", "flatten"},
    "cli": {"kernels", "flatten"},
}
"""Lower rooms that are none of this room's business: the scene knows no renderer, and only the engine knows kernels."""

LAZY_ONLY = {"engine", "ray"}
"""Never imported when a module of lines 5 to 7 loads, except ray by line 5: kernels/ can be deleted and sessions
still run, and `--engine local` starts without Ray."""


@dataclass(frozen=True)
class Import:
    source: Path
    line: int
    target: str
    """Dotted name, absolute."""
    at_load: bool
    """Runs when the module is loaded: not inside a function, not for type checkers only."""

    def __str__(self) -> str:
        return f"{self.source.relative_to(PACKAGE.parent)}:{self.line} imports {self.target}"


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def line_of(room: str) -> int:
    for number, rooms in enumerate(LINES):
        if room in rooms:
            return number
    raise AssertionError(f"the room {room!r} stands on no line: add it to LINES")


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "data" not in path.relative_to(PACKAGE).parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(path: Path) -> Iterator[Import]:
    def visit(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, at_load)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports here are absolute"
            assert node.module is not None
            if node.module == "arras_ray":
                for alias in node.names:
                    yield Import(path, node.lineno, f"arras_ray.{alias.name}", at_load)
            else:
                yield Import(path, node.lineno, node.module, at_load)
        for child in ast.iter_child_nodes(node):
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(node)
            yield from visit(child, at_load and not lazy)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True)


def target_room(target: str) -> str | None:
    """The room an import leads to; None for another package's."""
    parts = target.split(".")
    if parts[0] != "arras_ray":
        return None
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else ""


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_lead_downwards(path: Path) -> None:
    room = room_of(path)
    line = line_of(room)
    wrong = []
    for found in imports_of(path):
        target = target_room(found.target)
        if target is None:
            package = found.target.split(".")[0]
            if package not in sys.stdlib_module_names and package not in THIRD_PARTY[line]:
                wrong.append(f"{found}: line {line} may use {', '.join(sorted(THIRD_PARTY[line]))}")
            if package in LAZY_ONLY and line > 5 and found.at_load:
                wrong.append(f"{found} when it loads; do it in the function that needs it")
            continue
        if path == PACKAGE / "__init__.py" and not found.at_load:
            continue  # the public names are those of many rooms; none is loaded before it is asked for
        if line_of(target) > line:
            wrong.append(f"{found}: line {line} may not know line {line_of(target)}")
        if target in FORBIDDEN_BELOW.get(room, set()):
            wrong.append(f"{found}: {room} may not know {target}")
        if target in LAZY_ONLY and line >= 5 and found.at_load:
            wrong.append(f"{found} when it loads; do it in the function that needs it")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_kernels_are_compiled_one_way(path: Path) -> None:
    """Only kernels/config.py names numba's decorators, and fast maths, which changes bits, is nowhere on."""
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        place = f"{path.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.keyword) and node.arg == "fastmath" and ast.unparse(node.value) != "False":
            wrong.append(f"{place}: fastmath")
        if path == KERNELS / "config.py":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "numba":
            wrong += [
                f"{place}: take {alias.name} from kernels/config.py"
                for alias in node.names
                if alias.name in {"njit", "jit", "vectorize", "guvectorize"}
            ]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"numba.njit", "numba.jit", "nb.njit", "nb.jit"}:
            wrong.append(f"{place}: {ast.unparse(node)}; take it from kernels/config.py")
    assert not wrong, "\n".join(wrong)


def test_ray_remote_is_applied_in_one_place() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
        for path in sources()
        if path != PACKAGE / "actors" / "launch.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "ray.remote"
    ]
    assert not wrong, f"ray.remote belongs in actors/launch.py, found in {', '.join(wrong)}"


def test_the_reader_of_imports_sees_every_kind(tmp_path: Path) -> None:
    source = tmp_path / "sample.py"
    source.write_text(
        "import os.path\n"
        "from arras_ray import film\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from arras_ray.engine import Engine\n"
        "def lazy():\n    import ray\n",
        encoding="utf-8",
    )
    found = {(item.target, item.at_load) for item in imports_of(source)}
    assert found == {
        ("os.path", True),
        ("arras_ray.film", True),
        ("typing", True),
        ("arras_ray.engine", False),
        ("ray", False),
    }

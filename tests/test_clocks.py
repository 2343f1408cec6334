"""A clock that is set, or jumps, decides nothing: what waits or judges goes by a clock that only rises."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "arras_ray"

SHOWN_ONLY = {
    "actors/parent.py": "the time in a log's line",
    "computations/time_computation.py": "the answer it is there for",
    "session/message.py": "when a message was made, for whoever reads it",
    "actors/supervisor.py": "the age of processes, whose start the system tells by that clock",
    "cli/view_command.py": "when files were read, whose own times are by that clock; at worst they are read once more",
    "output_file.py": "the age of files that a killed render has left",
}
"""Where the time of day is read, and what for."""


def reads_time_of_day(path: Path) -> bool:
    """Whether a file calls time.time or anything of datetime."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in {("time", "time"), ("time", "time_ns"), ("datetime", "now")}:
                return True
        elif isinstance(node, ast.Import | ast.ImportFrom) and "datetime" in ast.unparse(node):
            return True
    return False


def test_the_time_of_day_is_only_shown() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads_time_of_day(path)}
    assert found == set(SHOWN_ONLY)

"""docs/sessions.md: its files are written, its commands run, and what they print is what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file (\S+) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
RUNS = re.findall(r"<!-- run -->\n```\n(.*?)```\n\n<!-- output -->\n```\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_is_one_that_is_tested() -> None:
    assert PAGE.count("```") == 2 * (len(FILES) + 2 * len(RUNS))
    assert len(FILES) == 3
    assert len(RUNS) == 2


@pytest.mark.parametrize(("commands", "output"), RUNS, ids=["command", "client"])
def test_what_the_page_runs_prints_what_it_says(commands: str, output: str, tmp_path: Path) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # Answers of two computations come in either order.
    assert sorted(result.stdout.splitlines()) == sorted(output.splitlines())


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:arras_ray|sessions)/[\w/.]+)`", PAGE))))
def test_paths_that_are_named_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()

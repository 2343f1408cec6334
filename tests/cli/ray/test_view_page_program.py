"""docs/view.md: its program runs as it stands there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_program_changes_a_scene_and_gets_its_picture() -> None:
    page = (ROOT / "docs" / "view.md").read_text(encoding="utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert result.returncode == 0, result.stderr
    assert 0.0 < float(result.stdout.splitlines()[-1]) < 10.0

"""Renders whose computations and nodes are killed at random: the short form of `benchmarks/faults.py kills`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "faults.py"

RENDERS = 4
"""Of three kills each: every kind comes twice at least."""

SEED = 5


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="several nodes on one machine are Linux only")
def test_a_render_survives_kills_at_random_with_the_same_bits() -> None:
    command = [sys.executable, str(FAULTS), "kills", "--renders", str(RENDERS), "--seed", str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=840)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["renders"] == RENDERS
    assert figures["failed"] == []
    assert min(figures["kills"].values()) >= 1, done.stderr  # else it would prove little
    assert set(figures["kills"]) == {"mcrt", "merge", "dispatch", "supervisor", "node"}, done.stderr

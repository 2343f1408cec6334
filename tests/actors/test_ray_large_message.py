"""A message larger than anything else on the machine, on a Ray with room for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from session_parts import Pixels
from session_stage import parts_may_be_named, spec, staging
from size_of_ray import CPUS, MEMORY

from arras_ray.actors import cluster

GIGABYTE = 1 << 30


@pytest.mark.slow
def test_a_message_of_gigabytes_passes_both_ways(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4 GB, if the machine has four times as much free memory; the store keeps it there and back."""
    size = min(4 * GIGABYTE + 1, psutil.virtual_memory().available // 4)
    monkeypatch.setattr(cluster, "OBJECT_STORE_BYTES", 2 * size + GIGABYTE)
    pixels = np.zeros(size, np.uint8)
    pixels[:: 4096 - 1] = 7
    with (
        parts_may_be_named(),
        cluster.connect("local", cpus=CPUS, memory=MEMORY) as connected,
        staging(connected) as start,
    ):
        session = start(spec("echo", message="self.reply(message.content, message)"))
        back = session.call(Pixels(1, pixels), timeout=240).content.values
        assert back.nbytes == size
        assert np.array_equal(back, pixels)
        del back

"""An mcrt as a plain object, without Ray."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import numpy as np
import pytest

from arras_ray.actors.mcrt import Mcrt
from arras_ray.messages import UNIT, Lease, RDLMessage

NICE: dict[str, int] = {}
"""How nice the thread was in which the engine did something."""


class Engine:
    width, height, spp = 32, 32, 1

    def __init__(self) -> None:
        NICE["load"] = own_nice()

    def render(self, units: np.ndarray, word: np.ndarray) -> tuple[Any, ...]:
        NICE["render"] = own_nice()
        return units[:0], np.zeros(0), 0, 0, None


def load(message: RDLMessage, threads: int) -> Engine:
    return Engine()


def own_nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
def test_it_computes_with_the_time_that_others_leave() -> None:
    mcrt = Mcrt("mcrt_i0", "session", 1, 1, engine="test_mcrt:load")
    before = own_nice()
    steps = [lambda: mcrt.load(RDLMessage(1, b"")), lambda: mcrt.render(Lease(0, 1, "mcrt_i0", np.zeros(1, UNIT)))]
    for step in steps:  # each on a thread of its own, as on Ray
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    import test_mcrt  # the module as the mcrt has imported it

    assert test_mcrt.NICE == {"load": 19, "render": 19}
    assert own_nice() == before

"""Dispatch by itself, with an actor that takes its leases: what it does when parts never reach merge."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray

from arras_ray.actors.cluster import Cluster
from arras_ray.actors.dispatch import MAX_UNREAD, Dispatch
from arras_ray.actors.handshake import Picture
from arras_ray.actors.mcrt import LeaseEnd
from arras_ray.messages import Lease

PATIENCE = 60.0


class Taker:
    """Says that it rendered each lease."""

    def __init__(self) -> None:
        self.taken: list[Lease] = []

    def render(self, lease: Lease) -> LeaseEnd:
        self.taken.append(lease)
        return LeaseEnd(lease.lease_id, np.zeros(0, "i8"))

    def all_taken(self) -> list[Lease]:
        return self.taken


def leases(taker: Any, n: int) -> list[Lease]:
    """The first n leases, waited for."""
    deadline = time.monotonic() + PATIENCE
    while len(taken := ray.get(taker.all_taken.remote(), timeout=PATIENCE)) < n:
        assert time.monotonic() < deadline
    first: list[Lease] = taken[:n]
    return first


def test_parts_that_can_never_be_read_end_the_render(ray_here: Cluster) -> None:
    taker: Any = ray.remote(Taker).options(num_cpus=0).remote()
    dispatch = Dispatch("dispatch", "alone", 0)
    dispatch.begin(Picture(1, 640, 640, 64), [], [], 0.0)
    dispatch.mcrt_ready("mcrt_i0", "here", 1, taker, 0, ())
    for n in range(MAX_UNREAD):
        assert dispatch.status().stage == "rendering"
        lease = leases(taker, n + 1)[n]
        dispatch.unread(lease.lease_id, lease.units["id"])
        dispatch.unread(lease.lease_id, lease.units["id"])  # told twice, counted once
        assert dispatch.status().warnings == ("a part could not be read by merge; its units are rendered again",)
    status = dispatch.status()
    assert status.stage == "failed"
    assert status.error == f"merge could not read {MAX_UNREAD} parts in a row"


def test_an_event_that_goes_wrong_ends_the_render(ray_here: Cluster) -> None:
    dispatch = Dispatch("dispatch", "alone", 0)
    dispatch.begin(Picture(1, 64, 64, 1), [], [], 0.0)
    dispatch.unread(1, np.array([10**9]))  # there is no such unit
    status = dispatch.status()
    assert status.stage == "failed"
    assert status.error.startswith("dispatch failed: ")

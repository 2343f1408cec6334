"""Dispatch by itself, with an actor that takes its leases: what it does when parts never reach merge."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import ray

from arras_ray.actors.cluster import Cluster
from arras_ray.actors.dispatch import MAX_UNREAD, Dispatch
from arras_ray.actors.handshake import Picture
from arras_ray.actors.mcrt import LeaseEnd
from arras_ray.messages import Lease, Receipt

PATIENCE = 60.0


class Taker:
    """Says that it rendered each lease."""

    def __init__(self) -> None:
        self.taken: list[Lease] = []

    def render(self, lease: Lease) -> LeaseEnd:
        self.taken.append(lease)
        return LeaseEnd(lease.lease_id, np.zeros(0, "i8"), lease.sync_id)

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
    dispatch.receipts([Receipt(1, 1, "mcrt_i0", np.array([10**9]), 0.1, 1)])  # there is no such unit
    status = dispatch.status()
    assert status.stage == "failed"
    assert status.error.startswith("dispatch failed: ")


def test_who_looks_on_gets_previews_before_samples_of_every_scene(ray_here: Cluster) -> None:
    takers: list[Any] = [ray.remote(Taker).options(num_cpus=0).remote() for _ in range(2)]
    dispatch = Dispatch("dispatch", "alone", 0, interactive=True)
    for i, taker in enumerate(takers):
        dispatch.mcrt_ready(f"mcrt_i{i}", "here", 1, taker, i, ())
    dispatch.begin(Picture(1, 640, 640, 64), [], [], 0.0)
    for sync_id in (1, 2):
        dispatch.show(Picture(sync_id, 640, 640, 64))
        deadline = time.monotonic() + PATIENCE
        while True:
            taken = [ray.get(taker.all_taken.remote(), timeout=PATIENCE) for taker in takers]
            mine = [[lease for lease in leases if lease.sync_id == sync_id] for leases in taken]
            if all(any(lease.stride == 1 for lease in leases) for leases in mine):
                break
            assert time.monotonic() < deadline
        strides = {lease.stride for leases in mine for lease in leases} - {1}
        assert strides == {8, 4, 2} or (sync_id == 2 and strides == {4, 2})  # which may have followed at once
        for stride in strides:
            tiles = [lease.units["tile"] for leases in mine for lease in leases if lease.stride == stride]
            assert sorted(np.concatenate(tiles).tolist()) == list(range(100))
    assert not dispatch.status().samples
    dispatch.show(Picture(1, 640, 640, 64))  # an older one
    assert dispatch.status().stage == "rendering"
    dispatch.fail("it would lease for ever")


@pytest.mark.parametrize("starts_again", [False, True])
def test_in_a_motion_nobody_waits_for_a_preview_that_does_not_come(ray_here: Cluster, starts_again: bool) -> None:
    silent: Any = ray.remote(Silent).options(num_cpus=0).remote()
    taker: Any = ray.remote(Taker).options(num_cpus=0).remote()
    dispatch = Dispatch("dispatch", "alone", 0, interactive=True)
    dispatch.mcrt_ready("mcrt_i0", "here", 1, silent, 0, ())
    dispatch.mcrt_ready("mcrt_i1", "here", 1, taker, 0, ())
    dispatch.begin(Picture(1, 640, 640, 64), [], [], 0.0)
    dispatch.show(Picture(2, 640, 640, 64))  # at once, so it is a motion
    if starts_again:  # with what the one before it held
        taker = ray.remote(Taker).options(num_cpus=0).remote()
        dispatch.mcrt_ready("mcrt_i0", "here", 1, taker, 1, ())
    deadline = time.monotonic() + PATIENCE
    while 1 not in {lease.stride for lease in ray.get(taker.all_taken.remote(), timeout=PATIENCE)}:
        assert time.monotonic() < deadline
    dispatch.fail("it would lease for ever")
    ray.kill(silent)
    while "mcrt_i0" in dispatch._pool.members and not starts_again:
        assert time.monotonic() < deadline


def test_a_refused_scene_is_leased_no_more_until_the_next(ray_here: Cluster) -> None:
    taker: Any = ray.remote(Refuser).options(num_cpus=0).remote()
    dispatch = Dispatch("dispatch", "alone", 0, interactive=True)
    dispatch.mcrt_ready("mcrt_i0", "here", 1, taker, 0, ())
    dispatch.begin(Picture(1, 640, 640, 64), [], [], 0.0)
    leases(taker, 1)
    deadline = time.monotonic() + PATIENCE
    while not dispatch.status().warnings:
        assert time.monotonic() < deadline
    assert dispatch.status().warnings == ("the scene cannot be drawn as it is now: no camera",)
    taken = len(ray.get(taker.all_taken.remote(), timeout=PATIENCE))
    dispatch.show(Picture(2, 640, 640, 64))
    assert leases(taker, taken + 1)[taken].sync_id == 2
    dispatch.fail("it would lease for ever")


class Silent:
    """Never comes back from a lease."""

    def render(self, lease: Lease) -> None:
        threading.Event().wait()


class Refuser(Taker):
    """Has a scene that cannot be drawn."""

    def render(self, lease: Lease) -> LeaseEnd:
        super().render(lease)
        return LeaseEnd(lease.lease_id, lease.units["id"], lease.sync_id, refused="no camera")

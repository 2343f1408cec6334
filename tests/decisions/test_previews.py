"""Previews: every mcrt gets another region of each, what is lost is leased again, receivers fill in."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from arras_ray.frame_receiver import FrameReceiver
from arras_ray.messages import TILE, CoarseTiles, Lease, ProgressiveFrame
from arras_ray.previews import PreviewPlan, Previews, fill

WIDTH, HEIGHT, N_TILES = 640, 320, 50
NOTHING = np.zeros(0, "i8")


def plan(now: float = 0.0, after: PreviewPlan | None = None) -> PreviewPlan:
    return PreviewPlan(WIDTH, HEIGHT, 7, count(-1, -1), now=now, after=after)


def test_mcrts_share_every_preview_and_the_coarsest_goes_out_at_once() -> None:
    previews = plan()
    mcrts = [f"mcrt_i{i}" for i in range(3)]
    first = [previews.lease(name, 3, 0.0) for name in mcrts]
    assert all(lease is not None and (lease.stride, lease.sync_id) == (8, 7) for lease in first)
    sizes = [len(lease.units) for lease in first if lease is not None]
    assert sum(sizes) == N_TILES
    assert max(sizes) - min(sizes) <= 1
    tiles: dict[int, list[int]] = {8: [], 4: [], 2: []}
    leases: list[Lease | None] = list(first)
    while leases:
        lease = leases.pop(0)
        if lease is None:
            continue
        tiles[lease.stride] += lease.units["tile"].tolist()
        previews.ended(lease.lease_id, NOTHING, 0.0)
        leases.append(previews.lease(lease.mcrt, 3, 0.0))
    assert not previews.left
    assert {stride: sorted(of_it) for stride, of_it in tiles.items()} == {s: list(range(N_TILES)) for s in (8, 4, 2)}


def rendered(previews: PreviewPlan, down_to: int, now: float = 10.0) -> PreviewPlan:
    """The plan when all was rendered down to this stride, and what is finer has begun, if it may."""
    while (lease := previews.lease("mcrt_i0", 1, now)) is not None and lease.stride >= down_to:
        previews.ended(lease.lease_id, NOTHING, now)
    return previews


def test_a_smooth_motion_begins_with_what_is_seen_of_it() -> None:
    before = rendered(plan(now=10.0), down_to=4)
    following = plan(now=10.2, after=before)
    lease = following.lease("mcrt_i0", 1, 10.2)
    assert lease is not None
    assert (lease.stride, len(lease.units)) == (4, N_TILES)  # everybody's region at once


@pytest.mark.parametrize(("down_to", "now"), [(8, 10.2), (4, 20.0)], ids=["not smooth", "no motion"])
def test_all_else_begins_with_the_coarsest(down_to: int, now: float) -> None:
    following = plan(now=now, after=rendered(plan(now=10.0), down_to))
    lease = following.lease("mcrt_i0", 1, now)
    assert lease is not None
    assert lease.stride == 8


@pytest.mark.parametrize("down_to", [8, 4], ids=["not smooth", "smooth"])
def test_in_a_motion_what_is_finer_than_smooth_waits_for_the_next_scene(down_to: int) -> None:
    following = plan(now=10.2, after=rendered(plan(now=10.0), down_to))
    one = following.lease("one", 2, 10.2)
    assert one is not None
    while (other := following.lease("two", 2, 10.3)) is not None:  # all but the first half
        assert other.stride >= 4
        assert not following.ended(other.lease_id, NOTHING, 10.3)
    while not following.ended(one.lease_id, NOTHING, 10.3):
        one = following.lease("one", 2, 10.3)
        assert one is not None
    assert following.left
    assert following.rest(10.3) == pytest.approx(0.1)
    assert following.lease("one", 2, 10.39) is None
    finer = following.lease("one", 2, 10.41)
    assert finer is not None
    assert finer.stride == 2
    assert not following.ended(finer.lease_id, NOTHING, 10.41)
    assert following.rest(10.41) == 0.0


def test_a_preview_that_never_comes_holds_nobody_up() -> None:
    """As that of an mcrt that hangs."""
    following = plan(now=10.2, after=rendered(plan(now=10.0), 4))
    assert following.lease("one", 2, 10.2) is not None
    coarse = following.lease("two", 2, 10.2)
    assert coarse is not None
    following.ended(coarse.lease_id, NOTHING, 10.3)
    assert following.lease("two", 2, 10.59) is None
    assert following.rest(10.3) == pytest.approx(0.3)
    rendered(following, 2, 10.61)
    assert not following.left


def test_nobody_holds_more_than_two() -> None:
    previews = plan()
    assert [previews.lease("one", 4, 0.0) is not None for _ in range(3)] == [True, True, False]
    assert previews.left


def test_what_was_not_rendered_or_lost_is_leased_again_first() -> None:
    previews = plan()
    one, two = previews.lease("one", 2, 0.0), previews.lease("two", 2, 0.0)
    assert one is not None
    assert two is not None
    previews.ended(one.lease_id, one.units["tile"][5:], 0.0)
    again = previews.lease("two", 1, 0.0)
    assert again is not None
    assert (again.stride, again.units["tile"].tolist()) == (8, one.units["tile"][5:].tolist())
    previews.ended(one.lease_id, one.units["tile"], 0.0)  # told twice
    previews.lost("two", 0.0)
    leases = [previews.lease("three", 1, 0.0) for _ in range(2)]
    lost = {tile for lease in leases if lease for tile in lease.units["tile"].tolist()}
    assert lost == {*two.units["tile"].tolist(), *again.units["tile"].tolist()}


def test_a_receiver_fills_tiles_in() -> None:
    receiver = FrameReceiver(100, 70)
    side = TILE // 8
    pixels = np.arange(side * side * 4, dtype="f4").reshape(1, side, side, 4)
    coarse = CoarseTiles(8, np.array([1], "i4"), pixels)
    frame = ProgressiveFrame(1, 100, 70, 1, np.zeros(0, "i4"), np.zeros((0, TILE * TILE, 4), "f4"), 0.0, "STARTED")
    receiver.receive(ProgressiveFrame(**{**vars(frame), "coarse": (coarse,)}))
    assert not receiver.rgba[:, :TILE].any()
    for y, x in ((0, 64), (7, 71), (8, 64), (63, 99)):
        np.testing.assert_array_equal(receiver.rgba[y, x], pixels[0, y // 8, (x - TILE) // 8])
    assert fill(coarse).shape == (1, TILE * TILE, 4)


def test_a_tile_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of the 4"):
        Previews(4).put(CoarseTiles(8, np.array([4], "i4"), np.zeros((1, 8, 8, 4), "f4")), 1)

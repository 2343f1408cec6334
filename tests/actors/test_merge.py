"""The merge actor by itself: what it answers while it adds, and what it does with parts it cannot use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ray
from fake_engine import Stage
from ray.util.placement_group import placement_group, remove_placement_group

from arras_ray.actors import launch
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.groups import Place
from arras_ray.actors.handshake import Picture
from arras_ray.actors.merge import MAX_FRAME_TILES, Merge
from arras_ray.errors import ResourcesError
from arras_ray.messages import N_CHANNELS, TILE, CoarseTiles, PartialFrame, PreviewFrame, ProgressiveFrame
from arras_ray.unit_plan import UnitPlan

PATIENCE = 60.0
WIDTH, HEIGHT, SPP = 800, 640, 4
PLAN = UnitPlan(WIDTH, HEIGHT, SPP)
N_TILES = 13 * 10


class Source:
    """An owner of sums that come late: when a gate is opened."""

    def sums(self, gate: str, n_units: int) -> np.ndarray:
        Stage(gate).hold()
        return np.ones((n_units, TILE * TILE, N_CHANNELS))


class Listener:
    """What merge tells dispatch."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def receipts(self, batch: list[Any]) -> None:
        self.heard += [("receipt", receipt.unit_ids.tolist()) for receipt in batch]

    def unread(self, lease_id: int, unit_ids: np.ndarray) -> None:
        self.heard.append(("unread", unit_ids.tolist()))

    def fail(self, error: str) -> None:
        self.heard.append(("fail", error))

    def all_heard(self) -> list[tuple[str, Any]]:
        return self.heard


def part(ids: list[int], sums: Any, sync_id: int = 1) -> PartialFrame:
    return PartialFrame(sync_id, 1, "mcrt_i0", PLAN.units(np.array(ids)), [sums], 0.1, 100)


def ones(n: int) -> Any:
    return ray.put(np.ones((n, TILE * TILE, N_CHANNELS)))


def wait(ref: Any) -> Any:
    return ray.get(ref, timeout=PATIENCE)


def heard(listener: Any, n: int) -> list[tuple[str, Any]]:
    """The first n things merge told, waited for: they come on another way than merge's answers."""
    deadline = time.monotonic() + PATIENCE
    while len(everything := wait(listener.all_heard.remote())) < n:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told: list[tuple[str, Any]] = everything
    return told


@pytest.fixture
def listener(ray_here: Cluster) -> Any:
    return ray.remote(Listener).options(num_cpus=0).remote()


@pytest.fixture
def merge(ray_here: Cluster, listener: Any) -> Iterator[Any]:
    group = placement_group([{"memory": 1 << 28}])
    place = Place(group, 0, "", 0, 1 << 28)
    actor = launch.computation("merge", "alone", "merge", place=place, life=0)
    wait(actor.begin.remote(Picture(1, WIDTH, HEIGHT, SPP), dispatch=listener))
    yield actor
    ray.kill(actor)
    remove_placement_group(group)


def test_frames_and_control_calls_are_answered_while_every_adding_thread_is_busy(
    merge: Any, listener: Any, stage: Stage
) -> None:
    source: Any = ray.remote(Source).options(num_cpus=0).remote()
    late = source.sums.remote(str(stage.folder), 2)
    threads = launch.THREADS["add"]
    wait(merge.accept.remote([part([0], ones(1))]))
    busy = [merge.accept.remote([part([1 + i, 20 + i], late)]) for i in range(threads)]
    behind = merge.accept.remote([part([50], ones(1))])
    stage.reached()
    assert wait(merge.ping.remote()).begun
    assert wait(merge.stats.remote())["parts"] == 1
    frame: ProgressiveFrame = wait(merge.frame.remote(0, 0.0))
    assert frame.tiles.tolist() == PLAN.units(np.array([0]))["tile"].tolist()
    assert len(wait(merge.final.remote()).tiles) == 1
    assert ray.wait([*busy, behind], num_returns=threads + 1, timeout=0)[0] == []
    stage.open()
    wait([*busy, behind])
    assert wait(merge.stats.remote())["parts"] == 2 + threads
    assert len(heard(listener, 2 + threads)) == 2 + threads


def test_frames_are_answered_in_pieces_that_make_the_whole(merge: Any) -> None:
    for first in range(0, N_TILES, 10):  # as leases do: a few tiles a part
        wait(merge.accept.remote([part(list(range(first, first + 10)), ones(10))]))
    assert wait(merge.finish.remote("FINISHED", 1)) is None
    pieces: list[ProgressiveFrame] = []
    while not pieces or pieces[-1].status != "FINISHED":
        pieces.append(wait(merge.frame.remote(pieces[-1].version if pieces else 0, 0.0)))
        assert 0 < len(pieces[-1].tiles) < MAX_FRAME_TILES + 10
    assert sorted(np.concatenate([piece.tiles for piece in pieces]).tolist()) == list(range(N_TILES))
    assert {piece.status for piece in pieces[:-1]} == {"RENDERING"}
    assert len(pieces) >= N_TILES // (MAX_FRAME_TILES + 10)


def test_parts_of_another_scene_and_parts_that_came_already_change_nothing(merge: Any, listener: Any) -> None:
    wait(merge.accept.remote([part([3, 4], ones(2)), part([4, 5], ones(2)), part([6], ones(1), sync_id=9)]))
    assert heard(listener, 2) == [("receipt", [3, 4]), ("receipt", [4, 5])]
    pixels = wait(merge.final.remote()).pixels
    assert set(np.unique(pixels)) == {1.0}


def test_a_part_whose_owner_died_is_given_back(merge: Any, listener: Any, stage: Stage) -> None:
    source: Any = ray.remote(Source).options(num_cpus=0).remote()
    late = source.sums.remote(str(stage.folder), 2)
    adding = merge.accept.remote([part([7, 8], late)])
    stage.reached()
    ray.kill(source)
    wait(adding)
    assert heard(listener, 1) == [("unread", [7, 8])]


def test_a_part_that_does_not_fit_ends_the_render(merge: Any, listener: Any) -> None:
    wait(merge.accept.remote([part([1, 2], ones(1))]))
    ((what, error),) = heard(listener, 1)
    assert what == "fail"
    assert "mcrt_i0 sent what merge cannot add" in error


def test_a_part_that_is_no_part_ends_the_render(merge: Any, listener: Any) -> None:
    wait(merge.accept.remote([part([1], ray.put("no array"))]))
    ((what, error),) = heard(listener, 1)
    assert what == "fail"
    assert "mcrt_i0 sent what merge cannot add" in error


def test_a_picture_is_answered_while_a_frame_is_waited_for(merge: Any) -> None:
    waiting = merge.frame.remote(0, PATIENCE)  # nothing changes: it would wait to the end
    wait(merge.ping.remote())
    assert len(wait(merge.final.remote()).tiles) == 0
    assert ray.wait([waiting], timeout=0)[0] == []
    wait(merge.finish.remote("CANCELLED", 1))
    assert wait(waiting).status == "CANCELLED"


def test_a_picture_too_big_for_the_memory_is_told() -> None:
    with pytest.raises(ResourcesError, match="merge has not enough memory for a picture of 10000000 x 10000000"):
        Merge("merge", "alone", 0).begin(Picture(1, 10**7, 10**7, 1))  # 4 PB: no machine can even reserve that


def coarse(tiles: list[int], stride: int, value: float) -> CoarseTiles:
    side = TILE // stride
    return CoarseTiles(stride, np.array(tiles, "i4"), np.full((len(tiles), side, side, 4), value, "f4"))


def shown(merge: Any, since: int) -> tuple[int, dict[int, tuple[int, float]]]:
    """The newest version, and of each tile that has changed its stride and value."""
    frame: ProgressiveFrame | None = wait(merge.frame.remote(since, 0.0))
    assert frame is not None
    seen = {tile: (1, float(pixels.max())) for tile, pixels in zip(frame.tiles.tolist(), frame.pixels, strict=True)}
    for part in frame.coarse:
        seen |= {tile: (part.stride, float(part.pixels[i].max())) for i, tile in enumerate(part.tiles.tolist())}
    return frame.version, seen


def test_a_preview_is_shown_until_there_is_something_better(merge: Any) -> None:
    wait(merge.preview.remote(PreviewFrame(1, coarse([3, 4, 5], 8, 0.25))))
    version, seen = shown(merge, 0)
    assert seen == {3: (8, 0.25), 4: (8, 0.25), 5: (8, 0.25)}
    wait(merge.preview.remote(PreviewFrame(1, coarse([4], 2, 0.5))))
    wait(merge.preview.remote(PreviewFrame(1, coarse([4], 4, 0.75))))  # late
    version, seen = shown(merge, version)
    assert seen == {4: (2, 0.5)}
    unit = part([0], ones(1))  # of tile 0
    first_tile = int(unit.units["tile"][0])
    wait(merge.preview.remote(PreviewFrame(1, coarse([first_tile], 8, 0.25))))
    wait(merge.accept.remote([unit]))
    version, seen = shown(merge, version)
    assert seen == {first_tile: (1, 1.0)}
    assert wait(merge.final.remote()).tiles.tolist() == [first_tile]  # nothing of a preview is in the picture


def test_another_scene_begins_an_empty_film_whose_frames_go_on_counting(merge: Any) -> None:
    wait(merge.accept.remote([part([0, 1], ones(2))]))
    version, _ = shown(merge, 0)
    wait(merge.show.remote(Picture(2, 128, 64, 8)))
    assert wait(merge.frame.remote(version, 0.0)) is None
    wait(merge.accept.remote([part([2], ones(1))]))  # of the scene before
    wait(merge.preview.remote(PreviewFrame(1, coarse([0], 8, 0.25))))
    assert wait(merge.frame.remote(version, 0.0)) is None
    wait(merge.preview.remote(PreviewFrame(2, coarse([1], 8, 0.5))))
    later, seen = shown(merge, version)
    assert later > version
    assert seen == {1: (8, 0.5)}
    wait(merge.show.remote(Picture(1, WIDTH, HEIGHT, SPP)))  # told late
    wait(merge.finish.remote("FINISHED", 1))  # so is this
    assert wait(merge.frame.remote(version, 0.0)).status == "STARTED"
    frame = wait(merge.final.remote())
    assert (frame.sync_id, frame.width, frame.height, frame.progress) == (2, 128, 64, 0.0)


def test_a_part_of_a_scene_that_merge_has_not_heard_of_yet_waits(merge: Any) -> None:
    adding = merge.accept.remote([part([0], ones(1), sync_id=2)])
    wait(merge.show.remote(Picture(2, WIDTH, HEIGHT, SPP)))
    wait(adding)
    assert len(wait(merge.log.remote())) == 1


def test_a_part_that_is_read_while_the_scene_changes_is_in_no_film(merge: Any, listener: Any, stage: Stage) -> None:
    source: Any = ray.remote(Source).options(num_cpus=0).remote()
    adding = merge.accept.remote([part([0], source.sums.remote(str(stage.folder), 1))])
    stage.reached()
    wait(merge.show.remote(Picture(2, WIDTH, HEIGHT, SPP)))
    stage.open()
    wait(adding)
    assert not len(wait(merge.log.remote()))
    assert not wait(listener.all_heard.remote())
    assert not wait(merge.stats.remote())["parts"]

"""What a viewer lacks of a picture, and when what it has seen was rendered."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from arras_ray.messages import TILE, CoarseTiles, ProgressiveFrame
from arras_ray.view.picture import WHOLE_TILE_BYTES, LivePicture, SentTiles

N_TILES = 6


def frame(tiles: list[int], ages: dict[str, float], sync_id: int = 1) -> ProgressiveFrame:
    pixels = np.zeros((len(tiles), TILE * TILE, 4), "f4")
    return ProgressiveFrame(sync_id, 3 * TILE, 2 * TILE, 1, np.array(tiles, "i4"), pixels, 0.5, "RENDERING", (), ages)


def test_samples_are_seen_when_the_last_of_their_tiles_is() -> None:
    picture, sent = LivePicture(3 * TILE, 2 * TILE), SentTiles()
    before = time.monotonic()
    picture.take(frame(list(range(N_TILES)), {"mcrt_i0": 0.0}))
    after = time.monotonic()
    seen = []
    for _ in range(3):
        news = picture.news(sent, 2, 0)
        seen.append(news.rendered)
        picture.take(frame([0], {"mcrt_i0": 0.0}))  # more comes all the time
    assert seen[:2] == [{}, {}]
    assert before <= seen[2]["mcrt_i0"] <= after
    assert picture.news(sent, 2, 0).rendered["mcrt_i0"] > after


def test_samples_of_an_earlier_scene_are_not_seen_with_a_new_one() -> None:
    picture, sent = LivePicture(3 * TILE, 2 * TILE), SentTiles()
    picture.take(frame([0], {"mcrt_i0": 0.0}))
    picture.take(frame([1], {"mcrt_i1": 0.0}, sync_id=2))
    assert set(picture.news(sent, 10, 0).rendered) == {"mcrt_i1"}


def test_coarse_tiles_come_bit_by_bit_the_coarsest_first() -> None:
    picture, sent = LivePicture(3 * TILE, 2 * TILE), SentTiles()
    coarse = tuple(
        CoarseTiles(stride, np.array(tiles, "i4"), np.zeros((len(tiles), TILE // stride, TILE // stride, 4), "f4"))
        for stride, tiles in ((8, [4]), (2, [0, 1, 2, 3]))
    )
    picture.take(replace(frame([5], {}), coarse=coarse))
    of_stride_2 = WHOLE_TILE_BYTES // 4
    came = [picture.news(sent, 0, 2 * of_stride_2).groups for _ in range(3)]
    assert [[(group.stride, group.tiles) for group in groups] for groups in came] == [
        [(8, [4]), (2, [0, 1])],
        [(2, [2, 3])],
        [],
    ]
    assert picture.news(sent, 1, 0).groups[0].tiles == [5]

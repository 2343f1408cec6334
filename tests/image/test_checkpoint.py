"""Checkpoint files: what is written comes back to the bit, and any program shows the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from checkpoint_files import HEIGHT, IDENTITY, PLAN, SPP, TALLY, WIDTH, film_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.checkpoint import read_checkpoint
from arras_ray.errors import CheckpointError
from arras_ray.film import Film, shard_of_tile
from arras_ray.image import read_exr
from arras_ray.messages import BadSample, FilmState, Tally
from arras_ray.unit_plan import UnitPlan


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 140), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_a_film_comes_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, spp: int, part: float, seed: int
) -> None:
    plan = UnitPlan(width, height, spp)
    film = film_of(plan, round(part * plan.n_units), seed)
    path = tmp_path_factory.mktemp("checkpoint") / "c.exr"
    saved = film.save(sync_id=7, tally=TALLY)
    write(path, [saved], ends=plan.ends, spp=spp)
    read = read_checkpoint(path)
    assert read.state.sums.tobytes() == saved.sums.tobytes()
    assert (read.state.sync_id, read.state.width, read.state.height) == (7, width, height)
    assert (read.ends, read.spp) == (plan.ends, spp)
    again = Film(width, height)
    again.restore(read.state)
    np.testing.assert_array_equal(again.log, film.log)
    assert read_exr(path)[0].tobytes() == film.image().tobytes()


def test_sums_of_any_kind_are_kept(tmp_path: Path) -> None:
    state = film_of(PLAN).save()
    state.sums[0, 0] = [np.inf, -np.inf, np.nan, -0.0, 5e-324]
    state.sums[0, 1] = [np.nextafter(1, 2), -1e308, 2.0**53 - 1, 1 / 3, 0]
    with np.errstate(all="ignore"):
        write(tmp_path / "c.exr", [state])
    assert read_checkpoint(tmp_path / "c.exr").state.sums.tobytes() == state.sums.tobytes()


def test_what_is_known_besides_the_sums_comes_back(tmp_path: Path) -> None:
    metadata = {"scene": "a é.rdla", "spp": 12.5}
    write(tmp_path / "c.exr", [film_of(PLAN).save(tally=TALLY)], metadata=metadata)
    read = read_checkpoint(tmp_path / "c.exr")
    assert read.state.tally == TALLY
    assert read.identity == IDENTITY
    assert read.seconds == 1.5
    assert {name: read.metadata[name] for name in metadata} == metadata
    assert read.path == str(tmp_path / "c.exr")


def test_programs_find_the_picture_first(tmp_path: Path) -> None:
    film = film_of(PLAN)
    write(tmp_path / "c.exr", [film.save()], metadata={"scene": "a.rdla"})
    with OpenEXR.File(str(tmp_path / "c.exr")) as file:
        picture, sums = file.parts
        assert (picture.name(), picture.header["scene"]) == ("picture", "a.rdla")
        assert list(picture.channels) == ["RGBA"]
        assert picture.channels["RGBA"].pixels.dtype == np.float32
        assert np.array_equal(picture.channels["RGBA"].pixels, film.image()[::-1])
        assert sums.header["chromaticities"] == picture.header["chromaticities"]
        assert {channel.pixels.dtype for channel in sums.channels.values()} == {np.dtype("u4")}
        # Compressions that every OpenEXR since 2.0 reads.
        assert {part.header["compression"] for part in file.parts} == {OpenEXR.RLE_COMPRESSION}
    assert "chunkCount" not in read_exr(tmp_path / "c.exr")[1]


# Several merges


def shards_of(film: Film, n_shards: int, tallies: list[Tally]) -> list[FilmState]:
    tiles = np.arange(film.n_tiles)
    shard_of = shard_of_tile(tiles, film.width, film.height, n_shards)
    return [film.save(tiles[shard_of == shard], tally=tallies[shard]) for shard in range(n_shards)]


def test_the_films_of_several_merges_make_one_picture(tmp_path: Path) -> None:
    film = film_of(PLAN, PLAN.n_units - 3)
    tallies = [
        Tally({"mcrt_i0": 5}, 1, BadSample(9, 9, 4)),
        Tally({"mcrt_i0": 2, "mcrt_i1": 4}, 2, BadSample(1, 1, 7)),
        Tally(),
    ]
    write(tmp_path / "c.exr", shards_of(film, 3, tallies))
    read = read_checkpoint(tmp_path / "c.exr")
    assert read.state.sums.tobytes() == film.save().sums.tobytes()
    assert read.state.tally == Tally({"mcrt_i0": 7, "mcrt_i1": 4}, 3, BadSample(9, 9, 4))
    again = Film(WIDTH, HEIGHT)
    again.restore(read.state)
    np.testing.assert_array_equal(again.accepted, film.accepted)
    assert sorted(again.log) == again.accepted.tolist()
    assert read_exr(tmp_path / "c.exr")[0].tobytes() == film.image().tobytes()


def test_merges_are_in_different_passes(tmp_path: Path) -> None:
    first, second = film_of(PLAN, PLAN.n_tiles), film_of(PLAN)
    states = [first.save(np.array([0, 1])), second.save(np.array([3, 4]))]
    assert len(states[0].order) < len(states[1].order)
    write(tmp_path / "c.exr", states)
    order = read_checkpoint(tmp_path / "c.exr").state.order
    assert (order > 0).sum(axis=0).tolist() == [1, 1, 0, 4, 4, 0]
    assert len(np.unique(order[order > 0])) == 10


def test_a_tile_no_merge_tells_of_has_no_samples(tmp_path: Path) -> None:
    film = film_of(PLAN)
    write(tmp_path / "c.exr", [film.save(np.array([0, 2, 3]))])
    read = read_checkpoint(tmp_path / "c.exr")
    assert read.state.order.any(axis=0).tolist() == [True, False, True, True, False, False]
    assert not read.state.sums[[1, 4, 5]].any()
    assert read.spp_so_far == SPP * (64 * 64 + 22 * 64 + 64 * 6) / (WIDTH * HEIGHT)


def test_states_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    film = film_of(PLAN)
    with pytest.raises(ValueError, match="a tile is in two states"):
        write(tmp_path / "c.exr", [film.save(np.array([0, 1])), film.save(np.array([1]))])
    with pytest.raises(ValueError, match="different pictures"):
        write(tmp_path / "c.exr", [film.save(np.array([0])), Film(64, 64).save()])
    assert not list(tmp_path.iterdir())


# Going on


def test_passes_that_were_begun_are_kept_and_others_not(tmp_path: Path) -> None:
    for n_units, begun in ((0, ()), (1, (1,)), (PLAN.n_tiles + 1, (1, 4)), (PLAN.n_units, (1, 4, 16, 20))):
        write(tmp_path / "c.exr", [film_of(PLAN, n_units).save()])
        assert read_checkpoint(tmp_path / "c.exr").begun == begun


def test_samples_cannot_be_taken_away(tmp_path: Path) -> None:
    write(tmp_path / "c.exr", [film_of(PLAN, PLAN.n_tiles + 1).save()])
    read = read_checkpoint(tmp_path / "c.exr")
    read.refuse_fewer(4)
    read.refuse_fewer(64)
    with pytest.raises(CheckpointError, match=r"c\.exr holds 4 spp; fewer cannot be taken away") as caught:
        read.refuse_fewer(3)
    assert caught.value.hint == "Ask for --spp 4 or more."


def test_how_far_it_is(tmp_path: Path) -> None:
    for n_units, spp in ((0, 0), (PLAN.n_tiles, 1), (2 * PLAN.n_tiles, 4), (PLAN.n_units, SPP)):
        write(tmp_path / "c.exr", [film_of(PLAN, n_units).save()])
        assert read_checkpoint(tmp_path / "c.exr").spp_so_far == spp

"""A film that is saved while it is added to, and one that goes on from a save."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from grains import sums_of

from arras_ray.film import FIRST_PASSES, Film
from arras_ray.messages import N_CHANNELS, TILE, BadSample, FilmState, Tally
from arras_ray.unit_plan import UnitPlan

WIDTH, HEIGHT, SPP = 150, 100, 20
PLAN = UnitPlan(WIDTH, HEIGHT, SPP)
UNITS = PLAN.units(np.arange(PLAN.n_units))
SUMS = sums_of(PLAN, UNITS)


def film_of(ids: list[int]) -> Film:
    film = Film(WIDTH, HEIGHT)
    for i in ids:
        film.accept(UNITS[[i]], SUMS[[i]])
    return film


WHOLE = film_of(UNITS["id"].tolist())


def check_counts(state: FilmState) -> None:
    """The bottom-left pixel of a tile, always inside the picture, has the samples of the units the order names."""
    ends = np.array([0, *PLAN.ends])
    spp = np.diff(ends)[: len(state.order)]
    assert (state.sums[:, 0, 4] == spp @ (state.order > 0)).all()


def test_a_save_has_sums_acceptances_and_what_is_told_of_them() -> None:
    film = film_of([7, 2, 0])
    tally = Tally({"a": 5}, 1, BadSample(1, 2, 3))
    state = film.save(sync_id=4, tally=tally)
    assert (state.sync_id, state.width, state.height, state.tally) == (4, WIDTH, HEIGHT, tally)
    assert state.tiles.tolist() == list(range(6))
    assert state.sums.tobytes() == film.sums.tobytes()
    by_unit = np.zeros((2, 6), int)
    by_unit[[1, 0, 0], UNITS["tile"][[7, 2, 0]]] = [1, 2, 3]
    assert state.order.tolist() == by_unit.tolist()
    film.accept(UNITS[[1]], SUMS[[1]])
    assert not state.order[0, UNITS["tile"][1]]  # a copy


def test_a_save_of_some_tiles_has_only_those() -> None:
    film = film_of([0, 1, 6])
    tiles = UNITS["tile"][[1, 4]]
    state = film.save(tiles)
    assert state.tiles.tolist() == tiles.tolist()
    assert state.order.tolist() == [[2, 0]]
    assert np.array_equal(state.sums, film.sums[tiles])
    assert state.tally == Tally()


def test_an_empty_film_is_saved_and_restored() -> None:
    state = Film(WIDTH, HEIGHT).save()
    assert state.order.shape == (0, 6)
    film = Film(WIDTH, HEIGHT)
    film.restore(state)
    assert len(film.log) == 0
    assert len(film.frame(0, 1, 0.0, "STARTED").tiles) == 0
    assert film.save(np.empty(0, "i4")).sums.shape == (0, TILE * TILE, N_CHANNELS)


def test_the_log_has_units_in_the_order_in_which_they_were_accepted() -> None:
    film = film_of([4, 1, 9])
    film.accept(UNITS[[9, 3]], SUMS[[9, 3]])
    assert film.log.tolist() == [4, 1, 9, 3]
    assert film.accepted.tolist() == [1, 3, 4, 9]


def test_the_log_shows_a_unit_that_was_accepted_twice() -> None:
    class Twice(Film):
        def _accept_one(self, n_pass: int, tile: int, part: np.ndarray) -> bool:
            self._order[tile, n_pass] = 0
            return super()._accept_one(n_pass, tile, part)

    film = Twice(WIDTH, HEIGHT)
    film.accept(UNITS[[4, 1, 4, 2]], SUMS[[4, 1, 4, 2]])
    assert film.log.tolist() == [-1, 1, 4, 2]


def test_a_restored_film_goes_on_to_the_same_bits() -> None:
    first = film_of([5, 11, 0, 17])
    second = Film(WIDTH, HEIGHT)
    second.restore(first.save())
    assert second.log.tolist() == [5, 11, 0, 17]
    assert second.accept(UNITS[[11, 3]], SUMS[[11, 3]]).tolist() == [3]
    assert second.log.tolist() == [5, 11, 0, 17, 3]
    second.accept(UNITS, SUMS)
    assert sorted(second.log.tolist()) == UNITS["id"].tolist()
    assert second.sums.tobytes() == WHOLE.sums.tobytes()


def test_a_restored_film_shows_its_tiles_in_the_next_frame() -> None:
    film = Film(WIDTH, HEIGHT)
    before = film.version
    film.restore(film_of([0, 3]).save())
    frame = film.frame(before, 1, 0.1, "RENDERING")
    assert frame.tiles.tolist() == sorted(UNITS["tile"][[0, 3]].tolist())
    assert np.array_equal(frame.pixels, film_of([0, 3]).resolve(frame.tiles))


def test_order_is_numbered_anew_where_a_save_has_gaps_or_a_number_twice() -> None:
    """A later unit may be saved without an earlier one, and shards that were saved each count from one."""
    state = film_of([2, 0, 4]).save()
    order = state.order.copy()
    order[0, UNITS["tile"][[2, 0, 4]]] = [7, 3, 7]
    film = Film(WIDTH, HEIGHT)
    film.restore(replace(state, order=order))
    assert sorted(film.log.tolist()) == [0, 2, 4]
    assert film.log[0] == 0
    film.accept(UNITS[[1]], SUMS[[1]])
    assert film.log[3] == 1


def test_more_passes_than_there_was_room_for() -> None:
    spp = 16 * (FIRST_PASSES + 3)
    plan = UnitPlan(TILE, TILE, spp)
    units = plan.units(np.arange(plan.n_units))
    assert len(units) > FIRST_PASSES
    sums = np.ones((len(units), TILE * TILE, N_CHANNELS))
    film = Film(TILE, TILE)
    film.accept(units[:3], sums[:3])
    film.accept(units[-1:], sums[-1:])
    assert film.log.tolist() == [0, 1, 2, len(units) - 1]
    restored = Film(TILE, TILE)
    restored.restore(film.save())
    assert restored.accept(units, sums).tolist() == list(range(3, len(units) - 1))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": WIDTH + 1}, "does not fit"),
        ({"sums": np.zeros((5, TILE * TILE, N_CHANNELS))}, "saved sums must be"),
        ({"sums": np.zeros((6, TILE * TILE, N_CHANNELS), "f4")}, "saved sums must be"),
        ({"order": np.zeros((1, 5), "i4")}, "order of 6 tiles"),
        ({"order": np.zeros(6, "i4")}, "order of 6 tiles"),
        ({"tiles": np.array([0, 1, 2, 3, 4, 4], "i4")}, "names a tile twice"),
        ({"tiles": np.array([0, 1, 2, 3, 4, 6], "i4")}, "not of the 6"),
        ({"tiles": np.array([-1, 1, 2, 3, 4, 5], "i4")}, "not of the 6"),
    ],
)
def test_refuses_a_state_that_does_not_fit(change: dict[str, object], match: str) -> None:
    film = Film(WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=match):
        film.restore(replace(film_of([0]).save(), **change))  # type: ignore[arg-type]
    assert not film.sums.any()
    assert len(film.log) == 0


def test_refuses_to_restore_a_film_that_has_begun() -> None:
    film = film_of([1])
    with pytest.raises(ValueError, match="were accepted before"):
        film.restore(film_of([0]).save())
    assert film.log.tolist() == [1]


def test_a_save_waits_for_an_addition_under_way() -> None:
    """Else it could have a unit's sums in part, or without the unit."""
    adding, go_on = threading.Event(), threading.Event()

    class Slow(Film):
        def _add_one(self, tile: int, part: np.ndarray) -> None:
            adding.set()
            go_on.wait()
            super()._add_one(tile, part)

    film = Slow(TILE, TILE)
    plan = UnitPlan(TILE, TILE, 1)
    states: list[FilmState] = []
    sums = np.ones((1, TILE * TILE, N_CHANNELS))
    acceptor = threading.Thread(target=film.accept, args=(plan.units(np.zeros(1, "i8")), sums))
    saver = threading.Thread(target=lambda: states.append(film.save()))
    acceptor.start()
    adding.wait()
    saver.start()
    saver.join(0.05)
    assert not states
    go_on.set()
    acceptor.join()
    saver.join()
    assert states[0].sums.all()
    assert states[0].order.tolist() == [[1]]


@pytest.mark.parametrize("round_", range(10))
def test_every_save_taken_while_threads_accept_is_whole(round_: int) -> None:
    film = Film(WIDTH, HEIGHT)
    start = threading.Barrier(4)

    def accept_all(seed: int) -> None:
        order = np.random.default_rng([round_, seed]).permutation(len(UNITS))
        start.wait()
        for ids in np.array_split(order, 8):
            film.accept(UNITS[ids], SUMS[ids])

    threads = [threading.Thread(target=accept_all, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    start.wait()
    states = [film.save()]
    while any(thread.is_alive() for thread in threads):
        states.append(film.save())
    for thread in threads:
        thread.join()
    for state in states:
        check_counts(state)
    for state in states[:: max(1, len(states) // 5)]:
        restored = Film(WIDTH, HEIGHT)
        restored.restore(state)
        assert len(restored.log) == np.count_nonzero(state.order)
        restored.accept(UNITS, SUMS)
        assert sorted(restored.log.tolist()) == UNITS["id"].tolist()
        assert restored.sums.tobytes() == WHOLE.sums.tobytes()


def test_the_check_of_counts_finds_half_a_unit() -> None:
    state = film_of([0, 1]).save()
    check_counts(state)
    order = state.order.copy()
    order[order == 2] = 0
    with pytest.raises(AssertionError):
        check_counts(replace(state, order=order))

import threading

import numpy as np
import pytest
from grains import sums_of
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.film import Film, morton_tiles, place_tiles, shard_of_tile
from arras_ray.messages import N_CHANNELS, TILE, UNIT, tile_grid
from arras_ray.unit_plan import UnitPlan

WIDTH, HEIGHT, SPP = 150, 100, 20
PLAN = UnitPlan(WIDTH, HEIGHT, SPP)
UNITS = PLAN.units(np.arange(PLAN.n_units))
SUMS = sums_of(PLAN, UNITS)


def film_of_all() -> Film:
    film = Film(WIDTH, HEIGHT)
    film.add(UNITS, SUMS)
    return film


WHOLE = film_of_all()


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(UNITS))), st.lists(st.integers(1, 6), min_size=len(UNITS), max_size=len(UNITS)))
def test_any_order_and_grouping_gives_the_same_bits(order: list[int], groups: list[int]) -> None:
    film = Film(WIDTH, HEIGHT)
    begin = 0
    for size in groups:
        ids = order[begin : begin + size]
        film.accept(UNITS[ids], SUMS[ids])
        begin += size
    assert film.sums.tobytes() == WHOLE.sums.tobytes()
    assert film.image().tobytes() == WHOLE.image().tobytes()


def test_threads_that_add_to_the_same_tiles_lose_nothing() -> None:
    film = Film(WIDTH, HEIGHT)
    start = threading.Barrier(4)

    def add_all() -> None:
        start.wait()
        for _ in range(10):
            film.add(UNITS, SUMS)

    threads = [threading.Thread(target=add_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(film.sums, WHOLE.sums * 40)


def test_threads_that_accept_the_same_units_add_each_once() -> None:
    film = Film(WIDTH, HEIGHT)
    start = threading.Barrier(4)
    got: list[list[int]] = [[] for _ in range(4)]

    def accept_all(k: int) -> None:
        order = np.random.default_rng(k).permutation(len(UNITS))
        start.wait()
        for ids in np.array_split(order, 5):
            got[k].extend(film.accept(UNITS[ids], SUMS[ids]).tolist())

    threads = [threading.Thread(target=accept_all, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(i for ids in got for i in ids) == UNITS["id"].tolist()
    assert film.sums.tobytes() == WHOLE.sums.tobytes()


def test_a_frame_waits_for_an_addition_under_way() -> None:
    """Else it would divide a new sum by an old count."""
    film = Film(TILE, TILE)
    film.add(UNITS[:1], np.ones((1, TILE * TILE, N_CHANNELS)))
    means: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: means.append(film.resolve(np.array([0]))))
    with film._tile_locks[0]:
        film.sums[0, :, :4] += 1
        thread.start()
        thread.join(0.05)
        film.sums[0, :, 4] += 1
    thread.join()
    assert (means[0] == 1).all()


def test_accept_drops_what_came_before_and_says_what_is_new() -> None:
    film = Film(WIDTH, HEIGHT)
    assert film.accept(UNITS[2:5], SUMS[2:5]).tolist() == [2, 3, 4]
    assert film.accept(UNITS[2:5], SUMS[2:5]).tolist() == []
    assert film.accept(UNITS[[6, 3, 6, 0]], SUMS[[6, 3, 6, 0]]).tolist() == [6, 0]
    assert film.accepted.tolist() == [0, 2, 3, 4, 6]
    once = Film(WIDTH, HEIGHT)
    once.add(UNITS[[0, 2, 3, 4, 6]], SUMS[[0, 2, 3, 4, 6]])
    assert film.sums.tobytes() == once.sums.tobytes()


def test_accept_takes_read_only_sums_and_no_units_at_all() -> None:
    film = Film(WIDTH, HEIGHT)
    sums = SUMS.copy()
    sums.flags.writeable = False
    assert len(film.accept(UNITS, sums)) == len(UNITS)
    assert len(film.accept(UNITS[:0], SUMS[:0])) == 0


def test_accepts_unit_numbers_beyond_its_first_guess() -> None:
    film = Film(WIDTH, HEIGHT)
    units = UNITS[:2].copy()
    units["id"][1] += 6 * 20_000
    assert film.accept(units, SUMS[:2]).tolist() == [0, 120_001]
    assert film.accept(units, SUMS[:2]).tolist() == []


@pytest.mark.parametrize(
    ("units", "sums", "match"),
    [
        (UNITS[:2], SUMS[:1], "sums must be"),
        (UNITS[:1], SUMS[:1].astype("f4"), "sums must be"),
        (UNITS[:1], SUMS[:1, :, :4], "sums must be"),
        (UNITS["id"][:1], SUMS[:1], "UNIT"),
        (UNITS[:1].reshape(1, 1), SUMS[:1], "UNIT"),
    ],
)
def test_refuses_shapes_that_do_not_belong_here(units: np.ndarray, sums: np.ndarray, match: str) -> None:
    film = Film(WIDTH, HEIGHT)
    for method in (film.add, film.accept):
        with pytest.raises(ValueError, match=match):
            method(units, sums)
    assert not film.sums.any()
    assert len(film.accepted) == 0


@pytest.mark.parametrize("tile", [-1, 6])
def test_refuses_tiles_outside_the_picture(tile: int) -> None:
    film = Film(WIDTH, HEIGHT)
    units = UNITS[:2].copy()
    units["tile"][1] = tile
    with pytest.raises(ValueError, match=f"tile {tile} is not one"):
        film.accept(units, SUMS[:2])
    assert not film.sums.any()
    assert len(film.accepted) == 0


def test_refuses_negative_unit_numbers() -> None:
    units = UNITS[:1].copy()
    units["id"] = -1
    with pytest.raises(ValueError, match="negative"):
        Film(WIDTH, HEIGHT).accept(units, SUMS[:1])


def test_refuses_a_unit_that_is_not_of_its_tile() -> None:
    film = Film(WIDTH, HEIGHT)
    units = UNITS[:2].copy()
    units["id"][1] += 1
    with pytest.raises(ValueError, match="unit 2 is not of tile 1"):
        film.accept(units, SUMS[:2])
    assert len(film.accepted) == 0
    assert not film.sums.any()


def test_refuses_an_empty_picture() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Film(0, 4)


def test_resolve_divides_in_double_and_leaves_unseen_pixels_black() -> None:
    film = Film(WIDTH, HEIGHT)
    sums = np.zeros((1, TILE * TILE, N_CHANNELS))
    sums[0, 5] = [1, 2, 2**24 + 1, 3, 3]
    film.add(UNITS[:1], sums)
    tile = int(UNITS["tile"][0])
    pixels = film.resolve(np.array([tile]))
    assert pixels.dtype == np.float32
    assert pixels[0, 5].tolist() == [np.float32(v / 3) for v in (1, 2, 2**24 + 1, 3)]
    assert np.count_nonzero(pixels) == 4


def test_image_has_the_origin_at_the_bottom_left() -> None:
    film = Film(WIDTH, HEIGHT)
    units = UNITS[:2].copy()
    units["tile"] = [0, 5]  # the last of 3 x 2 tiles
    sums = np.zeros((2, TILE, TILE, N_CHANNELS))
    sums[0, 1, 2] = [1, 0, 0, 1, 1]
    sums[1, 3, 4] = [0, 1, 0, 1, 1]
    film.add(units, sums.reshape(2, TILE * TILE, N_CHANNELS))
    image = film.image()
    assert image.shape == (HEIGHT, WIDTH, 4)
    assert np.argwhere(image[..., 0]).tolist() == [[1, 2]]
    assert np.argwhere(image[..., 1]).tolist() == [[TILE + 3, 2 * TILE + 4]]


def test_a_frame_holds_what_changed_and_only_that() -> None:
    film = Film(WIDTH, HEIGHT)
    film.add(UNITS[:2], SUMS[:2])
    first = film.frame(0, 3, 0.25, "RENDERING")
    assert (first.sync_id, first.width, first.height, first.progress, first.status) == (
        3,
        WIDTH,
        HEIGHT,
        0.25,
        "RENDERING",
    )
    assert first.tiles.tolist() == sorted(UNITS["tile"][:2].tolist())
    assert len(film.frame(first.version, 3, 0.25, "RENDERING").tiles) == 0
    film.accept(UNITS[1:3], SUMS[1:3])
    second = film.frame(first.version, 3, 0.5, "RENDERING")
    assert second.tiles.tolist() == sorted(UNITS["tile"][1:3].tolist())
    assert second.version > first.version
    assert film.changed_since(0).tolist() == sorted(UNITS["tile"][:3].tolist())


def test_a_frame_of_few_tiles_has_those_that_changed_first_and_the_next_one_the_rest() -> None:
    film = Film(TILE * 4, TILE * 2)
    for tiles in ([5], [0, 7], [2], [5]):
        units = np.zeros(len(tiles), UNIT)
        units["tile"] = tiles
        film.add(units, np.ones((len(tiles), TILE * TILE, N_CHANNELS)))
    first = film.frame(0, 3, 0.5, "RENDERING", max_tiles=1)
    assert first.tiles.tolist() == [0, 7]  # both changed with one addition, and 5 has changed again since
    second = film.frame(first.version, 3, 0.5, "RENDERING", max_tiles=1)
    third = film.frame(second.version, 3, 0.5, "RENDERING", max_tiles=1)
    assert (second.tiles.tolist(), third.tiles.tolist()) == ([2], [5])
    assert third.version == film.version


def test_a_dropped_unit_changes_nothing() -> None:
    film = Film(WIDTH, HEIGHT)
    film.accept(UNITS[:3], SUMS[:3])
    version = film.version
    film.accept(UNITS[:3], SUMS[:3])
    assert film.version == version


def test_place_tiles_is_the_inverse_of_cutting() -> None:
    rng = np.random.default_rng(1)
    picture = rng.random((HEIGHT, WIDTH, 3))
    padded = np.zeros((2 * TILE, 3 * TILE, 3))
    padded[:HEIGHT, :WIDTH] = picture
    tiles = padded.reshape(2, TILE, 3, TILE, 3).swapaxes(1, 2).reshape(6, TILE * TILE, 3)
    out = np.zeros_like(picture)
    order = rng.permutation(6)
    place_tiles(out, order, tiles[order])
    assert np.array_equal(out, picture)


def test_morton_order_by_hand() -> None:
    # 3 x 3 tiles: two by two, then what is left of each quadrant.
    assert morton_tiles(3 * TILE, 3 * TILE).tolist() == [0, 1, 3, 4, 2, 5, 6, 7, 8]


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_morton_order_has_every_tile_once(width: int, height: int) -> None:
    across, up = tile_grid(width, height)
    assert sorted(morton_tiles(width, height).tolist()) == list(range(across * up))


@given(st.integers(1, 4096), st.integers(1, 2160), st.integers(1, 9))
def test_shards_are_even(width: int, height: int, n_shards: int) -> None:
    across, up = tile_grid(width, height)
    shards = shard_of_tile(np.arange(across * up), width, height, n_shards)
    counts = np.bincount(shards, minlength=n_shards)
    assert len(counts) == n_shards
    assert counts.max() - counts.min() <= max(1, counts.max() / 8)


def test_a_lease_of_a_large_picture_reaches_few_shards() -> None:
    order = morton_tiles(3840, 2160)
    shards = shard_of_tile(order, 3840, 2160, 8)
    runs = 1 + np.count_nonzero(np.diff(shards))
    assert runs == -(-len(order) // 16)


def test_a_shard_is_asked_for_one_tile_or_many() -> None:
    assert int(shard_of_tile(4, WIDTH, HEIGHT, 2)) == shard_of_tile(np.arange(6), WIDTH, HEIGHT, 2)[4]
    with pytest.raises(ValueError, match="at least one shard"):
        shard_of_tile(0, WIDTH, HEIGHT, 0)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.film import morton_tiles
from arras_ray.messages import FULL_MASK, TILE, UNIT, tile_grid
from arras_ray.unit_plan import UnitPlan


@pytest.mark.parametrize(
    ("spp", "ends"),
    [
        (1, [1]),
        (2, [1, 2]),
        (4, [1, 4]),
        (16, [1, 4, 16]),
        (17, [1, 4, 16, 17]),
        (32, [1, 4, 16, 32]),
        (64, [1, 4, 16, 32, 48, 64]),
        (70, [1, 4, 16, 32, 48, 64, 70]),
    ],
)
def test_passes(spp: int, ends: list[int]) -> None:
    plan = UnitPlan(TILE, TILE, spp)
    units = plan.units(np.arange(plan.n_units))
    assert units["end"].tolist() == ends
    assert units["begin"].tolist() == [0, *ends[:-1]]


def test_each_pass_goes_over_all_tiles_along_the_curve() -> None:
    plan = UnitPlan(300, 200, 4)
    units = plan.units(np.arange(plan.n_units))
    order = morton_tiles(300, 200).tolist()
    assert units["tile"].tolist() == order * 2
    assert units["id"].tolist() == list(range(len(units)))
    assert units.dtype == UNIT
    assert (units["mask"] == FULL_MASK).all()


def test_units_come_in_the_order_asked_for() -> None:
    plan = UnitPlan(300, 200, 9)
    everything = plan.units(np.arange(plan.n_units))
    ids = np.random.default_rng(0).permutation(plan.n_units)
    assert np.array_equal(plan.units(ids), everything[ids])


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 100))
def test_every_sample_of_every_pixel_is_in_one_unit(width: int, height: int, spp: int) -> None:
    plan = UnitPlan(width, height, spp)
    across, up = tile_grid(width, height)
    covered = np.zeros((across * up, spp), int)
    ids = np.arange(plan.n_units)
    for unit in plan.units(ids):
        covered[unit["tile"], unit["begin"] : unit["end"]] += 1
    assert (covered == 1).all()
    assert int(plan.samples(ids).sum()) == plan.total_samples == width * height * spp


def test_border_tiles_count_only_pixels_inside() -> None:
    plan = UnitPlan(TILE + 1, TILE + 2, 1)
    units = plan.units(np.arange(4))
    by_tile = dict(zip(units["tile"].tolist(), plan.samples(np.arange(4)).tolist(), strict=True))
    assert by_tile == {0: TILE * TILE, 1: TILE, 2: 2 * TILE, 3: 2}


@pytest.mark.parametrize("ids", [[-1], [0, 4]])
def test_refuses_numbers_outside_the_plan(ids: list[int]) -> None:
    plan = UnitPlan(TILE, TILE, 32)
    assert plan.n_units == 4
    with pytest.raises(ValueError, match="not all in a plan of 4"):
        plan.units(np.array(ids))
    with pytest.raises(ValueError, match="not all in a plan of 4"):
        plan.samples(np.array(ids))


@pytest.mark.parametrize("size", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_refuses_a_plan_of_nothing(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pixels and samples"):
        UnitPlan(*size)


def test_a_4k_plan_of_1024_samples_is_small() -> None:
    plan = UnitPlan(3840, 2160, 1024)
    assert plan.n_units == 2040 * 66
    assert int(plan.samples(np.arange(plan.n_units)).sum()) == 3840 * 2160 * 1024


@pytest.mark.parametrize(
    ("spp", "earlier", "ends"),
    [
        (20, (1, 4, 16, 20), (1, 4, 16, 20)),
        (64, (1, 4, 16, 20), (1, 4, 16, 20, 32, 48, 64)),
        (64, (1, 2), (1, 2, 4, 16, 32, 48, 64)),
        (3, (1, 2), (1, 2, 3)),
        (40, (1, 4, 16, 32, 33), (1, 4, 16, 32, 33, 40)),
        (9, (), (1, 4, 9)),
    ],
)
def test_a_plan_goes_on_from_an_earlier_one(spp: int, earlier: tuple[int, ...], ends: tuple[int, ...]) -> None:
    plan = UnitPlan(300, 200, spp, earlier)
    assert plan.ends == ends
    if earlier:
        before = UnitPlan(300, 200, earlier[-1], earlier)
        ids = np.arange(before.n_units)
        assert np.array_equal(plan.units(ids), before.units(ids))
    everything = np.arange(plan.n_units)
    assert int(plan.samples(everything).sum()) == plan.total_samples
    assert (everything // plan.n_tiles == np.searchsorted(ends, plan.units(everything)["begin"], side="right")).all()


def test_an_earlier_plan_cannot_be_cut_short_or_fall() -> None:
    with pytest.raises(ValueError, match="20 spp cannot go on to only 19"):
        UnitPlan(TILE, TILE, 19, (1, 4, 16, 20))
    for ends in ((4, 4), (4, 1), (0, 1), (-1, 1)):
        with pytest.raises(ValueError, match="rising"):
            UnitPlan(TILE, TILE, 19, ends)

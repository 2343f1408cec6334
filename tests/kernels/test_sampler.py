"""Samples: a function of their four numbers, Sobol's points, Owen's scrambling, even in every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from chi2 import chi2_tail
from naive import flips_of, owen_scrambled, reversed_bits, sobol

from arras_ray.kernels import sampler
from arras_ray.kernels.config import DISABLE_JIT

u4 = np.uint32
N = 100 if DISABLE_JIT else 4000


def words(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 32, n, "u4")


def scramble(seed: int):
    """The sampler's scrambling on fractions whose first bit is the highest."""
    return lambda x: reversed_bits(int(sampler.laine_karras(u4(reversed_bits(x)), u4(seed))))


def test_reversed_bits_agree_with_their_twin() -> None:
    for x in words(1, 200):
        assert int(sampler.reverse_bits(x)) == reversed_bits(int(x))


def test_second_sobol_coordinate_agrees_with_its_generator_matrix() -> None:
    for i in [*range(70), *words(2, 200).tolist()]:
        assert reversed_bits(int(sampler.reversed_sobol_1(u4(i)))) == sobol(i, 1)
        assert reversed_bits(i) == sobol(i, 0)


def test_scrambling_flips_each_bit_by_the_bits_above_it() -> None:
    """Fractions that agree in their first k bits agree in as many when scrambled; and nothing collides."""
    rng = np.random.default_rng(3)
    for seed in words(4, 10).tolist():
        twin = scramble(seed)
        for k in range(1, 32):
            a = int(rng.integers(0, 1 << 32))
            b = a ^ 1 << (31 - k)
            assert (twin(a) ^ twin(b)).bit_length() == 32 - k


def test_scrambling_is_nested_by_definition() -> None:
    """Built bit by bit from the tree of flips, it gives the same."""
    for seed, x in zip(words(5, 40).tolist(), words(6, 40).tolist(), strict=True):
        twin = scramble(seed)
        assert owen_scrambled(x, flips_of(twin)) == twin(x)


def test_samples_agree_with_sobol_shuffled_and_scrambled_by_definition() -> None:
    for pixel, index, dimension in [(1, 0, 0), (99, 5, 1), (0xFFFFFFFF, 1000, 7), (123456789, 65535, 3)]:
        key = int(sampler.dimension_key(u4(pixel), dimension))
        shuffled = owen_scrambled(index, flips_of(scramble(key)))
        expected = [
            owen_scrambled(sobol(shuffled, axis), flips_of(scramble(key ^ salt)))
            for axis, salt in ((0, 0xA511E9B3), (1, 0x63D83595))
        ]
        got = sampler.sample_2d(u4(pixel), index, dimension)
        assert [float(x) for x in got] == [(x >> 8) * 2.0**-24 for x in expected]
        assert sampler.sample_1d(u4(pixel), index, dimension) == got[0]


@pytest.mark.parametrize("name", ["sample_1d", "sample_2d", "hash_1d", "hash_2d"])
def test_any_order_gives_the_same_numbers(name: str) -> None:
    draw = getattr(sampler, name)
    places = [(u4(p), i, d) for p in (0, 7, 0xFFFFFFFF) for i in range(20) for d in range(4)]
    forward = {place: draw(*place) for place in places}
    for place in np.random.default_rng(7).permutation(len(places)):
        assert draw(*places[place]) == forward[places[place]]
    assert len(set(forward.values())) == len(places)


def test_numbers_stay_below_one() -> None:
    assert sampler.to_unit(u4(0xFFFFFFFF)) == np.float32(1.0 - 2.0**-24)
    assert sampler.to_unit(u4(0)) == 0.0


@pytest.mark.parametrize("pixel", [0, 1, 77, 0x80000000])
@pytest.mark.parametrize("k", [1, 2, 4] if DISABLE_JIT else [1, 2, 4, 6, 8])
def test_every_elementary_interval_holds_one_sample(pixel: int, k: int) -> None:
    """The first 2^k samples, and each later run of 2^k, are a (0, k, 2) net."""
    n = 1 << k
    for begin in (0, n, 5 * n):
        points = np.array([sampler.sample_2d(u4(pixel), begin + i, 3) for i in range(n)], "f8")
        for across in range(k + 1):
            cells = np.floor(points * [1 << across, 1 << (k - across)]).astype(int)
            assert len({tuple(cell) for cell in cells.tolist()}) == n


def test_light_samples_of_a_sample_are_stratified_too() -> None:
    """Indices sample * n + k, as the integrator numbers n light samples, are a net for each sample."""
    for sample in range(5):
        points = np.array([sampler.sample_2d(u4(5), sample * 4 + k, 9) for k in range(4)], "f8")
        assert sorted(np.floor(points[:, 0] * 4).tolist()) == [0, 1, 2, 3]
        assert sorted(np.floor(points[:, 1] * 4).tolist()) == [0, 1, 2, 3]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_pixels_dimensions_and_seeds_are_independent() -> None:
    """Correlations over many keys stay within 5 standard deviations of none."""
    limit = 5.0 / np.sqrt(N)

    def first(x: int, y: int, seed: int, index: int, dimension: int) -> float:
        return float(sampler.sample_2d(sampler.pixel_key(x, y, seed), index, dimension)[0])

    base = np.array([first(x, 3, 1, 0, 0) for x in range(N)])
    for other in (
        [first(x, 4, 1, 0, 0) for x in range(N)],
        [first(x + 1, 3, 1, 0, 0) for x in range(N)],
        [first(x, 3, 2, 0, 0) for x in range(N)],
        [first(x, 3, 1, 0, 1) for x in range(N)],
    ):
        assert abs(correlation(base, np.array(other))) < limit
    second = [float(sampler.sample_2d(sampler.pixel_key(x, 3, 1), 0, 0)[1]) for x in range(N)]
    assert abs(correlation(base, np.array(second))) < limit


@pytest.mark.parametrize("name", ["sample_2d", "hash_2d"])
@pytest.mark.parametrize("over", ["pixels", "dimensions", "indices"])
def test_numbers_are_uniform(name: str, over: str) -> None:
    """Over one coordinate with the others fixed, (u, v) fills an 8 x 8 grid evenly."""
    draw = getattr(sampler, name)
    place = {
        "pixels": lambda i: (sampler.pixel_key(i % 61, i // 61, 0), 3, 2),
        "dimensions": lambda i: (u4(12345), 3, i),
        "indices": lambda i: (u4(12345), i, 2),
    }[over]
    points = np.array([draw(*place(i)) for i in range(N)], "f8")
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=8, range=[[0, 1], [0, 1]])[0]
    expected = N / 64
    assert chi2_tail(float(((counts - expected) ** 2 / expected).sum()), 63) > 1e-4


def test_hash_flips_half_of_the_bits() -> None:
    """Any input bit flips each output bit with even odds."""
    flips = np.zeros(32)
    n = 0
    for x in words(8, N // 8):
        for bit in range(0, 32, 3):
            changed = int(sampler.mix(x)) ^ int(sampler.mix(u4(int(x) ^ 1 << bit)))
            flips += [changed >> i & 1 for i in range(32)]
            n += 1
    assert np.abs(flips / n - 0.5).max() < 5.0 * 0.5 / np.sqrt(n)


def test_pixel_keys_do_not_collide_in_a_picture() -> None:
    size = 16 if DISABLE_JIT else 128
    keys = {int(sampler.pixel_key(x, y, 0)) for x in range(size) for y in range(size)}
    # birthdays: with n keys of 2^32, n^2 / 2^33 collisions are expected (0.03 of 128 x 128)
    assert len(keys) >= size * size - 1


def test_late_vertices_draw_by_hash() -> None:
    first, later = 0, sampler.STRATIFIED_VERTICES
    d = sampler.DIM_FIRST_VERTEX + later * sampler.DIMS_PER_VERTEX + sampler.DIM_BSDF
    pixel = u4(42)
    assert sampler.draw_2d(pixel, 9, later, sampler.DIM_BSDF) == sampler.hash_2d(pixel, 9, d)
    assert sampler.draw_1d(pixel, 9, later, sampler.DIM_BSDF) == sampler.hash_1d(pixel, 9, d)
    d = sampler.DIM_FIRST_VERTEX + first * sampler.DIMS_PER_VERTEX + sampler.DIM_LIGHT
    assert sampler.draw_2d(pixel, 9, first, sampler.DIM_LIGHT) == sampler.sample_2d(pixel, 9, d)
    assert sampler.draw_1d(pixel, 9, first, sampler.DIM_LIGHT) == sampler.sample_1d(pixel, 9, d)


@pytest.mark.skipif(DISABLE_JIT, reason="compares compiled kernels with their Python")
@pytest.mark.parametrize("name", ["mix", "reverse_bits", "reversed_sobol_1"])
def test_compiled_integers_equal_python(name: str) -> None:
    kernel = getattr(sampler, name)
    with np.errstate(over="ignore"):
        for x in words(9, 300):
            assert kernel(x) == kernel.py_func(x)

"""Whether two noisy pictures have the same expectation: a Z-test on blocks of pixels, from the variance of both."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

BLOCK = 8
SIGNIFICANCE = 0.01
"""Chance that two pictures of the same scene are told apart by luck."""


@dataclass(frozen=True)
class BlockZTest:
    """z: (rows, columns, channels) differences of block means in standard deviations. allowed: what |z| may be so that
    all of them stay below it with 1 - SIGNIFICANCE (Sidak)."""

    z: np.ndarray
    allowed: float

    @property
    def largest(self) -> float:
        """The largest |z|."""
        return float(np.abs(self.z).max())

    @property
    def passed(self) -> bool:
        return self.largest <= self.allowed


def block_z_test(mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray) -> BlockZTest:
    """Compare two (h, w, channels) pictures, each with the variance of its pixels' means.

    Pixels of a picture have to be independent, so the filter may not be wider than a pixel on a renderer that splats.
    Variances are averaged over a block's 64 pixels, so that few pictures of each side are enough to know them.
    Rows and columns that do not fill a block are left out.
    """
    difference = _block_means(mean_a) - _block_means(mean_b)
    deviation = np.sqrt((_block_means(variance_a) + _block_means(variance_b)) / BLOCK**2)
    z = np.divide(difference, deviation, out=np.where(difference == 0.0, 0.0, np.inf), where=deviation > 0.0)
    one = 1.0 - (1.0 - SIGNIFICANCE) ** (1.0 / z.size)
    return BlockZTest(z, NormalDist().inv_cdf(1.0 - one / 2.0))


def mean_and_variance(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (n, h, w, channels) independent pictures: their mean, and the variance of that mean."""
    pictures = np.asarray(pictures, "f8")
    return pictures.mean(axis=0), pictures.var(axis=0, ddof=1) / len(pictures)


def _block_means(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    whole = np.asarray(picture, "f8")[: rows * BLOCK, : columns * BLOCK]
    means: np.ndarray = whole.reshape(rows, BLOCK, columns, BLOCK, -1).mean(axis=(1, 3))
    return means

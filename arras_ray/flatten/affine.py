"""Affine maps with row vectors, spelled out in plain products and sums.

BLAS and LAPACK choose their code by the processor and round differently; what is here gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np


def transform(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, 3) vectors times the upper left 3 x 3 of a matrix."""
    m = matrix[:3, :3]
    columns = [vectors[:, 0] * m[0, k] + vectors[:, 1] * m[1, k] + vectors[:, 2] * m[2, k] for k in range(3)]
    return np.stack(columns, axis=1)


def cofactors(matrix: np.ndarray) -> np.ndarray:
    """(3, 3): the determinant times the transposed inverse of the upper left 3 x 3; normals go through it."""
    x, y, z = matrix[0, :3], matrix[1, :3], matrix[2, :3]
    return np.array([np.cross(y, z), np.cross(z, x), np.cross(x, y)])


def determinant(matrix: np.ndarray) -> float:
    """Of the upper left 3 x 3."""
    return dot(matrix[0, :3], cofactors(matrix)[0])


def inverse(matrix: np.ndarray) -> np.ndarray:
    """(4, 3) inverse of an affine (4, 4) matrix that can be inverted."""
    linear = cofactors(matrix).T / determinant(matrix)
    return np.concatenate([linear, -transform(matrix[3:4, :3], linear)])


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Of two 3-vectors."""
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def length(a: np.ndarray) -> float:
    """Of a 3-vector."""
    return float(np.sqrt(dot(a, a)))


def lengths(vectors: np.ndarray) -> np.ndarray:
    """(n,) of (n, 3) vectors."""
    squares = vectors * vectors
    roots: np.ndarray = np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2])
    return roots

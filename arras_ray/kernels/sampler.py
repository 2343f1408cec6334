"""Samples as a function of (pixel, sample number, dimension, seed) and of nothing else.

`sample_2d`: the first two dimensions of Sobol's sequence, index-shuffled and Owen-scrambled by hashing, padded: each
pair of dimensions has its own shuffle (Burley 2020, "Practical hash-based Owen scrambling"; hash constants by
Vegdahl 2021). `hash_2d`: independent samples, for the bounces where stratification no longer shows.

Bits are kept reversed where that saves a reversal: the hash works from the lowest bit up, scrambling from the highest.
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import kernel

TO_UNIT = np.float32(2.0**-24)

# Dimensions of a path: the pixel, then DIMS_PER_VERTEX for each vertex.
DIM_PIXEL = 0
DIM_FIRST_VERTEX = 1
DIMS_PER_VERTEX = 4
DIM_LIGHT = 0
DIM_BSDF = 1
DIM_LOBE = 2
DIM_ROULETTE = 3

STRATIFIED_VERTICES = 2
"""Vertices of a path that draw from Sobol; later ones hash. Chosen by time to equal error."""


@kernel
def mix(x):
    """A 32-bit finaliser (lowbias32, Wellons 2018)."""
    x = np.uint32(x)
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@kernel
def reverse_bits(x):
    x = np.uint32(x)
    x = np.uint32(((x >> np.uint32(1)) & np.uint32(0x55555555)) | ((x & np.uint32(0x55555555)) << np.uint32(1)))
    x = np.uint32(((x >> np.uint32(2)) & np.uint32(0x33333333)) | ((x & np.uint32(0x33333333)) << np.uint32(2)))
    x = np.uint32(((x >> np.uint32(4)) & np.uint32(0x0F0F0F0F)) | ((x & np.uint32(0x0F0F0F0F)) << np.uint32(4)))
    x = np.uint32(((x >> np.uint32(8)) & np.uint32(0x00FF00FF)) | ((x & np.uint32(0x00FF00FF)) << np.uint32(8)))
    return np.uint32((x >> np.uint32(16)) | (x << np.uint32(16)))


@kernel
def laine_karras(x, seed):
    """Owen scrambling of bit-reversed x: each bit is flipped by a hash of the lower ones."""
    x = np.uint32(x)
    seed = np.uint32(seed)
    x = np.uint32(x ^ np.uint32(x * np.uint32(0x3D20ADEA)))
    x = np.uint32(x + seed)
    x = np.uint32(x * np.uint32((seed >> np.uint32(16)) | np.uint32(1)))
    x = np.uint32(x ^ np.uint32(x * np.uint32(0x05526C56)))
    return np.uint32(x ^ np.uint32(x * np.uint32(0x53A22864)))


@kernel
def reversed_sobol_1(i):
    """Bit-reversed second Sobol coordinate of index i: Pascal's matrix mod 2, as a sum over supersets of bits."""
    i = np.uint32(i)
    i = np.uint32(i ^ ((i & np.uint32(0xAAAAAAAA)) >> np.uint32(1)))
    i = np.uint32(i ^ ((i & np.uint32(0xCCCCCCCC)) >> np.uint32(2)))
    i = np.uint32(i ^ ((i & np.uint32(0xF0F0F0F0)) >> np.uint32(4)))
    i = np.uint32(i ^ ((i & np.uint32(0xFF00FF00)) >> np.uint32(8)))
    return np.uint32(i ^ (i >> np.uint32(16)))


@kernel
def to_unit(x):
    """The top 24 bits as float32 in [0, 1)."""
    return np.float32(np.uint32(x) >> np.uint32(8)) * TO_UNIT


@kernel
def pixel_key(x, y, seed):
    """One number for all samples of a pixel."""
    return mix(np.uint32(x) ^ mix(np.uint32(y) ^ mix(np.uint32(seed))))


@kernel
def dimension_key(pixel, dimension):
    return mix(np.uint32(pixel + np.uint32(np.uint32(dimension) * np.uint32(0x9E3779B9))))


@kernel
def sample_2d(pixel, index, dimension):
    """Two stratified numbers in [0, 1)."""
    key = dimension_key(pixel, dimension)
    i = reverse_bits(laine_karras(reverse_bits(index), key))
    u = reverse_bits(laine_karras(i, np.uint32(key ^ np.uint32(0xA511E9B3))))
    v = reverse_bits(laine_karras(reversed_sobol_1(i), np.uint32(key ^ np.uint32(0x63D83595))))
    return to_unit(u), to_unit(v)


@kernel
def sample_1d(pixel, index, dimension):
    """One stratified number in [0, 1)."""
    key = dimension_key(pixel, dimension)
    i = reverse_bits(laine_karras(reverse_bits(index), key))
    return to_unit(reverse_bits(laine_karras(i, np.uint32(key ^ np.uint32(0xA511E9B3)))))


@kernel
def hash_2d(pixel, index, dimension):
    """Two independent numbers in [0, 1)."""
    key = dimension_key(pixel, dimension)
    a = mix(np.uint32(key ^ np.uint32(np.uint32(index) * np.uint32(0x9E3779B1))))
    b = mix(np.uint32(a ^ np.uint32(0x68BC21EB)))
    return to_unit(a), to_unit(b)


@kernel
def hash_1d(pixel, index, dimension):
    key = dimension_key(pixel, dimension)
    return to_unit(mix(np.uint32(key ^ np.uint32(np.uint32(index) * np.uint32(0x9E3779B1)))))


@kernel
def draw_2d(pixel, index, vertex, dimension):
    """Two numbers for a named dimension of a path vertex."""
    d = DIM_FIRST_VERTEX + vertex * DIMS_PER_VERTEX + dimension
    if vertex < STRATIFIED_VERTICES:
        return sample_2d(pixel, index, d)
    return hash_2d(pixel, index, d)


@kernel
def draw_1d(pixel, index, vertex, dimension):
    d = DIM_FIRST_VERTEX + vertex * DIMS_PER_VERTEX + dimension
    if vertex < STRATIFIED_VERTICES:
        return sample_1d(pixel, index, d)
    return hash_1d(pixel, index, d)

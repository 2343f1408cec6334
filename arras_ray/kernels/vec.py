"""3-vectors as tuples of float32: arrays would be allocated, tuples stay in registers."""

from __future__ import annotations

import math

import numpy as np

from arras_ray.kernels.config import HALF, ONE, TWO, ZERO, kernel

SIN_1, SIN_3, SIN_5, SIN_7 = (
    np.float32(1.5707963),
    np.float32(-0.64596336),
    np.float32(0.07968936),
    np.float32(-0.0046737650),
)
COS_2, COS_4, COS_6, COS_8 = (
    np.float32(-1.2337005),
    np.float32(0.25366944),
    np.float32(-0.020862982),
    np.float32(0.00091926),
)


@kernel
def f32(x):
    """x as float32; in compiled code a cast, without the compiler a numpy scalar."""
    return np.float32(x)


@kernel
def root(x):
    """Square root of x >= 0 in float32, correctly rounded."""
    return np.float32(math.sqrt(x))


@kernel
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@kernel
def add(a, b):
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


@kernel
def sub(a, b):
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


@kernel
def mul(a, b):
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


@kernel
def scale(a, s):
    return (a[0] * s, a[1] * s, a[2] * s)


@kernel
def along(o, d, t):
    """o + t d."""
    return (o[0] + d[0] * t, o[1] + d[1] * t, o[2] + d[2] * t)


@kernel
def normalize(a):
    """a / |a|; a zero vector stays zero."""
    n2 = dot(a, a)
    if n2 > ZERO:
        return scale(a, ONE / root(n2))
    return a


@kernel
def frame(n):
    """Two unit vectors that make a right-handed basis (s, t, n) (Duff et al. 2017)."""
    sign = ONE if n[2] >= ZERO else -ONE
    a = -ONE / (sign + n[2])
    b = n[0] * n[1] * a
    s = (ONE + sign * n[0] * n[0] * a, sign * b, -sign * n[0])
    t = (b, sign + n[1] * n[1] * a, -n[1])
    return s, t


@kernel
def to_world(s, t, n, w):
    """Local direction w in the basis (s, t, n)."""
    return (
        s[0] * w[0] + t[0] * w[1] + n[0] * w[2],
        s[1] * w[0] + t[1] * w[1] + n[1] * w[2],
        s[2] * w[0] + t[2] * w[1] + n[2] * w[2],
    )


@kernel
def to_local(s, t, n, w):
    return (dot(s, w), dot(t, w), dot(n, w))


@kernel
def luminance(c):
    """Rec. 709 weights, as MoonRay's."""
    return np.float32(0.2126) * c[0] + np.float32(0.7152) * c[1] + np.float32(0.0722) * c[2]


@kernel
def max_component(c):
    return max(c[0], max(c[1], c[2]))


@kernel
def sincos_quarter(x):
    """(sin, cos) of x quarter turns for x in [-1/2, 1/2], by polynomials; error below 2e-6.

    libm's sine differs from machine to machine, and is slower."""
    x2 = x * x
    s = x * (SIN_1 + x2 * (SIN_3 + x2 * (SIN_5 + x2 * SIN_7)))
    c = ONE + x2 * (COS_2 + x2 * (COS_4 + x2 * (COS_6 + x2 * COS_8)))
    return s, c


@kernel
def sincos_turn(u):
    """(sin, cos) of u full turns, u in [0, 1]. Quadrants are selected, not branched on: they are random."""
    q = u * np.float32(4.0)
    k = np.int32(q + HALF)
    s, c = sincos_quarter(q - np.float32(k))
    swapped = (k & 1) != 0
    sin = c if swapped else s
    cos = s if swapped else c
    sin = -sin if (k & 2) != 0 else sin
    cos = -cos if ((k + 1) & 2) != 0 else cos
    return sin, cos


@kernel
def transform_point(m, p):
    """p m for a (4, 3) matrix, row vectors."""
    return (
        p[0] * m[0, 0] + p[1] * m[1, 0] + p[2] * m[2, 0] + m[3, 0],
        p[0] * m[0, 1] + p[1] * m[1, 1] + p[2] * m[2, 1] + m[3, 1],
        p[0] * m[0, 2] + p[1] * m[1, 2] + p[2] * m[2, 2] + m[3, 2],
    )


@kernel
def transform_vector(m, v):
    return (
        v[0] * m[0, 0] + v[1] * m[1, 0] + v[2] * m[2, 0],
        v[0] * m[0, 1] + v[1] * m[1, 1] + v[2] * m[2, 1],
        v[0] * m[0, 2] + v[1] * m[1, 2] + v[2] * m[2, 2],
    )


@kernel
def transform_normal(inverse, n):
    """Normal n by the transpose of the inverse matrix; not normalised."""
    return (
        n[0] * inverse[0, 0] + n[1] * inverse[0, 1] + n[2] * inverse[0, 2],
        n[0] * inverse[1, 0] + n[1] * inverse[1, 1] + n[2] * inverse[1, 2],
        n[0] * inverse[2, 0] + n[1] * inverse[2, 1] + n[2] * inverse[2, 2],
    )


@kernel
def lerp(a, b, t):
    return a * (ONE - t) + b * t


@kernel
def lerp3(a, b, c, u, v):
    """Barycentric mean of three 3-vectors: (1 - u - v) a + u b + v c."""
    w = ONE - u - v
    return (
        w * a[0] + u * b[0] + v * c[0],
        w * a[1] + u * b[1] + v * c[1],
        w * a[2] + u * b[2] + v * c[2],
    )


@kernel
def reflect(w, n):
    """w mirrored about n; both point away from the surface."""
    d = TWO * dot(w, n)
    return (d * n[0] - w[0], d * n[1] - w[1], d * n[2] - w[2])

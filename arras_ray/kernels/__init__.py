"""Numba kernels over Embree: what turns a RenderScene and a range of samples into exact sums."""

"""Scattering: Fresnel, energy, reciprocity, and sampling that follows its density."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chi2 import HEMISPHERE, assert_follows, draw, integrate
from naive import conductor_fresnel, dielectric_fresnel, ggx_reflection

from arras_ray.kernels import bsdf
from arras_ray.kernels.config import DISABLE_JIT

f4 = np.float32
WHITE = (f4(1), f4(1), f4(1))
BLACK = (f4(0), f4(0), f4(0))
ZERO, ONE = f4(0), f4(1)
COSINES = np.linspace(0.0, 1.0, 201)[1:]
CELLS = (6, 6) if DISABLE_JIT else (24, 24)


def local(cos: float, phi: float = 0.0) -> tuple[np.float32, ...]:
    sin = math.sqrt(max(0.0, 1.0 - cos * cos))
    return f4(sin * math.cos(phi)), f4(sin * math.sin(phi)), f4(cos)


def evaluate(wo: tuple[np.float32, ...], w: np.ndarray, kd=BLACK, wm=0.0, ws=0.0, alpha=0.3, metal=WHITE, qd=0.0,
             ior=1.5) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(n, 3) f cos and (n,) densities of (n, 3) incident directions."""
    out = [
        bsdf.eval_bsdf(wo, (f4(x), f4(y), f4(z)), kd, f4(wm), f4(ws), f4(alpha), f4(ior), metal, metal, f4(qd))
        for x, y, z in w
    ]
    return np.array([f for f, _ in out], "f8"), np.array([pdf for _, pdf in out], "f8")


@pytest.mark.parametrize("ior", [1.1, 1.5, 2.4])
def test_dielectric_at_normal_and_grazing_incidence(ior: float) -> None:
    assert bsdf.dielectric_fresnel(ONE, f4(ior)) == pytest.approx(((ior - 1) / (ior + 1)) ** 2, rel=1e-5)
    assert bsdf.dielectric_fresnel(ZERO, f4(ior)) == 1.0


@pytest.mark.parametrize("ior", [0.7, 1.0, 1.33, 1.5, 3.0])
def test_dielectric_agrees_with_fresnel_s_amplitudes(ior: float) -> None:
    got = np.array([bsdf.dielectric_fresnel(f4(c), f4(ior)) for c in COSINES])
    assert got == pytest.approx(dielectric_fresnel(COSINES, ior), abs=3e-6)
    assert got.min() >= 0.0
    assert got.max() <= 1.0


@pytest.mark.parametrize("reflectivity", [0.0, 0.04, 0.5, 0.95])
@pytest.mark.parametrize("edge", [0.0, 0.5, 1.0])
def test_conductor_agrees_with_fresnel_s_amplitudes(reflectivity: float, edge: float) -> None:
    r, g = f4(reflectivity), f4(edge)
    got = np.array([bsdf.conductor_fresnel(f4(c), r, g) for c in COSINES])
    assert got == pytest.approx(conductor_fresnel(COSINES, reflectivity, edge), abs=3e-6)
    assert bsdf.conductor_fresnel(ONE, r, g) == pytest.approx(reflectivity, abs=1e-6)
    assert got.min() >= 0.0
    # reflectivity 0 is index 1: 0 / 0 at the rim, where any answer between 0 and 1 will do
    assert (1.0 - 1e-3 if reflectivity else 0.0) <= bsdf.conductor_fresnel(ZERO, r, g) <= 1.0


def test_conductor_of_full_reflectivity_stays_finite() -> None:
    for cos in COSINES:
        assert 0.95 <= bsdf.conductor_fresnel(f4(cos), ONE, ONE) <= 1.0


@pytest.mark.parametrize("alpha", [0.05, 0.25, 1.0])
def test_glossy_reflection_agrees_with_its_twin(alpha: float) -> None:
    rng = np.random.default_rng(1)
    wi = rng.normal(size=(50, 3))
    wi[:, 2] = np.abs(wi[:, 2])
    wi /= np.linalg.norm(wi, axis=1, keepdims=True)
    for cos in (0.1, 0.7, 1.0):
        wo = local(cos)
        w = np.array(wo, "f8")
        f, _ = evaluate(wo, wi, ws=1.0, alpha=alpha)
        h = (wi + w) / np.linalg.norm(wi + w, axis=1, keepdims=True)
        expected = ggx_reflection(np.broadcast_to(w, wi.shape), wi, alpha) * wi[:, 2] * dielectric_fresnel(h @ w, 1.5)
        # where the highlight is narrow, float32 tells its flank only roughly
        assert f[:, 0] == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_reciprocity() -> None:
    """f without the cosine does not change when the directions are swapped."""
    rng = np.random.default_rng(2)
    for a, b in rng.random((100, 2, 2)):
        wo, wi = local(0.05 + 0.95 * a[0], 6.28 * a[1]), local(0.05 + 0.95 * b[0], 6.28 * b[1])
        there, _ = evaluate(wo, np.array([wi]), kd=(f4(0.2), f4(0.3), f4(0.4)), wm=0.3, ws=0.5, alpha=0.4)
        back, _ = evaluate(wi, np.array([wo]), kd=(f4(0.2), f4(0.3), f4(0.4)), wm=0.3, ws=0.5, alpha=0.4)
        assert there[0] / float(wi[2]) == pytest.approx(back[0] / float(wo[2]), rel=1e-3)


def test_nothing_is_reflected_below_the_surface() -> None:
    f, pdf = evaluate(local(0.5), np.array([local(-0.5), local(0.0)]), kd=WHITE, ws=1.0, qd=0.5)
    assert not f.any()
    assert not pdf.any()


@pytest.mark.parametrize("cos", [0.1, 0.5, 0.9])
def test_lambert_reflects_its_albedo(cos: float) -> None:
    total = integrate(HEMISPHERE, lambda w: evaluate(local(cos), w, kd=(f4(0.7), ZERO, ZERO))[0][:, 0], (3, 2)).sum()
    assert total == pytest.approx(0.7, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("cos", [0.2, 0.7, 1.0])
def test_white_metal_loses_energy_but_gains_none(alpha: float, cos: float) -> None:
    """One bounce between microfacets: what is lost are the later ones, most on rough surfaces."""
    total = integrate(HEMISPHERE, lambda w: evaluate(local(cos), w, wm=1.0, alpha=alpha)[0][:, 0], CELLS).sum()
    assert total <= 1.0 + 2e-3
    assert total >= 1.0 - 0.7 * alpha


def test_the_roughest_white_metal_seen_from_above() -> None:
    """alpha 1 at normal incidence has a closed form, the integral of c / (1 + c)."""
    metal = (f4(0.5),) * 3
    total = integrate(HEMISPHERE, lambda w: evaluate(local(1.0), w, wm=1.0, alpha=1.0, metal=metal)[0][:, 0], CELLS)
    fresnel = conductor_fresnel(np.array([1.0, 0.9, 0.75]), 0.5, 0.5)
    assert fresnel.min() * (1.0 - math.log(2.0)) <= total.sum() <= fresnel.max() * (1.0 - math.log(2.0)) * 1.01


@pytest.mark.parametrize("roughness", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("cos", [0.15, 0.5, 1.0])
@pytest.mark.parametrize("specular", [0.5, 1.0])
def test_white_plastic_gains_no_energy(roughness: float, cos: float, specular: float) -> None:
    """Albedo 1 under a dielectric: diffuse light is what the layer above lets through."""
    closure = bsdf.make_closure(WHITE, f4(specular), f4(roughness), ZERO, BLACK, BLACK, f4(1.5), f4(cos))
    kd, wm, ws, alpha = closure[:4]
    kd = tuple(f4(x) for x in kd)
    total = integrate(
        HEMISPHERE, lambda w: evaluate(local(cos), w, kd=kd, wm=wm, ws=ws, alpha=alpha)[0][:, 0], CELLS
    ).sum()
    assert total <= 1.0 + 0.06
    assert total >= 0.8


def test_layers_of_a_closure() -> None:
    closure = bsdf.make_closure(WHITE, ONE, f4(0.5), ONE, WHITE, WHITE, f4(1.5), f4(0.5))
    assert closure[0] == (0.0, 0.0, 0.0), "full metal hides what is below"
    assert closure[1:3] == (1.0, 0.0)
    smooth = bsdf.make_closure(WHITE, ONE, ZERO, ZERO, WHITE, WHITE, f4(1.5), ONE)
    assert smooth[0][0] == pytest.approx(0.96, rel=1e-5)
    assert smooth[3] == 0.0, "roughness 0 is a mirror"
    half = bsdf.make_closure(WHITE, f4(0.5), f4(0.5), f4(0.5), WHITE, WHITE, f4(1.5), ONE)
    assert half[1] == pytest.approx(0.25)
    assert half[2] == pytest.approx(0.375)
    assert half[3] == pytest.approx(0.25), "alpha is roughness squared"


@pytest.mark.parametrize("roughness", [0.001, 0.02])
def test_alpha_has_a_lower_limit(roughness: float) -> None:
    closure = bsdf.make_closure(WHITE, ONE, f4(roughness), ZERO, WHITE, WHITE, f4(1.5), ONE)
    assert closure[3] == bsdf.MIN_ALPHA


@pytest.mark.parametrize("alpha", [0.3, 0.8])
@pytest.mark.parametrize("cos", [0.2, 0.8])
def test_glossy_samples_follow_their_density(alpha: float, cos: float) -> None:
    wo = local(cos)

    def sampler(u0: np.float32, u1: np.float32) -> tuple[float, ...] | None:
        wi = bsdf.sample_glossy(wo, f4(alpha), u0, u1)
        return wi if wi[2] > 0.0 else None

    assert_follows(HEMISPHERE, sampler, lambda w: evaluate(wo, w, ws=1.0, alpha=alpha)[1], tests=4)


@pytest.mark.parametrize("qd", [0.3, 0.5])
def test_the_mixture_of_lobes_follows_its_density(qd: float) -> None:
    wo = local(0.6)

    def sampler(u0: np.float32, u1: np.float32) -> tuple[float, ...] | None:
        if u0 < qd:
            return bsdf.sample_diffuse(f4(u0 / qd), u1)
        wi = bsdf.sample_glossy(wo, f4(0.4), f4((u0 - qd) / (1.0 - qd)), u1)
        return wi if wi[2] > 0.0 else None

    assert_follows(HEMISPHERE, sampler, lambda w: evaluate(wo, w, kd=WHITE, ws=1.0, alpha=0.4, qd=qd)[1], tests=2)


def test_sample_weights_stay_small() -> None:
    """f cos / pdf of a glossy sample is Fresnel times G2 / G1: never above 1."""
    for cos in (0.05, 0.5, 1.0):
        wo = local(cos)
        points, _ = draw(
            lambda u0, u1, wo=wo: w if (w := bsdf.sample_glossy(wo, f4(0.5), u0, u1))[2] > 0.0 else None, 300, 5
        )
        f, pdf = evaluate(wo, points, wm=1.0, alpha=0.5)
        assert (f[:, 0] <= pdf * (1.0 + 1e-4)).all()


def test_share_of_the_diffuse_lobe() -> None:
    def share(kd: tuple[np.float32, ...], ws: float) -> float:
        return float(bsdf.diffuse_share(kd, ZERO, f4(ws), f4(0.3), f4(1.5), WHITE, WHITE, f4(0.7)))

    assert share(WHITE, 0.0) == 1.0
    assert share(BLACK, 1.0) == 0.0
    assert 0.05 <= share((f4(1e-6),) * 3, 1.0) <= 0.051
    assert share(WHITE, 1.0) == pytest.approx(0.95)
    assert 0.2 < share((f4(0.04),) * 3, 1.0) < 0.8

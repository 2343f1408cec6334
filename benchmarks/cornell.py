"""Our Cornell box beside Mitsuba's: the same picture, samples a second, time to equal error.

    python benchmarks/cornell.py picture [--spp 1024]   Z-test on 8x8 blocks, difference of the means
    python benchmarks/cornell.py speed                  512x512, all cores, beside scalar_rgb and llvm_ad_rgb
    python benchmarks/cornell.py error                  128x128, time to equal RMSE, beside llvm_ad_rgb

Box filter, 1 light and 1 BSDF sample, no clamping. Mitsuba's max_depth 8 are paths of 8 edges; ours counts bounces, so
the same paths are max_depth 6. Roulette is each renderer's own: Mitsuba's from its depth 5 on, ours below a
throughput of ROULETTE. Both stop at the same length, so both estimate the same picture.
"""

from __future__ import annotations

import argparse
import os
import statistics
from typing import Any

import numpy as np
from harness import CORNELL_BOX, Picture, report, say
from mitsuba_peer import Mitsuba
from ztest import block_z_test

ROULETTE = 1.0
DEPTHS = {"max_depth": 6, "max_diffuse_depth": 6, "russian_roulette_threshold": ROULETTE}
THREADS = os.cpu_count() or 1
CHUNK = 256
"""Samples a pixel of one call: Mitsuba keeps all paths of a call in memory."""


def averaged(render: Any, spp: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean picture of spp samples, rendered in chunks of independent seeds, and the variance of that mean."""
    chunk = min(CHUNK, max(1, spp // 8))
    pictures = [render(chunk, seed + i)[0] for i in range(-(-spp // chunk))]
    return np.mean(pictures, axis=0), np.var(pictures, axis=0, ddof=1) / len(pictures)


def picture(arguments: argparse.Namespace) -> None:
    """Both pictures at 256x256 with at least --spp samples: do they differ by more than noise?"""
    ours = averaged(Picture(CORNELL_BOX, 256, THREADS, DEPTHS), arguments.spp, 1)
    with Mitsuba("llvm_ad_rgb", 256) as peer:
        theirs = averaged(peer, arguments.spp, 1)
    result = block_z_test(ours[0], ours[1], theirs[0], theirs[1])
    difference = abs(ours[0].mean() / theirs[0].mean() - 1.0)
    report(
        "cornell picture",
        {"spp": arguments.spp, "z_test_passed": bool(result.passed), "largest_z": round(result.largest, 2),
         "allowed_z": round(result.allowed, 2), "mean_difference": round(float(difference), 6)},
    )  # fmt: skip


def speed(arguments: argparse.Namespace) -> None:
    """Million samples a second at 512x512, medians of alternating runs."""
    size, spp = 512, 32
    ours = Picture(CORNELL_BOX, size, THREADS, DEPTHS)
    ours(1)
    rates: dict[str, list[float]] = {"arras-ray": [], "scalar_rgb": [], "llvm_ad_rgb": []}
    with Mitsuba("scalar_rgb", size) as scalar, Mitsuba("llvm_ad_rgb", size) as llvm:
        for run in range(arguments.runs):
            for name, render in (("arras-ray", ours), ("scalar_rgb", scalar), ("llvm_ad_rgb", llvm)):
                rates[name].append(size * size * spp / render(spp, run)[1] / 1e6)
            say(f"run {run}: " + "  ".join(f"{name} {kept[-1]:.2f}" for name, kept in rates.items()))
    medians = {name: statistics.median(kept) for name, kept in rates.items()}
    report(
        "cornell speed",
        {"million_samples_a_second": {name: round(rate, 2) for name, rate in medians.items()},
         "ratio_to_scalar_rgb": round(_paired(rates, "scalar_rgb"), 2),
         "ratio_to_llvm_ad_rgb": round(_paired(rates, "llvm_ad_rgb"), 2)},
    )  # fmt: skip


def _paired(rates: dict[str, list[float]], peer: str) -> float:
    """Median of the ratios run by run: what a drifting machine disturbs least."""
    return statistics.median(a / b for a, b in zip(rates["arras-ray"], rates[peer], strict=True))


def error(arguments: argparse.Namespace) -> None:
    """Seconds until the RMSE against an own reference is what Mitsuba reaches with 256 samples."""
    size, spp = 128, 256
    ours = Picture(CORNELL_BOX, size, THREADS, DEPTHS)
    ours(1)
    with Mitsuba("llvm_ad_rgb", size) as peer:
        references = {}
        for name, render in (("ours", ours), ("theirs", peer)):
            say(f"reference of {arguments.reference} spp: {name}")
            references[name], _ = averaged(render, arguments.reference, 1000)
        ratios = []
        for seed in range(arguments.seeds):
            theirs, their_seconds = peer(spp, seed)
            wanted = _rmse(theirs, references["theirs"])
            our_seconds = _seconds_to(ours, references["ours"], wanted, seed)
            ratios.append(our_seconds / their_seconds)
            say(f"seed {seed}: RMSE {wanted:.5f}, ours {our_seconds:.2f} s, theirs {their_seconds:.2f} s")
    report("cornell time to equal error", {"ratio_to_llvm_ad_rgb": round(statistics.median(ratios), 3),
                                           "ratios": [round(r, 3) for r in ratios]})  # fmt: skip


def _rmse(picture: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.mean((picture - reference) ** 2)))


def _seconds_to(render: Picture, reference: np.ndarray, wanted: float, seed: int) -> float:
    """Seconds to RMSE `wanted`: between two renders around it, error falling as a power of time."""
    before: tuple[float, float] | None = None
    spp = 32
    while True:
        image, seconds = render(spp, seed)
        rmse = _rmse(image, reference)
        if rmse <= wanted:
            if before is None:
                return seconds * (rmse / wanted) ** 2
            slope = np.log(seconds / before[0]) / np.log(before[1] / rmse)
            return float(before[0] * (before[1] / wanted) ** slope)
        before = (seconds, rmse)
        spp = spp * 3 // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("picture")
    command.add_argument("--spp", type=int, default=1024)
    command.set_defaults(run=picture)
    command = commands.add_parser("speed")
    command.add_argument("--runs", type=int, default=7)
    command.set_defaults(run=speed)
    command = commands.add_parser("error")
    command.add_argument("--seeds", type=int, default=5)
    command.add_argument("--reference", type=int, default=16384)
    command.set_defaults(run=error)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()

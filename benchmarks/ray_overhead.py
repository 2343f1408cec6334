"""What a session on Ray costs: 2 mcrts of 1 core each against `--engine local` with 2 threads, the same picture.

From the first lease to the final film, merge and Ray included, alternating runs in one go. Prints the median of the
ratios, and whether all pictures had the same bits.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

from harness import COMMAND, CORNELL_BOX, report, same_pixels, say


def render(scene: Path, extra: list[str], arguments: argparse.Namespace, out: Path) -> float:
    """Seconds of one `arras-ray render`, as its last event tells them."""
    command = [COMMAND, "render", str(scene), "--size", *arguments.size.split("x"),
               "--spp", str(arguments.spp), "-o", str(out), "--json", *extra]  # fmt: skip
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    return float(next(event for event in reversed(events) if event["event"] == "done")["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--spp", type=int, default=64)
    arguments = parser.parse_args()
    ratios = []
    identical = True
    with tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder, "ray.exr"), Path(folder, "local.exr")
        for pair in range(arguments.pairs):
            on_ray = render(CORNELL_BOX, ["--address", "local", "--num-mcrt", "2"], arguments, a)
            local = render(CORNELL_BOX, ["--engine", "local", "--threads", "2"], arguments, b)
            identical &= same_pixels(a, b)
            ratios.append(on_ray / local)
            say(f"pair {pair}: Ray {on_ray:.2f} s, local {local:.2f} s, ratio {ratios[-1]:.3f}")
    report("ray overhead", {"ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios],
                            "identical": identical})  # fmt: skip


if __name__ == "__main__":
    main()

"""`arras-ray render --engine local` and `debug-pixel`, as a user runs them."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from command_line import SCENE, Run, Start, assert_nothing_left


def read_exr(path: Path) -> tuple[np.ndarray, dict[str, object]]:
    """Pixels (height, width, 4), rows from the top, and the header."""
    with OpenEXR.File(str(path)) as file:
        part = file.parts[0]
        return np.array(part.channels["RGBA"].pixels), dict(part.header)


def test_a_picture_is_written_and_every_step_is_told(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    result = arras_ray("render", scene, "--engine", "local", "-o", "out.exr", "-o", "out.png")
    assert result.returncode == 0, result.stderr
    pixels, _ = read_exr(tmp_path / "out.exr")
    assert pixels.shape == (32, 48, 4)
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert pixels[16, 24, :3].min() > 0
    assert pixels[0, 0].max() == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    lines = result.stdout.splitlines()
    steps = [line.split()[0] for line in lines if line[0].isalpha()]
    assert [step for step in steps if step != "compiling"] == [
        "reading",
        "flattening",
        "rendering",
        "finished:",
        "wrote",
        "wrote",
    ]
    assert "48x32, 4 spp, 6.14 k samples" in result.stdout
    assert re.search(r"^  mcrt_i0 +\S+ +\d+ +\d+ +100\.0 %$", result.stdout, re.MULTILINE)
    assert result.stderr == ""


def test_options_override_the_scene(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    result = arras_ray(
        "render", scene, "--engine", "local", "--size", 20, 10, "--spp", 3, "--threads", 1, "--half", "--quiet"
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    pixels, _ = read_exr(tmp_path / "ball.exr")
    assert pixels.shape == (10, 20, 4)
    assert pixels.dtype == np.float16


def test_the_scene_names_its_output(arras_ray: Run, tmp_path: Path) -> None:
    (tmp_path / "a.rdla").write_text(SCENE + 'SceneVariables { ["output_file"] = "named.exr" }\n', encoding="utf-8")
    assert arras_ray("render", "a.rdla", "--engine", "local", "--quiet").returncode == 0
    assert (tmp_path / "named.exr").exists()


def test_later_files_are_read_into_the_same_scene(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "small.rdla").write_text('SceneVariables { ["image_width"] = 9 }\n', encoding="utf-8")
    assert arras_ray("render", scene, "small.rdla", "--engine", "local", "--quiet").returncode == 0
    assert read_exr(tmp_path / "ball.exr")[0].shape == (32, 9, 4)


def test_threads_and_seed(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    for name, arguments in {"one": ["--threads", 1], "two": ["--threads", 2], "other": ["--seed", 5]}.items():
        result = arras_ray("render", scene, "--engine", "local", "--quiet", "-o", f"{name}.exr", *arguments)
        assert result.returncode == 0
    one, two, other = (read_exr(tmp_path / f"{name}.exr")[0] for name in ("one", "two", "other"))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_warnings_are_told_once_with_their_count(arras_ray: Run, scene: Path) -> None:
    odd = 'SphereGeometry("/odd{}") {{ ["no_such_thing"] = 1 }}\n'
    scene.write_text(SCENE + "".join(odd.format(number) for number in range(5)), encoding="utf-8")
    result = arras_ray("render", scene, "--engine", "local")
    assert result.returncode == 0
    (warning,) = result.stderr.splitlines()
    assert re.match(r"warning: .*ball.rdla:\d+: /odd0.no_such_thing: no attribute .* \(and 4 more like it\)$", warning)


def test_json_events_tell_the_whole_story(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("render", scene, "--engine", "local", "--json", "-o", "out.exr")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in (events[0], events[-2], events[-1])] == ["start", "progress", "done"]
    assert events[-2]["percent"] == 100
    done = events[-1]
    assert (done["result"], done["exit_code"], done["outputs"]) == ("finished", 0, ["out.exr"])
    assert done["samples"] == done["total_samples"] == 48 * 32 * 4
    assert result.returncode == 0


def test_json_errors_are_events_too(arras_ray: Run) -> None:
    result = arras_ray("render", "missing.rdla", "--engine", "local", "--json")
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["event"], last["kind"], last["exit_code"]) == ("error", "SceneError", 3)
    assert result.returncode == 3
    assert result.stderr.startswith("arras-ray: missing.rdla: ")


def test_a_time_limit_ends_a_render_in_order(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    result = arras_ray(
        "render", scene, "--engine", "local", "--size", 160, 120, "--spp", 65536, "--time", 0.5, "-o", "out.exr"
    )
    assert result.returncode == 0, result.stderr
    assert "time is up" in result.stdout
    assert (read_exr(tmp_path / "out.exr")[0][..., 3] > 0).any()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_the_samples_so_far(number: int, start_arras_ray: Start, scene: Path, tmp_path: Path) -> None:
    running = start_arras_ray("render", scene, "--engine", "local", "--size", 640, 480, "--spp", 65536, "-o", "out.exr")
    while running.wait_for("progress")["samples"] < 640 * 480:
        pass
    running.process.send_signal(number)
    assert running.end() == 130
    done = running.events[-1]
    assert (done["event"], done["result"], done["exit_code"]) == ("done", "interrupted", 130)
    assert 0 < done["samples"] < done["total_samples"]
    pixels, _ = read_exr(tmp_path / "out.exr")
    assert np.isfinite(pixels).all()
    assert pixels[240, 320, :3].min() > 0
    assert_nothing_left(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ball.rdla", "out.exr", "tmp"]


def test_an_interrupt_while_reading_ends_at_once(start_arras_ray: Start, tmp_path: Path) -> None:
    (tmp_path / "slow.rdla").write_text("while true do end\n", encoding="utf-8")
    running = start_arras_ray("render", "slow.rdla", "--engine", "local")
    running.wait_for("step", name="reading")
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    assert running.events[-1]["event"] == "error"
    assert running.events[-1]["kind"] == "Interrupted"


def test_local_rendering_imports_neither_ray_nor_aiohttp(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("render", scene, "--engine", "local", "--quiet", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "numba" in imported
    assert not imported & {"ray", "aiohttp", "rich", "grpc"}


def test_debug_pixel_prints_a_path(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("debug-pixel", scene, 24, 16, "--sample", 2)
    assert result.returncode == 0, result.stderr
    head, columns, *vertices = result.stdout.splitlines()
    assert head == "pixel (24, 16) from the bottom-left, sample 2, picture 48x32"
    assert columns.split()[:2] == ["depth", "event"]
    assert any("/ball" in vertex for vertex in vertices)


def test_warm_says_so(arras_ray: Run) -> None:
    assert arras_ray("warm").returncode == 0
    assert arras_ray("warm").stdout == "kernels were compiled already\n"

"""Checkpoints that cannot be written, where the older one stays whole; and files that are none, with the reason."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import PLAN, SPP, film_of, write

from arras_ray import checkpoint
from arras_ray.checkpoint import read_checkpoint
from arras_ray.errors import CheckpointError, OutputError
from arras_ray.image import write_exr, write_png


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A limit on the size of files stands for a full disk: writes fail in the middle, as there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of half a render, alone in its folder."""
    path = tmp_path / "c.exr"
    write(path, [film_of(PLAN, PLAN.n_units // 2).save()])
    return path


@pytest.mark.parametrize("missing", [1, 2, 9, 100, 5000, 200_000, 400_000])
def test_a_full_disk_leaves_the_older_file(path: Path, missing: int) -> None:
    older = path.read_bytes()
    state = film_of(PLAN).save()
    write(path.with_name("whole.exr"), [state])
    whole = path.with_name("whole.exr").stat().st_size
    with files_up_to(whole - missing), pytest.raises(OutputError) as caught:
        write(path, [state])
    assert caught.value.message == f"cannot write {path}: File too large"
    assert caught.value.exit_code == 8
    assert path.read_bytes() == older
    assert sorted(p.name for p in path.parent.iterdir()) == ["c.exr", "whole.exr"]


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write(tmp_path / "gone" / "c.exr", [film_of(PLAN).save()])


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"")
    with pytest.raises(OutputError, match="Not a directory"):
        write(tmp_path / "folder" / "c.exr", [film_of(PLAN).save()])


def test_it_is_on_the_disk_before_it_takes_the_older_ones_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = path.read_bytes()
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        is_folder = os.fstat(descriptor).st_ino == path.parent.stat().st_ino
        synced.append((is_folder, path.read_bytes() == older))

    monkeypatch.setattr(os, "fsync", watched)
    write(path, [film_of(PLAN).save()])
    assert synced == [(False, True), (True, False)]


WRITES = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from checkpoint_files import PLAN, film_of, write

def wait(descriptor):
    print("written", flush=True)
    signal.pause()

os.fsync = wait
write(Path(sys.argv[1]), [film_of(PLAN).save()])
"""


def test_a_kill_in_the_middle_of_a_write_leaves_the_older_file(path: Path) -> None:
    older = path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    assert path.read_bytes() == older
    write(path, [film_of(PLAN).save()])
    assert read_checkpoint(path).spp_so_far == SPP


# Files that are no checkpoints


def refused(path: Path) -> str:
    """Why a file is refused, with FILE in the place of its name."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert caught.value.path == str(path)
    return caught.value.message.replace(str(path), "FILE")


NO_EXR = "FILE is no checkpoint: it is not an EXR file"
NO_SUMS = "FILE is no checkpoint: it is a picture without the sums it was made of"
DAMAGED = "FILE is cut off or damaged"


def test_files_of_other_kinds(tmp_path: Path) -> None:
    picture = np.ones((40, 30, 4), "f4")
    write_exr(tmp_path / "picture.exr", picture)
    write_png(tmp_path / "picture.png", picture)
    (tmp_path / "text.exr").write_text("SceneVariables {}", encoding="utf-8")
    (tmp_path / "empty.exr").write_bytes(b"")
    (tmp_path / "folder.exr").mkdir()
    assert refused(tmp_path / "picture.exr") == NO_SUMS
    assert refused(tmp_path / "picture.png") == NO_EXR
    assert refused(tmp_path / "text.exr") == NO_EXR
    assert refused(tmp_path / "empty.exr") == NO_EXR
    assert refused(tmp_path / "folder.exr") == "cannot read the checkpoint FILE: Is a directory"
    assert refused(tmp_path / "none.exr") == "cannot read the checkpoint FILE: No such file or directory"


def test_files_that_were_cut_off(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = path.read_bytes()
    for part in range(1, 50):
        path.write_bytes(whole[: part * len(whole) // 50])
        assert refused(path) == DAMAGED
    path.write_bytes(whole[:100])
    assert refused(path) == NO_SUMS
    path.write_bytes(whole[:-1])
    assert refused(path) == DAMAGED
    assert capfd.readouterr() == ("", "")


def test_files_with_one_byte_changed(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*range(4, 1500, 7), *rng.integers(1500, len(whole), 100).tolist()]:
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        assert refused(path) in (DAMAGED, NO_SUMS)
    assert capfd.readouterr() == ("", "")


def test_files_that_have_grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    assert refused(path) == DAMAGED


def test_files_of_another_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    write(path, [film_of(PLAN).save()])
    monkeypatch.undo()
    assert refused(path) == "FILE was written by another version of arras-ray: its format is 2, not 1"

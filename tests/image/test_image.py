import os
import resource
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.errors import OutputError
from arras_ray.image import (
    REC709,
    check_writable,
    read_exr,
    write_exr,
    write_image,
    write_png,
)
from arras_ray.output_file import replacing

WRITERS = {".exr": write_exr, ".png": write_png}


def picture_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 3, (height, width, 4)).astype("f4")


def decode_png(data: bytes) -> tuple[np.ndarray, list[bytes]]:
    """Rows from the top of an 8-bit RGB PNG without filters, and the kinds of its chunks; checksums are looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [8, 2, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), "u1").reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3), list(chunks)


# OpenEXR


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_float_pixels_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, h: int, w: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("exr") / "x.exr"
    picture = picture_of(h, w, seed)
    write_exr(path, picture)
    read, _ = read_exr(path)
    assert read.dtype == np.float32
    assert read.shape == picture.shape
    assert read.tobytes() == picture.tobytes()


def test_any_reader_finds_the_top_row_first(tmp_path: Path) -> None:
    picture = picture_of(5, 3)
    write_exr(tmp_path / "x.exr", picture)
    with OpenEXR.File(str(tmp_path / "x.exr"), separate_channels=True) as file:
        header, channels = dict(file.header()), file.channels()
        assert sorted(channels) == ["A", "B", "G", "R"]
        for i, name in enumerate("RGBA"):
            assert channels[name].pixels.dtype == np.float32
            assert np.array_equal(channels[name].pixels, picture[::-1, :, i])
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION
    assert header["type"] == OpenEXR.scanlineimage
    assert [corner.tolist() for corner in header["dataWindow"]] == [[0, 0], [2, 4]]


def test_half_pixels_are_rounded_and_cut_at_the_largest(tmp_path: Path) -> None:
    picture = picture_of(4, 4)
    picture[0, 0] = [1e9, -1e9, 65504, 1 / 3]
    write_exr(tmp_path / "x.exr", picture, half=True)
    with OpenEXR.File(str(tmp_path / "x.exr")) as file:
        assert file.channels()["RGBA"].pixels.dtype == np.float16
    read, _ = read_exr(tmp_path / "x.exr")
    assert read[0, 0].tolist() == [65504, -65504, 65504, np.float16(1 / 3)]
    assert np.array_equal(read[1:], picture[1:].astype("f2").astype("f4"))


def test_metadata_comes_back(tmp_path: Path) -> None:
    metadata = {
        "scene": "scenes/a.rdla, é",
        "spp": 64,
        "sync_id": 2**40,
        "seconds": 1.5,
        "mcrts": ["mcrt_i0", "mcrt_i1"],
        "versions": {"arras-ray": "0.1.0"},
        "partial": True,
        "none": None,
        "empty": [],
    }
    write_exr(tmp_path / "x.exr", picture_of(2, 2), metadata)
    _, read = read_exr(tmp_path / "x.exr")
    assert read.pop("chromaticities") == pytest.approx(REC709)
    assert read == {
        "scene": "scenes/a.rdla, é",
        "spp": 64,
        "sync_id": str(2**40),
        "seconds": 1.5,
        "mcrts": ["mcrt_i0", "mcrt_i1"],
        "versions": '{"arras-ray": "0.1.0"}',
        "partial": "true",
        "empty": "[]",
    }


def test_a_scene_whose_name_is_no_text_is_still_written(tmp_path: Path) -> None:
    write_exr(tmp_path / "x.exr", picture_of(2, 2), {"scene": b"a\xff.rdla".decode("utf-8", "surrogateescape")})
    assert read_exr(tmp_path / "x.exr")[1]["scene"] == "a?.rdla"


def test_metadata_cannot_change_how_pixels_are_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dataWindow"):
        write_exr(tmp_path / "x.exr", picture_of(2, 2), {"dataWindow": 1})
    assert not list(tmp_path.iterdir())


def test_reading_says_what_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError):
        read_exr(tmp_path / "none.exr")
    assert capfd.readouterr().err == ""
    (tmp_path / "bad.exr").write_bytes(b"no picture" * 10)
    with pytest.raises(OSError, match=r"bad\.exr"):
        read_exr(tmp_path / "bad.exr")
    OpenEXR.File({}, {"Z": np.zeros((2, 2), "f4")}).write(str(tmp_path / "z.exr"))
    with pytest.raises(ValueError, match="has channels Z"):
        read_exr(tmp_path / "z.exr")


# PNG


def test_png_is_the_picture_on_a_screen(tmp_path: Path) -> None:
    picture = np.zeros((2, 3, 4), "f4")
    picture[0, 0] = [1, 0, 0, 1]  # bottom left
    picture[1, 2] = [0.25, 0.5, 0.75, 1]  # top right
    write_png(tmp_path / "x.png", picture)
    rows, kinds = decode_png((tmp_path / "x.png").read_bytes())
    assert kinds == [b"IHDR", b"sRGB", b"IDAT", b"IEND"]
    assert rows.shape == (2, 3, 3)
    assert rows[1, 0].tolist() == [255, 0, 0]
    assert rows[0, 2].tolist() == [137, 188, 225]
    assert np.count_nonzero(rows) == 4


# Files


def test_the_name_decides_the_format(tmp_path: Path) -> None:
    picture = picture_of(2, 2)
    write_image(tmp_path / "a.EXR", picture, {"spp": 4})
    write_image(str(tmp_path / "a.png"), picture)
    assert read_exr(tmp_path / "a.EXR")[1]["spp"] == 4
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="cannot tell the format"):
        write_image(tmp_path / "a.jpg", picture)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.EXR", "a.png"]


@pytest.mark.parametrize("ending", WRITERS)
def test_what_was_there_is_replaced_and_nothing_else_left(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    WRITERS[ending](path, picture_of(3, 3))
    assert path.read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_leaves_the_old_file(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "x.exr"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            assert temporary.parent == tmp_path
            temporary.write_bytes(b"half of a")
            assert path.read_bytes() == b"old"
            raise fault

    with pytest.raises(fault):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, ending: str) -> None:
    """A limit on the size of files stands for the disk: writes fail in the middle, as there."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="cannot write") as caught:
            WRITERS[ending](path, picture_of(64, 64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 8
    assert caught.value.path == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        for ending, write in WRITERS.items():
            write(tmp_path / f"x{ending}", picture_of(2, 2))
            assert stat.S_IMODE((tmp_path / f"x{ending}").stat().st_mode) == 0o640
    finally:
        os.umask(old)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "x.exr").symlink_to(real / "y.exr")
    write_exr(tmp_path / "x.exr", picture_of(2, 2))
    assert (tmp_path / "x.exr").is_symlink()
    assert [p.name for p in real.iterdir()] == ["y.exr"]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (0, 4, 4), (4, 0, 4)])
@pytest.mark.parametrize("ending", WRITERS)
def test_refuses_other_shapes(tmp_path: Path, ending: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WRITERS[ending](tmp_path / f"x{ending}", np.zeros(shape, "f4"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", WRITERS)
def test_the_longest_name_can_be_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / ("n" * (255 - len(ending)) + ending)
    check_writable(path)
    WRITERS[ending](path, picture_of(2, 2))
    assert list(tmp_path.iterdir()) == [path]


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.exr").write_bytes(b"old")
    check_writable(tmp_path / "old.exr")
    check_writable(tmp_path / "new.png")
    assert [p.name for p in tmp_path.iterdir()] == ["old.exr"]
    assert (tmp_path / "old.exr").read_bytes() == b"old"


def test_check_writable_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "folder.exr").mkdir()
    (tmp_path / "file").write_bytes(b"")
    cases = {
        "x.jpg": "cannot tell the format",
        "x": "cannot tell the format",
        "folder.exr": "is a folder",
        "none/x.exr": "does not exist",
        "file/x.exr": "is not a folder",
        "n" * 300 + ".exr": "File name too long",
    }
    for name, why in cases.items():
        with pytest.raises(OutputError, match=why) as caught:
            check_writable(tmp_path / name)
        assert caught.value.hint
        assert caught.value.path == str(tmp_path / name)


def test_check_writable_tries_the_folder(tmp_path: Path) -> None:
    """The superuser may write anywhere but where the system has no files."""
    folder = tmp_path
    if os.geteuid() == 0:
        folder = Path("/proc/self/fdinfo")
        if not folder.is_dir():
            pytest.skip("needs /proc")
    else:
        folder.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"):
        check_writable(folder / "x.exr")


def test_importing_it_does_not_load_openexr() -> None:
    code = "import sys, arras_ray.image; sys.exit('OpenEXR' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Scenes read in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arras_ray.errors import SceneError
from arras_ray.scene import read_scene, read_scene_apart

SCENES = Path(__file__).parents[2] / "scenes"


def test_the_same_scene_as_here() -> None:
    paths = [SCENES / "cornell_box.rdla", SCENES / "rectangle.rdla"]
    context = read_scene_apart(paths)
    here = read_scene(paths)
    assert context == here
    assert [item.name for item in context] == [item.name for item in here]
    assert context.files == [str(path) for path in paths]
    assert context.new_objects == []


def test_sources_without_files() -> None:
    text = 'RectLight("l") { ["width"] = size, ["bad"] = 1 } print("hello", os.getenv("A"), os.getenv("HOME"))'
    lines: list[str] = []
    binary = read_scene_apart([("b.rdla", b"SphereLight('s')")]).to_bytes()
    context = read_scene_apart(
        [("a.rdla", text.encode()), ("b.rdlb", binary)],
        variables={"size": "2 + 3"},
        environment={"A": "given"},
        print_line=lines.append,
    )
    assert context["l"].get("width") == 5.0
    assert "s" in context
    assert [(w.file, w.line, w.object, w.attribute) for w in context.warnings] == [("a.rdla", 1, "l", "bad")]
    assert lines == ["hello\tgiven\tnil"]
    with pytest.raises(SceneError, match="no attribute named 'bad'"):
        read_scene_apart([("a.rdla", b'RectLight("l")["bad"] = 1')], strict=True)


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        ("\nlocal x = nil .. 'a'", "attempt to concatenate a nil value", 2),
        ("= 1", "Lua syntax error", 1),
        ("\nRectLigth('x')", "'RectLigth' is neither", 2),
        ("dofile('x.rdla')", "this program is in no file", 1),
    ],
)
def test_errors_come_back_as_they_are(source: str, message: str, line: int) -> None:
    with pytest.raises(SceneError) as caught:
        read_scene_apart([("name.rdla", source.encode())])
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == ("name.rdla", line)


def test_errors_of_files(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="there is no such scene file"):
        read_scene_apart([tmp_path / "no.rdla"])
    with pytest.raises(SceneError, match=r"its name ends in '\.txt'"):
        read_scene_apart([("x.txt", b"")])
    with pytest.raises(SceneError, match="no scene file was given"):
        read_scene_apart([])
    with pytest.raises(SceneError) as caught:
        read_scene_apart([("x.rdlb", b"\0" * 20)])
    assert caught.value.offset is not None
    (tmp_path / "part.rdla").write_text("RectLight('part')")
    (tmp_path / "main.rdla").write_text("dofile('part.rdla')")
    assert "part" in read_scene_apart([tmp_path / "main.rdla"])


@pytest.mark.parametrize(
    "source",
    [
        "while true do pcall(function() while true do end end) end",
        "local s = ('x'):rep(20000000) while true do local t = s .. s end",
    ],
)
def test_a_scene_that_hangs(source: str) -> None:
    begun = time.monotonic()
    with pytest.raises(SceneError, match=r"the scene was not read within 2 s") as caught:
        read_scene_apart([("a.rdla", source.encode())], seconds=2)
    assert time.monotonic() - begun < 60
    assert caught.value.file == "a.rdla"
    assert not children()


@pytest.mark.parametrize(
    "source",
    [
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "for i = 1, 1 << 40 do RectLight('light number ' .. i) end",
        "local s = ('x'):rep(1 << 26) for i = 1, 99 do RectLight('l' .. i)['label'] = s .. i end",
    ],
)
def test_a_scene_that_eats_memory(source: str) -> None:
    with pytest.raises(SceneError, match=r"memory|larger than") as caught:
        read_scene_apart([("a.rdla", source.encode())], memory=150 << 20)
    assert caught.value.file == "a.rdla"
    assert not children()


def test_a_source_that_is_larger_than_its_memory() -> None:
    with pytest.raises(SceneError, match="memory"):
        read_scene_apart([("a.rdla", b"--" + b" " * (100 << 20))], memory=50 << 20)


def test_a_large_source_and_many_lines_do_not_block_each_other() -> None:
    lines: list[str] = []
    source = b"for i = 1, 20000 do print('a line that is printed') end --" + b" " * (3 << 20)
    read_scene_apart([("a.rdla", source), ("b.rdla", source)], print_line=lines.append)
    assert len(lines) == 40_000


def test_a_child_that_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arras_ray.scene.apart._CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(SceneError, match="the process that read the scene ended by SIGSEGV"):
        read_scene_apart([("a.rdla", b"")])
    monkeypatch.setattr("arras_ray.scene.apart._CHILD", "raise SystemExit(3)")
    with pytest.raises(SceneError, match="ended with exit code 3"):
        read_scene_apart([("a.rdla", b"x" * (1 << 20))])


def children() -> list[str]:
    """Processes of this one."""
    listed = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "apart_child" in line]


PARENT = """
import sys
from arras_ray.scene.apart import read_scene_apart
read_scene_apart([("a.rdla", b"print('begun') while true do end")], seconds=600,
                 print_line=lambda line: print(line, flush=True))
"""


def test_the_child_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"begun\n"
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True)
    (child,) = map(int, listed.stdout.split())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while is_running(child) and time.monotonic() < deadline:
        pass
    assert not is_running(child)


def is_running(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")


def test_the_child_loads_no_more_than_it_needs() -> None:
    code = "import sys, arras_ray.scene.apart_child; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"ray", "numba", "embreex", "click", "rich"} & set(loaded.split())

"""Scene files that are saved while they are looked at."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from small_scenes import SmallScene
from view_scenes import PATIENCE

from arras_ray.errors import SceneError
from arras_ray.scene import SceneContext, rdlb, read_scene, write_scene
from arras_ray.view.live_files import LiveFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scene.rdla"
    small = SmallScene()
    small.light("RectLight", "panel", intensity=2.0)
    write_scene(small.context, path)
    return path


Changed = Callable[[bytes, "tuple[int, int] | None"], None]


class Watching:
    """What was handed on, applied to a scene as it was at first."""

    def __init__(self, file: Path) -> None:
        self.context: SceneContext = read_scene([file])
        self.n_changes = 0
        self.size: tuple[int, int] | None = None
        self.notes: list[str] = []
        """What is wrong with the files, as told last."""
        self._file = file

    async def after(self, change: Callable[[], object], told: Callable[[], bool], *, sized: bool = False) -> None:
        """Change something, and wait until this holds."""
        scene = read_scene([self._file]).to_bytes()
        files = LiveFiles([self._file], scene, lambda: read_scene([self._file]), sized=sized)
        change()  # a moment before somebody looks
        await self.until(told, files)

    async def until(self, told: Callable[[], object], files: LiveFiles, changed: Changed | None = None) -> None:
        """Watch these files until this holds."""
        watch = asyncio.create_task(files.watch(changed or self.changed, self._tell))
        async with asyncio.timeout(PATIENCE):
            while not told():
                await asyncio.sleep(0.01)
        watch.cancel()

    def _tell(self, problems: Sequence[str]) -> None:
        self.notes = list(problems)

    def changed(self, delta: bytes, size: tuple[int, int] | None) -> None:
        self.size = size
        rdlb.decode(delta, self.context)
        self.n_changes += 1


def test_a_saved_file_is_handed_on_as_what_has_changed(file: Path) -> None:
    watching = Watching(file)
    watching.context["camera"].set("focal", 22.0)  # moved by somebody; the file does not say otherwise
    text = file.read_text()
    asyncio.run(
        watching.after(
            lambda: file.write_text(text.replace('["intensity"] = 2', '["intensity"] = 7')),
            lambda: watching.n_changes == 1,
        )
    )
    assert watching.context["panel"].get("intensity") == 7.0
    assert watching.context["camera"].get("focal") == 22.0
    assert not watching.notes


def test_a_file_that_cannot_be_read_is_told_and_the_next_one_counts(file: Path) -> None:
    watching = Watching(file)
    text = file.read_text()

    def spoil() -> None:
        file.write_text(text + "\nRectLight(")

    told: list[str] = []

    def mended() -> bool:
        if watching.notes and not told:
            told.extend(watching.notes)
            assert not watching.n_changes
            file.write_text(text.replace('["intensity"] = 2', '["intensity"] = 7'))
        return watching.n_changes == 1

    asyncio.run(watching.after(spoil, mended))
    assert "cannot be taken over" in told[0]
    assert "scene.rdla" in told[0]
    assert watching.notes == []
    assert watching.context["panel"].get("intensity") == 7.0


def test_what_cannot_be_taken_over_is_told_until_it_is_back(file: Path) -> None:
    watching = Watching(file)
    text = file.read_text()
    told: list[str] = []

    def back() -> bool:
        if watching.notes and not told:
            told.extend(watching.notes)
            file.write_text(text.replace('["intensity"] = 2,', ""))  # 1, as it is where nobody says anything
        return bool(told) and not watching.notes

    without = SmallScene().context
    asyncio.run(watching.after(lambda: write_scene(without, file), back))
    assert "panel" in told[0]
    assert "start the view again" in told[0]
    assert watching.context["panel"].get("intensity") == 1.0


def test_warnings_of_a_saved_file_are_told(file: Path) -> None:
    watching = Watching(file)
    text = file.read_text()
    wrong = text.replace('["intensity"] = 2', '["intensity"] = "bright"')
    asyncio.run(watching.after(lambda: file.write_text(wrong), lambda: bool(watching.notes)))
    assert "panel.intensity: expected a number" in watching.notes[0]


def test_a_file_that_was_saved_while_it_was_read_is_read_again(file: Path) -> None:
    watching = Watching(file)
    read_at = time.time()
    scene = read_scene([file]).to_bytes()
    file.write_text(file.read_text().replace('["intensity"] = 2', '["intensity"] = 7'))

    files = LiveFiles([file], scene, lambda: read_scene([file]), read_at=read_at)
    asyncio.run(watching.until(lambda: watching.n_changes, files))
    assert watching.context["panel"].get("intensity") == 7.0


@pytest.mark.parametrize(("sized", "expected"), [(False, (150, 75)), (True, None)], ids=["the scene's", "its own"])
def test_a_size_that_is_the_scenes_follows_it(file: Path, sized: bool, expected: tuple[int, int] | None) -> None:
    watching = Watching(file)
    text = file.read_text() + 'SceneVariables { ["image_width"] = 300, ["image_height"] = 150, ["res"] = 2 }\n'
    asyncio.run(watching.after(lambda: file.write_text(text), lambda: watching.n_changes == 1, sized=sized))
    assert watching.size == expected


def test_what_could_not_be_applied_comes_with_the_next_save(file: Path) -> None:
    watching = Watching(file)
    text = file.read_text()
    tries: list[bytes] = []

    def refuse_once(delta: bytes, size: tuple[int, int] | None) -> None:
        tries.append(delta)
        if len(tries) == 1:
            file.write_text(text.replace('["intensity"] = 2', '["intensity"] = 7') + "-- again")
            raise SceneError("not now")
        watching.changed(delta, size)

    files = LiveFiles([file], read_scene([file]).to_bytes(), lambda: read_scene([file]))
    file.write_text(text.replace('["intensity"] = 2', '["intensity"] = 7'))
    asyncio.run(watching.until(lambda: watching.n_changes, files, refuse_once))
    assert watching.context["panel"].get("intensity") == 7.0


def test_a_size_that_cannot_be_is_told(file: Path) -> None:
    watching = Watching(file)
    text = file.read_text() + 'SceneVariables { ["image_width"] = 1000000 }\n'
    asyncio.run(watching.after(lambda: file.write_text(text), lambda: bool(watching.notes)))
    assert "1000000 x" in watching.notes[0]
    assert not watching.n_changes


def test_a_file_that_is_still_being_written_is_waited_for(file: Path) -> None:
    watching = Watching(file)
    told: list[list[str]] = []
    text = file.read_text().replace('["intensity"] = 2', '["intensity"] = 7')

    async def test() -> None:
        files = LiveFiles([file], read_scene([file]).to_bytes(), lambda: read_scene([file]))
        watch = asyncio.create_task(files.watch(watching.changed, lambda problems: told.append(list(problems))))
        with file.open("w") as half:
            for line in text.splitlines(keepends=True):  # each of them a whole program so far, or none
                half.write(line)
                half.flush()
                await asyncio.sleep(0.03)
        async with asyncio.timeout(PATIENCE):
            while not watching.n_changes:
                await asyncio.sleep(0.01)
        watch.cancel()

    asyncio.run(test())
    assert told == [[]]
    assert watching.context["panel"].get("intensity") == 7.0


def test_reading_that_takes_for_ever_holds_up_nobodys_end(file: Path) -> None:
    program = f"""
import asyncio, threading
from pathlib import Path
from arras_ray.view.live_files import LiveFiles

reads = threading.Event()

def read():
    reads.set()
    threading.Event().wait()

async def main():
    path = Path({str(file)!r})
    files = LiveFiles([path], b"", read)
    files._shown = object()
    path.write_text(path.read_text() + " ")
    watch = asyncio.create_task(files.watch(print, print))
    while not reads.is_set():
        await asyncio.sleep(0.01)
    watch.cancel()

asyncio.run(main())
print("ended")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert ran.stdout == "ended\n", ran.stderr

"""Every row of the documented table of keys and mouse, done in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from view_scenes import balls, until

pytest.importorskip("selenium")

from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.mouse_button import MouseButton
from selenium.webdriver.common.keys import Keys
from view_browser import OPTIONS, SIZE, Browser

from arras_ray.engine import from_context

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromedriver here"),
]

Row = Callable[[Browser], None]


def documented() -> list[tuple[str, str]]:
    """The rows of the table: keys or mouse, and what happens."""
    page = (Path(__file__).parents[2] / "docs" / "view.md").read_text("utf-8")
    table = page.partition("| keys or mouse |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    return [(keys.strip().replace("\\`", "`"), text.strip()) for keys, text in rows]


def moves(do: Callable[[Browser], None], *, turns: bool | None = None) -> Row:
    """The camera is elsewhere afterwards, its axes still at right angles. turns: whether they are others now."""

    def row(browser: Browser) -> None:
        before = browser.matrix
        do(browser)
        until(lambda: not np.allclose(browser.matrix, before), "the camera to move")
        axes = browser.matrix[:3, :3]
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        assert turns is None or turns != np.allclose(axes, before[:3, :3])

    return row


def drags(button: MouseButton, *held: str, turns: bool) -> Row:
    return moves(lambda browser: browser.drag(30, 20, *held, button=button), turns=turns)


def flies(key: str, axis: int, sign: int) -> Row:
    """A key that is held moves the camera along one of its axes and turns it nowhere."""

    def row(browser: Browser) -> None:
        before = browser.matrix
        ActionChains(browser.driver, duration=0).key_down(key).perform()
        until(lambda: not np.allclose(browser.matrix[3], before[3]), "the camera to fly")
        ActionChains(browser.driver, duration=0).key_up(key).perform()
        np.testing.assert_allclose(browser.matrix[:3, :3], before[:3, :3], atol=1e-12)
        along = before[:3, :3] @ (browser.matrix[3, :3] - before[3, :3])
        assert along[axis] * sign > 0
        np.testing.assert_allclose(np.delete(along, axis), 0.0, atol=1e-9)

    return row


def shows(channel: str, key: str) -> Row:
    def row(browser: Browser) -> None:
        browser.press("3" if channel != "b" else "1")
        browser.press(key)
        assert browser.get("channel") == channel

    return row


def exposes(do: Callable[[Browser], None], expected: Callable[[float, float], bool], what: str = "exposure") -> Row:
    """Exposure, or gamma, as a number, before and after."""

    def row(browser: Browser) -> None:
        before = browser.get(what)
        do(browser)
        assert expected(before, browser.get(what)), (before, browser.get(what))

    return row


def speeds(key: str, factor: float) -> Row:
    def speed(browser: Browser) -> float:
        return float(browser.text("flying").rpartition(" ")[2])

    def row(browser: Browser) -> None:
        before = speed(browser)
        browser.press(key)
        until(lambda: speed(browser) == before * factor, "another speed")

    return row


def looks_at_the_scene(browser: Browser) -> bool:
    """Whether the middle of the picture has the scene's centre; it lies at about -0.2 along z."""
    away = np.array([0.0, 0.0, -0.5]) - browser.matrix[3, :3]
    forward = -browser.matrix[2, :3]
    return float(forward @ away) > 0.98 * float(np.linalg.norm(away))


def recentres(browser: Browser) -> None:
    browser.press("o")  # in the free camera a drag turns it away
    browser.drag(150, 0)
    assert not looks_at_the_scene(browser)
    place = browser.matrix[3]
    browser.press("f")
    assert looks_at_the_scene(browser)
    np.testing.assert_array_equal(browser.matrix[3], place)
    browser.press("o")


def frames(browser: Browser) -> None:
    browser.drag(0, 200, button=MouseButton.RIGHT)
    before = browser.matrix
    browser.press("f", Keys.SHIFT)
    assert looks_at_the_scene(browser)
    np.testing.assert_allclose(browser.matrix[:3, :3], before[:3, :3], atol=1e-9)
    assert not np.allclose(browser.matrix[3], before[3])


def refocuses(browser: Browser) -> None:
    """The camera goes about what was seen there, and sees it in the same place."""
    browser.press("r")
    browser.press("i")
    browser.point(300, -200)
    browser.click_with_ctrl()
    until(lambda: "nothing under the pointer" in browser.text("notes"), "the notice beside the picture")
    x, y = (int(word) for word in browser.pixel_beside_the_middle().split()[1:4:2])
    browser.click_with_ctrl()
    until(lambda: "pivot is under the pointer" in browser.text("notes"), "the notice")

    def seen() -> np.ndarray:
        context = balls().context
        context["camera"].set("node_xform", browser.matrix)
        return np.array(from_context(context, OPTIONS).locate((x + 0.5) / SIZE[0], (y + 0.5) / SIZE[1]))

    place, before = seen(), browser.matrix
    assert np.linalg.norm(place) == pytest.approx(0.7, abs=1e-3)  # on the ball
    browser.drag(60, 20)
    assert not np.allclose(browser.matrix, before, atol=0.1)
    np.testing.assert_allclose(seen(), place, atol=0.03)  # a pixel's width

    def distance() -> float:
        return float(np.linalg.norm(browser.matrix[3, :3] - place))

    away = distance()
    browser.drag_with_both(80, 0, Keys.ALT)
    browser.drag(-60, -20)
    assert distance() == pytest.approx(away, abs=1e-3)  # a roll leaves the pivot in its place
    browser.press("i")


def toggles_the_camera(browser: Browser) -> None:
    browser.press("o")
    until(lambda: "free" in browser.text("flying"), "the free camera")
    drags(MouseButton.LEFT, turns=True)(browser)
    place = browser.matrix[3]
    browser.drag(30, 20)
    np.testing.assert_allclose(browser.matrix[3], place, rtol=1e-12)  # it turns about its own place
    browser.press("o")
    until(lambda: "orbit" in browser.text("flying"), "the orbiting camera")


def resets(browser: Browser) -> None:
    browser.press("r")
    first = browser.matrix
    browser.drag(30, 20)
    assert not np.allclose(browser.matrix, first)
    browser.press("r")
    np.testing.assert_array_equal(browser.matrix, first)


def uprights(browser: Browser) -> None:
    browser.drag_with_both(60, 0, Keys.ALT)
    assert abs(browser.matrix[0, 1]) > 0.05
    browser.press("u")
    assert abs(browser.matrix[0, 1]) < 1e-9


def moves_the_picture(button: MouseButton) -> Row:
    def row(browser: Browser) -> None:
        browser.press("i")
        before = browser.pixel_beside_the_middle()
        camera = browser.matrix
        browser.drag(40, 0, Keys.SHIFT, button=button)
        assert browser.pixel_beside_the_middle() != before
        np.testing.assert_array_equal(browser.matrix, camera)
        browser.press("=")
        assert browser.pixel_beside_the_middle() == before
        browser.press("i")

    return row


def zooms(browser: Browser) -> None:
    def scale() -> str:
        return browser.text("shown").rpartition(", ")[2]

    before = scale()
    browser.wheel(-200)
    until(lambda: scale() != before, "another scale")
    browser.press("=")
    until(lambda: scale() == before, "the scale that fits")


def inspects(browser: Browser) -> None:
    browser.press("i")
    browser.point(0, 0)
    browser.point(1, 0)
    until(lambda: "R " in browser.text("inspector"), "the inspector")
    words = browser.text("inspector").split()
    x, y, *shown = (float(words[words.index(name) + 1]) for name in ("x", "y", "R", "G", "B", "A"))
    np.testing.assert_allclose(shown, browser.get(f"pixel({x}, {y})"), rtol=1e-3)
    browser.press("i")
    until(lambda: not browser.driver.find_element("id", "inspector").is_displayed(), "the inspector to go")


def outlines(browser: Browser) -> None:
    browser.press("p")
    assert browser.get("grid") is True
    browser.painted()
    browser.press("p")
    assert browser.get("grid") is False


def saves(downloads: Path) -> Row:
    def row(browser: Browser) -> None:
        browser.press("k")
        (png,) = until(lambda: list(downloads.glob("*.png")), "the download")
        with Image.open(png) as image:
            assert image.size == tuple(browser.driver.execute_script("return [innerWidth, innerHeight]"))
            assert len(image.getcolors(1 << 20) or []) > 10

    return row


def prints_the_camera(browser: Browser) -> None:
    browser.press("t")
    script = "return document.querySelector('#camera-text textarea').value"
    text = until(lambda: browser.driver.execute_script(script), "the text")
    numbers = [float(number) for number in text.partition("Mat4(")[2].partition(")")[0].split(",")]
    assert text.startswith('PerspectiveCamera("camera")')
    np.testing.assert_array_equal(np.reshape(numbers, (4, 4)), browser.matrix)
    browser.press(Keys.ESCAPE)


def opens(key: str, text: str) -> Row:
    def row(browser: Browser) -> None:
        browser.press(key)
        until(lambda: text in browser.text(), "the panel")
        browser.press(key)
        until(lambda: text not in browser.text(), "the panel to go")

    return row


def closes_panels(browser: Browser) -> None:
    for key in ("i", "h", "m"):
        browser.press(key)
    until(lambda: browser.text("inspector") and "mcrt_i0" in browser.text(), "two panels")
    assert "pixel inspector" not in browser.text()  # where the machines are now
    browser.press(Keys.ESCAPE)
    until(lambda: not browser.text("inspector") and "mcrt_i0" not in browser.text(), "both to go")


LEFT, MIDDLE, RIGHT = MouseButton.LEFT, MouseButton.MIDDLE, MouseButton.RIGHT

ROWS: dict[str, Row] = {
    "x + left drag": exposes(lambda b: b.drag(100, 0, "x"), lambda old, new: new > old),
    "y + left drag": exposes(lambda b: b.drag(100, 0, "y"), lambda old, new: isinstance(new, float), "gamma"),
    "Alt + left drag": drags(LEFT, Keys.ALT, turns=True),
    "Alt + middle drag": drags(MIDDLE, Keys.ALT, turns=False),
    "Alt + right drag": drags(RIGHT, Keys.ALT, turns=False),
    "Alt + left and right drag": moves(lambda b: b.drag_with_both(30, 0, Keys.ALT), turns=True),
    "left drag": drags(LEFT, turns=True),
    "middle drag": drags(MIDDLE, turns=False),
    "right drag": drags(RIGHT, turns=False),
    "Alt + wheel": moves(lambda b: b.wheel(-100, Keys.ALT), turns=False),
    "Ctrl + left click": refocuses,
    "f": recentres,
    "Shift + f": frames,
    "o": toggles_the_camera,
    "w, held": flies("w", 2, -1),
    "s, held": flies("s", 2, 1),
    "a, held": flies("a", 0, -1),
    "d, held": flies("d", 0, 1),
    "Space, held": flies(" ", 1, 1),
    "c, held": flies("c", 1, -1),
    "q": speeds("q", 0.5),
    "e": speeds("e", 2.0),
    "r": resets,
    "u": uprights,
    "`": shows("rgb", "`"),
    "1": shows("r", "1"),
    "2": shows("g", "2"),
    "3": shows("b", "3"),
    "4": shows("a", "4"),
    "5": shows("luminance", "5"),
    "7": shows("normalised", "7"),
    "Shift + Arrow up": exposes(lambda b: b.press(Keys.ARROW_UP, Keys.SHIFT), lambda old, new: new == old + 1),
    "Shift + Arrow down": exposes(lambda b: b.press(Keys.ARROW_DOWN, Keys.SHIFT), lambda old, new: new == old - 1),
    "Shift + x": exposes(lambda b: b.press("x", Keys.SHIFT), lambda old, new: old != 0 and new == 0),
    "Shift + y": exposes(lambda b: b.press("y", Keys.SHIFT), lambda old, new: old != new == "sRGB", "gamma"),
    "wheel": zooms,
    "Shift + middle drag": moves_the_picture(MIDDLE),
    "Shift + left drag": moves_the_picture(LEFT),
    "=": zooms,
    "i": inspects,
    "p": outlines,
    "t": prints_the_camera,
    "m": opens("m", "mcrt_i0"),
    "h": opens("h", "pixel inspector"),
    "Escape": closes_panels,
}
"""In the order of the table: some rows build on those before."""


def test_every_row_of_the_table_does_what_it_says(browser: Browser, downloads: Path) -> None:
    rows = ROWS | {"k": saves(downloads)}
    assert set(rows) == {keys for keys, _ in documented()}
    for keys, row in rows.items():
        try:
            row(browser)
        except Exception as error:
            error.add_note(f"the row of {keys}")
            raise
    assert not browser.text("error")  # as when a shader does not compile


def test_the_help_has_the_rows_of_the_documentation(browser: Browser) -> None:
    browser.press("h")
    script = "return [...document.querySelectorAll('#help tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    shown = until(lambda: browser.driver.execute_script(script), "the help")
    assert sorted(tuple(row) for row in shown) == sorted(documented())

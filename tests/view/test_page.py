"""The page in a real browser: what it draws, and every row of its table of keys and drags."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_scenes import translate
from view_scenes import balls, until

from arras_ray.engine import from_context
from arras_ray.frame_receiver import to_8bit
from arras_ray.local_render import LocalRender
from arras_ray.local_view import LocalView
from arras_ray.scene import SceneContext
from arras_ray.view import ViewServer

webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.actions.mouse_button import MouseButton  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromedriver here")

SIZE = (320, 200)
OPTIONS = {"width": SIZE[0], "height": SIZE[1], "spp": 4}

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--window-size=1000,700",
)


class Browser:
    """A browser that looks at a render."""

    def __init__(self, driver: Any, server: ViewServer) -> None:
        self.driver = driver
        self.server = server

    def open(self, link: str, sync_id: int = 1) -> None:
        self.driver.get(link)
        until(lambda: self.get("connected"), "the connection")
        self.drawn(sync_id)

    def get(self, what: str) -> Any:
        """A value of the page's test surface."""
        return self.driver.execute_script(f"return window.arrasView ? window.arrasView.{what} : null")

    def drawn(self, sync_id: int) -> None:
        """Wait until this scene is drawn, every pixel of it."""
        until(lambda: (self.get("syncId") or 0) >= sync_id and self.get("covered(1)"), f"scene {sync_id} to be drawn")

    @property
    def canvas(self) -> Any:
        return self.driver.find_element("id", "picture")

    def press(self, key: str, *held: str) -> None:
        chain = ActionChains(self.driver, duration=0)
        for modifier in held:
            chain.key_down(modifier)
        chain.send_keys(key)
        for modifier in reversed(held):
            chain.key_up(modifier)
        chain.perform()

    def drag(self, x: int, y: int, *held: str, button: MouseButton = MouseButton.LEFT) -> None:
        """From the middle of the canvas, with keys held down."""
        chain = ActionChains(self.driver, duration=0)
        for key in held:
            chain.key_down(key)
        chain.move_to_element(self.canvas)
        chain.w3c_actions.pointer_action.pointer_down(button=button)
        chain.move_by_offset(x, y)
        chain.w3c_actions.pointer_action.pointer_up(button=button)
        for key in reversed(held):
            chain.key_up(key)
        chain.perform()

    @property
    def matrix(self) -> np.ndarray:
        return np.array(self.get("matrix")).reshape(4, 4)

    def pixels(self) -> np.ndarray:
        """(height, width, 4), rows from the bottom up, linear."""
        script = (
            "const v = window.arrasView, rows = [];"
            f"for (let y = 0; y < {SIZE[1]}; y += 10) for (let x = 0; x < {SIZE[0]}; x += 10) rows.push(v.pixel(x, y));"
            "return rows"
        )
        return np.array(self.driver.execute_script(script)).reshape(SIZE[1] // 10, SIZE[0] // 10, 4)

    def screenshot(self) -> np.ndarray:
        """The picture as it is on the screen: (height, width, 3) 0 to 255, rows from the bottom up."""
        script = """
            const [png, width, height, done] = arguments, image = new Image();
            image.onload = () => {
              const bottom = document.getElementById("bar").getBoundingClientRect().top;
              const x = Math.round((innerWidth - width) / 2), y = Math.round((bottom - height) / 2);
              const context = new OffscreenCanvas(width, height).getContext("2d");
              context.drawImage(image, -x, -y);
              done(Array.from(context.getImageData(0, 0, width, height).data));
            };
            image.src = "data:image/png;base64," + png;
        """
        data = self.driver.execute_async_script(script, self.driver.get_screenshot_as_base64(), *SIZE)
        return np.array(data).reshape(SIZE[1], SIZE[0], 4)[::-1, :, :3]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    profile = tempfile.mkdtemp(prefix="profile-")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def context() -> SceneContext:
    return balls().context


@pytest.fixture
def browser(driver: Any, context: SceneContext) -> Iterator[Browser]:
    engine = from_context(SceneContext.from_bytes(context.to_bytes()), OPTIONS, 2)
    with LocalView(engine, 2, options=OPTIONS) as render, ViewServer(render, context) as server:
        page = Browser(driver, server)
        page.open(server.link)
        yield page
        driver.get("about:blank")


def picture(context: SceneContext) -> np.ndarray:
    """Every tenth pixel of the finished picture of a scene."""
    copy = SceneContext.from_bytes(context.to_bytes())
    return LocalRender(from_context(copy, OPTIONS), 1).final()[::10, ::10]


def seen(browser: Browser, context: SceneContext) -> bool:
    return bool(np.allclose(browser.pixels(), picture(context), rtol=1e-3, atol=1e-6))


def test_a_picture_is_seen_and_turned(browser: Browser, context: SceneContext) -> None:
    until(lambda: seen(browser, balls().context), "the picture")
    browser.drag(60, -20, Keys.ALT)
    browser.drawn(2)
    moved = balls().context
    moved["camera"].set("node_xform", browser.matrix)
    assert not np.allclose(browser.matrix, translate(0.0, 0.0, 5.0), atol=0.1)
    until(lambda: seen(browser, moved), "the picture from there")
    assert browser.get("latencies")


@pytest.mark.slow
def test_what_is_on_the_screen_is_the_picture(browser: Browser) -> None:
    finished = LocalRender(from_context(balls().context, OPTIONS), 1).final()
    until(lambda: seen(browser, balls().context), "the picture")

    def differs(stops: float) -> int:
        expected = to_8bit(finished[..., :3] * 2.0**stops).astype(int)
        return int(np.abs(browser.screenshot() - expected).max())

    until(lambda: differs(0.0) <= 1, "the picture on the screen")
    browser.press(Keys.ARROW_UP, Keys.SHIFT)
    until(lambda: differs(1.0) <= 1, "the picture, a stop brighter")


KEYS: list[tuple[str, tuple[str, ...], Callable[[Browser], Any], Any]] = [
    ("1", (), lambda b: b.get("channel"), "r"),
    ("2", (), lambda b: b.get("channel"), "g"),
    ("3", (), lambda b: b.get("channel"), "b"),
    ("5", (), lambda b: b.get("channel"), "luminance"),
    ("7", (), lambda b: b.get("channel"), "normalised"),
    ("`", (), lambda b: b.get("channel"), "rgb"),
    (Keys.ARROW_DOWN, (Keys.SHIFT,), lambda b: b.get("exposure"), -1),
    ("x", (Keys.SHIFT,), lambda b: b.get("exposure"), 0),
    ("y", (Keys.SHIFT,), lambda b: b.get("gamma"), "sRGB"),
]


@pytest.mark.slow
def test_the_keys_of_the_display(browser: Browser) -> None:
    for key, held, value, expected in KEYS:
        browser.press(key, *held)
        assert value(browser) == expected, key
    browser.drag(100, 0, "x")
    assert browser.get("exposure") > 0
    browser.drag(100, 0, "y")
    assert browser.get("gamma") != "sRGB"


@pytest.mark.slow
def test_the_keys_and_drags_of_the_camera(browser: Browser) -> None:
    start = browser.matrix
    drags = [
        (Keys.ALT, MouseButton.LEFT),
        (Keys.ALT, MouseButton.MIDDLE),
        (Keys.ALT, MouseButton.RIGHT),
        ("", MouseButton.LEFT),
        ("", MouseButton.MIDDLE),
        ("", MouseButton.RIGHT),
    ]
    for held, button in drags:
        before = browser.matrix
        browser.drag(30, 20, *([held] if held else []), button=button)
        until(lambda before=before: not np.allclose(browser.matrix, before), f"{held!r} and button {button}")
        axes = browser.matrix[:3, :3]
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    browser.press("r")
    np.testing.assert_array_equal(browser.matrix, start)
    browser.press("o")
    for key in ("w", "s", "a", "d", " ", "c"):
        before = browser.matrix
        ActionChains(browser.driver, duration=0).key_down(key).perform()
        until(lambda before=before: not np.allclose(browser.matrix[3], before[3]), f"the key {key!r}")
        ActionChains(browser.driver, duration=0).key_up(key).perform()
        np.testing.assert_array_equal(browser.matrix[:3, :3], before[:3, :3])
    for key, held in (("f", ()), ("f", (Keys.SHIFT,)), ("u", ())):
        browser.press(key, *held)
    away = np.array([0.0, 0.0, -1.5]) - browser.matrix[3, :3]
    assert float(-browser.matrix[2, :3] @ away) > 0  # it looks at the scene
    browser.press("t")
    text = browser.driver.execute_script(
        "return document.body.innerText + [...document.querySelectorAll('textarea')].map(t => t.value)"
    )
    assert 'PerspectiveCamera("camera")' in text


@pytest.mark.slow
def test_the_help_has_the_rows_of_the_documentation(browser: Browser) -> None:
    browser.press("h")
    script = "return [...document.querySelectorAll('#help tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    shown = until(lambda: browser.driver.execute_script(script), "the help")
    page = (Path(__file__).parents[2] / "docs" / "view.md").read_text("utf-8")
    table = page.partition("| keys or mouse |")[2].partition("\n\n")[0]
    documented = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in table.splitlines()[2:]]
    assert sorted(tuple(row) for row in shown) == sorted((keys.replace("\\`", "`"), text) for keys, text in documented)


@pytest.mark.slow
def test_panels_open_and_close(browser: Browser) -> None:
    def shown() -> str:
        text: str = browser.driver.find_element("tag name", "body").text
        return text

    browser.press("h")
    until(lambda: "pixel inspector" in shown(), "the help")
    browser.press(Keys.ESCAPE)
    until(lambda: "pixel inspector" not in shown(), "the end of the help")
    browser.press("m")
    until(lambda: "mcrt_i0" in shown(), "the machines")


@pytest.mark.slow
def test_a_watcher_sees_and_cannot_steer(browser: Browser) -> None:
    browser.driver.delete_all_cookies()
    browser.open(browser.server.watch_link)
    before = browser.matrix
    browser.drag(60, -20, Keys.ALT)
    browser.press("r")
    np.testing.assert_array_equal(browser.matrix, before)
    assert "watching" in browser.driver.find_element("tag name", "body").text.lower()

"""The page in a real browser: what it draws, and who may do what."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from small_scenes import translate
from view_scenes import balls, until

from arras_ray.engine import from_context
from arras_ray.errors import ClusterError
from arras_ray.frame_receiver import to_8bit
from arras_ray.local_render import LocalRender
from arras_ray.scene import SceneContext

pytest.importorskip("selenium")

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from view_browser import OPTIONS, SIZE, Browser

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromedriver here")


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
    until(lambda: browser.text("fps") == "0 fps", "the rate of a picture that is finished")


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


@pytest.mark.slow
def test_the_bar_starts_pauses_stops_and_scales_the_render_and_colours_a_light(browser: Browser) -> None:
    def button(state: str) -> Any:
        return browser.driver.find_element("css selector", f"[data-play={state}]")

    def plays(state: str) -> None:
        until(lambda: button(state).get_attribute("aria-pressed") == "true", f"the render to be {state}")

    plays("rendering")
    for state in ("paused", "rendering", "stopped"):
        button(state).click()
        plays(state)
    Select(browser.driver.find_element("id", "divisor")).select_by_value("2")
    browser.drawn(2)
    plays("rendering")  # an edit goes on
    assert browser.get(f"pixel({SIZE[0] // 2 - 1}, {SIZE[1] // 2 - 1})") is not None
    assert browser.get(f"pixel({SIZE[0] // 2}, 0)") is None
    Select(browser.driver.find_element("id", "divisor")).select_by_value("1")
    browser.drawn(3)
    browser.driver.execute_script(
        "const light = document.querySelector('#lights input'); light.value = '#ff0000';"
        "light.dispatchEvent(new Event('input'))"
    )
    red = balls().context
    red["panel"].set("color", (1.0, 0.0, 0.0))
    until(lambda: seen(browser, red), "the picture in red light")


@pytest.mark.slow
def test_the_last_colour_of_many_is_the_one(browser: Browser) -> None:
    """Also where the server tells of an earlier one meanwhile."""
    drag = """
        const [last, done] = arguments, picker = document.querySelector("#lights input");
        let n = 0;
        const timer = setInterval(() => {
          picker.value = ++n < 40 ? `#${(0x101010 * (n % 16)).toString(16).padStart(6, "0")}` : last;
          picker.dispatchEvent(new Event("input"));
          if (n === 40) { clearInterval(timer); done(); }
        }, 7);
    """
    for last in ("#9b59a8", "#20ff80", "#ff0040", "#4060ff", "#c0c0c0", "#ffff00", "#008080", "#a0522d"):
        browser.driver.execute_async_script(drag, last)
        expected = balls().context
        expected["panel"].set("color", browser.driver.execute_script(
            "return import('/page/display.js').then(({ fromHex }) => fromHex(arguments[0]))", last))  # fmt: skip
        until(lambda expected=expected: seen(browser, expected), "the last colour")  # type: ignore[misc]
        assert browser.driver.find_element("css selector", "#lights input").get_attribute("value") == last


@pytest.mark.slow
@pytest.mark.parametrize("error", [None, ClusterError("the head is gone")], ids=["as it should", "by an error"])
def test_the_end_of_a_view_is_told(browser: Browser, error: ClusterError | None) -> None:
    browser.server.__exit__(type(error), error, None)
    until(lambda: browser.text("connection") == "ended", "the end")
    assert ("the head is gone" in browser.text("notes")) == (error is not None)


@pytest.mark.slow
def test_a_bright_light_stays_as_bright(browser: Browser) -> None:
    """Its colour is chosen among those that a screen can show."""
    page = browser.driver
    steering = browser.server._steering
    delta = SceneContext.from_bytes(steering.context.to_bytes())
    delta.commit()
    delta["panel"].set("color", (8.0, 4.0, 2.0))
    encoded = delta.delta().to_rdlb()
    browser.server._loop.call_soon_threadsafe(steering.apply, encoded)
    picker = page.find_element("css selector", "#lights input")
    until(lambda: picker.get_attribute("value") == "#ffbc89", "the hue of the light")
    page.execute_script("arguments[0].value = '#00ff00'; arguments[0].dispatchEvent(new Event('input'))", picker)
    green = balls().context
    green["panel"].set("color", (0.0, 8.0, 0.0))
    until(lambda: seen(browser, green), "the picture in green light")
    assert picker.get_attribute("value") == "#00ff00"


@pytest.mark.slow
def test_a_motion_goes_on_whatever_the_server_tells_meanwhile(browser: Browser) -> None:
    """Colours make it tell the scene, with the camera as it has heard of it."""
    browser.press("i")
    x, y = (int(word) for word in browser.pixel_beside_the_middle().split()[1:4:2])
    browser.click_with_ctrl()
    until(lambda: "pivot is under the pointer" in browser.text("notes"), "the pivot")
    engine = from_context(balls().context, OPTIONS)
    pivot = np.array(engine.locate((x + 0.5) / SIZE[0], (y + 0.5) / SIZE[1]))
    away = np.linalg.norm(browser.matrix[3, :3] - pivot)
    orbit = """
        const [done] = arguments, canvas = document.getElementById("picture");
        const picker = document.querySelector("#lights input");
        const move = (type, x, buttons) => canvas.dispatchEvent(new PointerEvent(type, {
          bubbles: true, clientX: x, clientY: 300, buttons, button: 0, pointerId: 1, isPrimary: true }));
        let n = 0;
        move("pointerdown", 500, 1);
        const timer = setInterval(() => {
          move("pointermove", 500 + 3 * ++n, 1);
          if (n % 4 === 0) {
            picker.value = n % 8 ? "#ff8040" : "#80c0ff";
            picker.dispatchEvent(new Event("input"));
          }
          if (n === 120) { clearInterval(timer); move("pointerup", 860, 0); done(); }
        }, 8);
    """
    browser.driver.execute_async_script(orbit)
    turned = browser.matrix
    heading = np.arctan2(turned[2, 0], turned[2, 2])
    assert abs(heading) == pytest.approx(360 * 0.005, abs=1e-6)  # no step of it is lost
    assert np.linalg.norm(turned[3, :3] - pivot) == pytest.approx(away, abs=1e-3)


def test_pixels_may_come_as_jpeg_and_exact_again(browser: Browser) -> None:
    expected = picture(balls().context)
    until(lambda: seen(browser, balls().context), "the picture")
    coding = Select(browser.driver.find_element("id", "coding"))

    def off(stops: float) -> float:
        """How far what is shown is from the picture, on average, as a screen has it."""
        shown, right = (np.minimum(rgba[..., :3] * 2.0**stops, 1.0) for rgba in (browser.pixels(), expected))
        return float(np.abs(shown - right).mean())

    coding.select_by_value("jpeg")
    until(lambda: 0.0 < off(0.0) < 0.01 and not seen(browser, balls().context), "the picture as JPEG")
    dark = browser.pixels()
    browser.press(Keys.ARROW_UP, Keys.SHIFT)
    until(lambda: 0.0 < off(1.0) < 0.01 and not np.array_equal(browser.pixels(), dark), "another one, a stop brighter")
    np.testing.assert_allclose(browser.pixels()[..., 3], expected[..., 3], atol=0.02)
    browser.drag(60, -20, Keys.ALT)
    browser.drawn(2)
    coding.select_by_value("half")
    moved = balls().context
    moved["camera"].set("node_xform", browser.matrix)
    until(lambda: seen(browser, moved), "the picture from there, exact")


@pytest.mark.slow
def test_warnings_stand_as_long_as_they_hold_or_until_they_are_dismissed(browser: Browser) -> None:
    until(lambda: seen(browser, balls().context), "the picture")
    script = """
        const [told, done] = arguments;
        import("/page/notes.js").then(({ showWarnings }) => {
          done(told.map((texts) => {
            if (texts === "dismiss") document.querySelector("#warnings button").click();
            else showWarnings(texts);
            return [...document.querySelectorAll("#warnings li")].map((item) => item.firstChild.textContent);
          }));
        });
    """
    told = [["a", "b"], ["b"], "dismiss", ["b"], [], ["b"]]
    shown = browser.driver.execute_async_script(script, told)
    assert shown == [["a", "b"], ["b"], [], [], [], ["b"]]


@pytest.mark.slow
def test_a_watcher_sees_and_cannot_steer(browser: Browser) -> None:
    browser.driver.delete_all_cookies()
    browser.open(browser.server.watch_link)
    before = browser.matrix
    browser.drag(60, -20, Keys.ALT)
    browser.press("r")
    np.testing.assert_array_equal(browser.matrix, before)
    assert "watching" in browser.driver.find_element("tag name", "body").text.lower()

"""A page of the view in a real browser, driven by keys and drags."""

from __future__ import annotations

from typing import Any

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.mouse_button import MouseButton
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys
from view_scenes import until

from arras_ray.view import ViewServer

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

    def drag_with_both(self, x: int, y: int, held: str) -> None:
        """With the left and the right button."""
        chain = ActionChains(self.driver, duration=0).key_down(held)
        pointer = chain.w3c_actions.pointer_action
        chain.move_to_element(self.canvas)
        pointer.pointer_down(button=MouseButton.LEFT)
        pointer.pointer_down(button=MouseButton.RIGHT)
        chain.move_by_offset(x, y)
        pointer.pointer_up(button=MouseButton.RIGHT)
        pointer.pointer_up(button=MouseButton.LEFT)
        chain.key_up(held).perform()

    def wheel(self, amount: int, *held: str) -> None:
        """Over the middle of the canvas."""
        chain = ActionChains(self.driver, duration=0)
        for key in held:
            chain.key_down(key)
        chain.scroll_from_origin(ScrollOrigin.from_element(self.canvas), 0, amount)
        for key in reversed(held):
            chain.key_up(key)
        chain.perform()

    def point(self, x: int, y: int) -> None:
        """Move the pointer over the canvas; 0, 0 is its middle."""
        ActionChains(self.driver, duration=0).move_to_element_with_offset(self.canvas, x, y).perform()

    def click_with_ctrl(self) -> None:
        """Where the pointer is."""
        ActionChains(self.driver, duration=0).key_down(Keys.CONTROL).click().key_up(Keys.CONTROL).perform()

    def pixel_beside_the_middle(self) -> str:
        """What the inspector, which has to be open, has there. The pointer stays."""
        self.point(19, 9)
        self.point(20, 10)
        return self.text("inspector")

    def painted(self) -> None:
        """Wait until what was asked for has been drawn."""
        twice = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        self.driver.execute_async_script(twice)

    def text(self, element: str = "") -> str:
        """What is seen: of all of the page, or of one element."""
        found = self.driver.find_element("id", element) if element else self.driver.find_element("tag name", "body")
        return str(found.text)

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

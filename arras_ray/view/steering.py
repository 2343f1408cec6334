"""Steering: what viewers and files want the scene to be, as edits of the render; the newest wish wins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from arras_ray.errors import ArrasRayError, MessageError
from arras_ray.previews import MOVING_SECONDS, SMOOTH
from arras_ray.scene import SceneContext, SceneObject, rdlb
from arras_ray.scene.bounds import bounding_sphere
from arras_ray.view.picture import LivePicture

SHOWN_SECONDS = 0.3
"""So long, at most, the next edit waits until the last one is seen smoothly: whoever moves without a pause shall see
something."""

STEERED = ("CAMERA", "LIGHT")
"""Viewers may set attributes of these, of"""
STEERED_TYPES = ("bool", "int", "float", "double", "rgb", "vec2f", "vec3f")

Tell = Callable[[dict[str, Any]], None]
"""Sends a viewer a message."""

PLAYING = ("rendering", "paused", "stopped")

LARGEST = 3e38
"""Floats of scenes have 32 bits."""

DIVISORS = (1, 2, 3, 4, 5)
"""Of the picture's sides: 100, 50, 33, 25 and 20 %."""


class ViewRender(Protocol):
    """A render that is looked at: LocalView in this process or SessionRender on Ray."""

    def edit(
        self,
        delta: bytes,
        options: Mapping[str, Any] | None = None,
        sync_id: int = 0,
    ) -> int:
        """Change the scene; the sync_id of the frames that show it."""

    def pause(self, paused: bool = True) -> None:
        """Render nothing more, or go on."""

    def stop(self) -> None:
        """Render nothing more until the next edit."""

    def locate(self, across: float, up: float) -> tuple[float, ...] | None:
        """The place in world space that is seen there, in parts of the picture; None where there is none."""


class Steering:
    """Turns wishes into edits, one after the other. For one event loop; `run` is its task.

    context: the scene as it was sent. size: of the whole picture, pixels. Afterwards context is the scene as it is now.
    """

    def __init__(
        self, context: SceneContext, render: ViewRender, picture: LivePicture, *, size: tuple[int, int]
    ) -> None:
        self.context = context
        self.playing = "rendering"
        self.edited_at: dict[int, float] = {}
        """When the latest edits were made, by sync_id; time.monotonic."""
        self._render = render
        self._picture = picture
        self._size = size
        self._divisor = 1
        self._sphere = bounding_sphere(context)
        assert context.camera is not None
        self._camera = context.camera
        self._initial = _plain(self._camera.get("node_xform"))
        self._options: dict[str, Any] = {}
        self._unsent: list[bytes] = []
        """Changes of the scene that are not made yet."""
        self._state: str | None = None
        """What the render is to do, if that was wished."""
        self._others = False
        """Other viewers have to know of the next edit."""
        self._moved = False
        """They have to know where the camera is when it rests."""
        self._wanted = asyncio.Event()
        self._place: tuple[tuple[float, float], Tell] = (0.0, 0.0), lambda _: None
        """What part of the picture somebody wants to have located, and whom to tell."""
        self._place_wanted = asyncio.Event()
        context.commit()

    @property
    def moves(self) -> bool:
        """Whether one edit follows another, as when the camera is dragged."""
        latest = list(self.edited_at.values())[-2:]
        return len(latest) == 2 and latest[1] - latest[0] < MOVING_SECONDS

    def scene(self) -> dict[str, Any]:
        """What a page has to know of the scene."""
        camera, context = self._camera, self.context
        lights = [item for item in context.of_interface("LIGHT") if item.scene_class.find("color") is not None]
        return {
            "type": "scene",
            "width": self._size[0],
            "height": self._size[1],
            "divisor": self._divisor,
            "camera": {
                "name": camera.name,
                "matrix": _plain(camera.get("node_xform")),
                "focal": _value(camera, "focal", 30.0),
                "film": _value(camera, "film_width_aperture", 24.0),
            },
            "initial": self._initial,
            "centre": _plain(self._sphere[0]),
            "radius": _plain(self._sphere[1])[0],
            "lights": [{"name": light.name, "color": _plain(light.get("color"))} for light in lights],
        }

    def hear(self, wish: dict[str, Any], tell: Tell) -> None:
        """A viewer's wish, as it came; tell() answers it. Raise MessageError for one that makes no sense."""
        kind = wish.get("type")
        if kind == "camera":
            self._camera.set("node_xform", _matrix(wish.get("matrix")))
            self._moved = True
        elif kind == "set":
            self._set(wish.get("object"), wish.get("attribute"), wish.get("value"))
        elif kind == "play":
            self._state = _playing(wish.get("state"))
        elif kind == "locate":
            self._place = _part(wish.get("at")), tell
            self._place_wanted.set()
            return
        elif kind == "scale" and wish.get("divisor") in DIVISORS:
            self._divisor = int(wish["divisor"])
            self._resize()
        else:
            raise MessageError(f"there is no wish like this: {str(wish)[:100]}")
        if kind == "play":
            self._wanted.set()
        else:
            self._want_edit()

    def apply(self, delta: bytes, size: tuple[int, int] | None = None) -> None:
        """A change in RDLB from somebody else: files that were saved. size: of the whole picture, where it is another
        now. Raise SceneError."""
        before = _plain(self._camera.get("node_xform"))
        rdlb.decode(delta, self.context)
        if size is not None:
            self._size = size
            self._resize()
        self._sphere = bounding_sphere(self.context)
        camera = self.context.camera
        if camera is not None and (camera is not self._camera or _plain(camera.get("node_xform")) != before):
            self._camera, self._initial = camera, _plain(camera.get("node_xform"))
        self._others = True
        self._want_edit()

    async def run(self, told: Callable[[], None], tell: Callable[[Sequence[str]], None]) -> None:
        """Make edits as they are wished, for ever. told() is called after those that other viewers have to know, of the
        camera's when it rests; tell(problems) after each with what went wrong, if anything did."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                sync_id = await self._edit()
                await self._play()
                if self._others:
                    self._others = self._moved = False
                    told()
            except Exception as error:  # the next wish may be a better one
                tell([f"the scene could not be changed: {error}"])
                continue
            tell([])
            if sync_id is not None:
                await self._until_seen(sync_id)
            if self._moved and not self._wanted.is_set():
                self._moved = False
                told()

    async def locate(self) -> None:
        """Tell viewers what place of the scene they have pointed at, for ever; who asks next is told instead."""
        while True:
            await self._place_wanted.wait()
            self._place_wanted.clear()
            at, tell = self._place
            try:
                answer = {"type": "located", "place": await asyncio.to_thread(self._render.locate, *at)}
            except Exception:  # whoever knows is busy, or being replaced
                answer = {"type": "refused", "reason": "nobody can tell at the moment what is there"}
            if not self._place_wanted.is_set():
                tell(answer)

    async def _until_seen(self, sync_id: int) -> None:
        deadline = time.monotonic() + SHOWN_SECONDS
        while not self._picture.covered(sync_id, SMOOTH):
            if time.monotonic() > deadline or self.playing != "rendering":
                break
            await asyncio.sleep(0.002)

    def _want_edit(self) -> None:
        """An edit goes on, whatever was wished before it."""
        if self._state != "rendering":
            self._state = None
        self._wanted.set()

    def _resize(self) -> None:
        width, height = (max(1, side // self._divisor) for side in self._size)
        self._options = {"width": width, "height": height}
        self._others = True

    async def _edit(self) -> int | None:
        """Make one edit of all wishes so far; None if they change nothing."""
        again = self._state == "rendering" and self.playing == "stopped"
        delta = self.context.delta()
        if delta:
            self._unsent.append(delta.to_rdlb())
        self.context.commit()
        if not self._unsent and not self._options and not again:
            return None
        began = time.monotonic()
        options, self._options = self._options, {}
        try:
            while len(self._unsent) > 1:  # what came before could not be made
                await asyncio.to_thread(self._render.edit, self._unsent[0])
                del self._unsent[0]
            sync_id = await asyncio.to_thread(self._render.edit, self._unsent[0] if self._unsent else b"", options)
        except Exception:
            self._options = options | self._options
            raise
        self._unsent.clear()
        self.playing = "rendering"
        self.edited_at[sync_id] = began
        for old in sorted(self.edited_at)[:-16]:
            del self.edited_at[old]
        return sync_id

    async def _play(self) -> None:
        """Do what was wished of the render, after the edits that came before."""
        state, self._state = self._state, None
        if state is None or state == self.playing or (state == "paused" and self.playing == "stopped"):
            return
        if state == "stopped":
            await asyncio.to_thread(self._render.stop)
        else:
            await asyncio.to_thread(self._render.pause, state == "paused")
        self.playing = state

    def _set(self, name: Any, attribute: Any, value: Any) -> None:
        item = self.context[name] if isinstance(name, str) and name in self.context else None
        if item is None or not any(item.is_a(interface) for interface in STEERED):
            raise MessageError(f"there is no camera or light named {str(name)[:100]}")
        found = item.scene_class.find(attribute) if isinstance(attribute, str) else None
        if found is None or found.type.name.lower() not in STEERED_TYPES or attribute == "node_xform":
            raise MessageError(f"{item} has no attribute {str(attribute)[:100]} that can be set here")
        if not _is_finite(value):
            raise MessageError(f"{item}.{attribute} cannot be {str(value)[:100]}")
        try:
            item.set(attribute, tuple(value) if isinstance(value, list) else value)
        except ArrasRayError as error:
            raise MessageError(str(error)) from error
        self._others = True


def _value(item: SceneObject, attribute: str, otherwise: float) -> float:
    return _plain(item.get(attribute))[0] if item.scene_class.find(attribute) is not None else otherwise


def _plain(numbers: Any) -> list[float]:
    """Numbers as JSON can have them: files may say inf and NaN."""
    plain: list[float] = np.nan_to_num(np.ravel(numbers).astype("f8"), posinf=LARGEST, neginf=-LARGEST).tolist()
    return plain


def _matrix(numbers: Any) -> np.ndarray:
    """A camera's place: 16 numbers, row vectors, whose axes are not flat. Raise MessageError."""
    if not isinstance(numbers, list) or len(numbers) != 16 or not _is_finite(numbers):
        raise MessageError("a camera has a matrix of 16 numbers that a float can hold")
    matrix = np.array(numbers, "f8").reshape(4, 4)
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9 or matrix[:, 3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise MessageError("a camera's matrix is a rotation and a translation")
    return matrix


def _part(at: Any) -> tuple[float, float]:
    """Parts of the picture from its bottom left. Raise MessageError."""
    if not isinstance(at, list) or len(at) != 2 or not _is_finite(at) or not all(0.0 <= x < 1.0 for x in at):
        raise MessageError("a place in the picture is two numbers from 0 to 1")
    return float(at[0]), float(at[1])


def _is_finite(value: Any) -> bool:
    """Whether this is a number, or up to 16 of them, and each fits into a float."""
    numbers = value if isinstance(value, list) else [value]
    return 0 < len(numbers) <= 16 and all(isinstance(x, int | float) and -LARGEST <= x <= LARGEST for x in numbers)


def _playing(state: Any) -> str:
    if state not in PLAYING:
        raise MessageError(f"a render cannot be {str(state)[:100]}")
    return str(state)

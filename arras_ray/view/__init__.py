"""The live view: a render in a browser, which may steer it."""

from arras_ray.view.server import ViewServer

__all__ = ["ViewServer"]

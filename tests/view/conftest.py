"""A render that is looked at, and its server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from view_scenes import OPTIONS, balls

from arras_ray.engine import from_context
from arras_ray.local_view import LocalView
from arras_ray.scene import SceneContext
from arras_ray.view import ViewServer


@pytest.fixture
def context() -> SceneContext:
    return balls().context


@pytest.fixture
def render(context: SceneContext) -> Iterator[LocalView]:
    engine = from_context(SceneContext.from_bytes(context.to_bytes()), OPTIONS, 2)
    with LocalView(engine, 2, options=OPTIONS) as view:
        yield view


@pytest.fixture
def server(render: LocalView, context: SceneContext) -> Iterator[ViewServer]:
    with ViewServer(render, context) as serving:
        yield serving


@pytest.fixture(scope="module")
def downloads() -> Iterator[Path]:
    """Where the browser saves files."""
    with tempfile.TemporaryDirectory(prefix="downloads-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def driver(downloads: Path) -> Iterator[Any]:
    """A browser without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from view_browser import FLAGS

    options = webdriver.ChromeOptions()
    profile = tempfile.mkdtemp(prefix="profile-")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    chrome = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def browser(driver: Any, context: SceneContext) -> Iterator[Any]:
    """A page that looks at a render, opened by who steers."""
    from view_browser import OPTIONS, Browser

    engine = from_context(SceneContext.from_bytes(context.to_bytes()), OPTIONS, 2)
    with LocalView(engine, 2, options=OPTIONS) as render, ViewServer(render, context) as server:
        page = Browser(driver, server)
        page.open(server.link)
        yield page
        driver.get("about:blank")

"""The page of a live view, as commands serve it: where, and to whom its links are told."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from arras_ray.cli.report import Report

if TYPE_CHECKING:
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.scene import SceneContext
    from arras_ray.view import ViewServer
    from arras_ray.view.live_files import LiveFiles


@dataclass(frozen=True)
class PageAddress:
    """Where a page is served. port: 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0


class _PageAddressType(click.ParamType["PageAddress"]):
    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PageAddress:
        if isinstance(value, PageAddress):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            self.fail(f"{value!r} is no HOST:PORT, such as 127.0.0.1:8080 or 0.0.0.0:0.", param, ctx)
        return PageAddress(host.strip("[]"), int(port))


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--page and --no-browser."""
    for option in (
        click.option("--no-browser", is_flag=True, help="Print the links of the page, and open nothing."),
        click.option(
            "--page",
            type=_PageAddressType(),
            default=PageAddress(),
            metavar="HOST:PORT",
            help="Where the page is served; port 0 is any free one. Default: this machine only, any free port.",
        ),
    ):
        command = option(command)
    return command


def check_page(page: PageAddress) -> None:
    """Raise UsageError where a page can certainly not be served, before anything is rendered for it."""
    problem: OSError | None = None
    try:
        for family, *_, address in socket.getaddrinfo(page.host, page.port, type=socket.SOCK_STREAM):
            try:
                socket.create_server(address[:2], family=family).close()
            except OSError as error:  # another address of that host may do
                problem = problem or error
            else:
                return
    except OSError as error:  # nobody knows the host
        problem = error
    from arras_ray.view.server import cannot_listen

    raise cannot_listen(page.host, page.port, problem)


def serve(
    render: RenderHandle,
    context: SceneContext,
    page: PageAddress,
    report: Report,
    stack: ExitStack,
    *,
    no_browser: bool,
    files: LiveFiles | None = None,
    steerable: bool = True,
    paused: bool = False,
) -> ViewServer:
    """Serve a render's page until the stack is closed, tell its links and open one. paused: it is. Raise UsageError."""
    from arras_ray.view import ViewServer

    server = ViewServer(
        render, context, host=page.host, port=page.port, files=files, steerable=steerable, paused=paused
    )
    stack.enter_context(server)
    link = server.link if steerable else server.watch_link
    if steerable:
        report.notice(f"steer: {link}")
    report.notice(f"watch: {server.watch_link}")
    if not no_browser:
        webbrowser.open(link)
    return server

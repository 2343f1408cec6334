"""Find, start and leave Ray.

Order of the look-up: an address that was given, $RAY_ADDRESS, a cluster that runs on this machine, else a Ray of our
own ("embedded"), which is taken down again and leaves nothing behind. Tokens: a cluster is asked whether it wants one
before Ray is imported, because Ray reads RAY_AUTH_MODE once, when it is imported. An embedded Ray has a token and a
folder of its own and listens on the loopback device only; `~/.ray` is neither read nor written for it.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakSet

from arras_ray.actors.guest_node import GuestNode, address_towards, check_reached, is_node
from arras_ray.actors.names import NAMESPACE
from arras_ray.actors.probe import address_on_this_machine, check_alive, is_alive, token
from arras_ray.errors import ClusterError

GRACE_SECONDS = 5.0
"""How long the processes of an embedded Ray get to end by themselves."""

GONE_SECONDS = 5.0
"""How long a killed process may take to be gone."""

OBJECT_STORE_BYTES = 512 << 20
"""Of an embedded Ray. A few leases a computation are under way at a time (40 MB at most each), and the scene."""

LOCAL = "local"


@dataclass(frozen=True)
class Address:
    """Where a cluster is, and who said so: "address", "RAY_ADDRESS" or "machine"."""

    host_port: str
    source: str


class Dweller(Protocol):
    """Who has threads that use Ray."""

    def leave_cluster(self) -> None:
        """Use it no more; returns once no thread does, or after a few seconds."""


class Cluster:
    """A Ray this process is connected to. Close it, or use it as a context manager.

    address: HOST:PORT of the head. dashboard: its URL, empty where there is none. note: one line that tells the user
    which Ray this is.
    """

    def __init__(self, address: str, *, embedded: bool, dashboard: str, note: str) -> None:
        self.address = address
        self.embedded = embedded
        self.dashboard = dashboard
        self.note = note
        self.folder: Path | None = None
        """Everything an embedded Ray writes; gone after `close`."""
        self.guest: GuestNode | None = None
        """This machine's node, where it is one for this connection only."""
        self._variables: dict[str, str | None] = {}
        self._dwellers: WeakSet[Dweller] = WeakSet()

    def before_leaving(self, dweller: Dweller) -> None:
        """Call its `leave_cluster` first when this process leaves: a thread that is in one of Ray's functions then may
        never come back from it."""
        self._dwellers.add(dweller)

    def close(self) -> None:
        """Leave the cluster; an embedded one ends with its processes and its folder. May be called twice."""
        import ray

        for dweller in list(self._dwellers):
            dweller.leave_cluster()
        processes = _processes_of(self.folder) if self.folder is not None else []
        if ray.is_initialized():
            ray.shutdown()
        _end(processes)
        if self.guest is not None:
            self.guest.close()
            self.guest = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        _set_variables(self._variables)
        self._variables = {}
        atexit.unregister(self.close)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Borrowed(Cluster):
    """A connection that was there before, and stays."""

    def close(self) -> None:
        return


def connect(address: str | None = None, *, cpus: float = 0, memory: int = 0) -> Cluster:
    """Join the cluster the look-up finds, or start an embedded Ray that declares `cpus` and `memory` (bytes).

    address: HOST:PORT, "local" for an embedded Ray, "auto" for a cluster on this machine, None for the look-up.
    A process that is connected to Ray already keeps that connection. Raise ClusterError (exit 7).
    """
    if "ray" in sys.modules:
        import ray

        if ray.is_initialized():
            _never_start_ray()
            known = ray.get_runtime_context().gcs_address
            return _Borrowed(known, embedded=False, dashboard="", note=f"Ray at {known}, connected before")
    found = find(address)
    if found is None:
        return _start(cpus, memory)
    if found.source != "machine" or address == "auto":
        return _join(found)
    try:
        return _join(found)
    except ClusterError as error:
        started = _start(cpus, memory)
        started.note = f"{started.note}; the cluster on this machine was not used: {error.message}"
        return started


def find(address: str | None) -> Address | None:
    """The cluster to join, None for an embedded Ray. Only a cluster found on this machine is known to be alive."""
    if address is None:
        given = os.environ.get("RAY_ADDRESS", "")
        found = Address(given, "RAY_ADDRESS") if given else None
    else:
        found = Address(address, "address")
    if found is not None and found.host_port == LOCAL:
        return None
    if found is not None and found.host_port != "auto":
        return found
    here = address_on_this_machine()
    if here and is_alive(here):
        return Address(here, "machine")
    if found is not None:
        raise ClusterError(
            "no Ray cluster runs on this machine",
            hint="start one with `ray start --head`, or leave --address away to render with a Ray of its own",
            address="auto",
        )
    return None


def nodes_with_cpus() -> int:
    """How many living nodes of the cluster have CPUs, free or not: as many as can take an mcrt."""
    import ray

    all_nodes: Any = ray.nodes
    return sum(node["Alive"] and node["Resources"].get("CPU", 0.0) > 0 for node in all_nodes())


def _join(found: Address) -> Cluster:
    host_port = found.host_port.removeprefix("ray://")
    if host_port != found.host_port:
        raise ClusterError(
            f"{found.host_port} is a Ray Client address",
            hint="use HOST:PORT of the head (port 6379 unless chosen), from a machine that is a node of the cluster",
            address=found.host_port,
        )
    variables: dict[str, str | None] = {"RAY_AUTH_MODE": "disabled"}
    try:
        check_alive(host_port, "")
    except ClusterError as error:
        if not error.fields.get("refused"):
            raise
        shown = token()
        if not shown:
            raise
        check_alive(host_port, shown)
        variables = {"RAY_AUTH_MODE": "token"}
    before = _set_variables(variables)
    guest: GuestNode | None = None
    try:
        if "ray" in sys.modules:
            _read_settings_again()
        if not is_node(host_port):
            guest = GuestNode(host_port)
        options = {"_node_ip_address": address_towards(host_port)} if guest else {}
        info = _init(host_port, address=host_port, **options)
        if guest is not None:
            check_reached(host_port)
    except ClusterError:
        _leave(guest)
        _set_variables(before)
        raise
    told = {"address": "", "RAY_ADDRESS": " ($RAY_ADDRESS)", "machine": ", found on this machine"}[found.source]
    note = f"Ray cluster at {host_port}{told}" + (", which this machine joins for now" if guest else "")
    cluster = Cluster(host_port, embedded=False, dashboard=_url(info), note=note)
    cluster.guest = guest
    return _keep(cluster, before)


def _leave(guest: GuestNode | None) -> None:
    import ray

    if ray.is_initialized():
        ray.shutdown()
    if guest is not None:
        guest.close()


def _start(cpus: float, memory: int) -> Cluster:
    """An embedded Ray. Its folder, readable by its owner only, holds Ray's files and the token."""
    folder = Path(tempfile.mkdtemp(prefix="arras-"))
    own_token = folder / "token"
    own_token.touch(mode=0o600)
    own_token.write_text(secrets.token_hex(32), encoding="ascii")
    before = _set_variables(
        {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(own_token),
            "RAY_AUTH_TOKEN": None,  # would win over the path
            "RAY_ADDRESS": None,
            "RAY_USAGE_STATS_ENABLED": "0",
            # A record of each call, for a dashboard: a fifth of what a call costs.
            "RAY_task_events_report_interval_ms": "0",
            # Ray's switch for machines without clusters: the node's address is 127.0.0.1, so nothing listens outside.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
    )
    options: dict[str, Any] = {
        "num_cpus": max(1, -int(-cpus // 1)),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(folder / "ray"),  # Ray makes it writable for all; the folder around it is not
    }
    if memory:
        options["_memory"] = memory
    try:
        info = _init("embedded", address=LOCAL, **options)
    except BaseException:
        _set_variables(before)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    cluster = Cluster(info["address"], embedded=True, dashboard=_url(info), note="a Ray of its own on this machine")
    cluster.folder = folder
    return _keep(cluster, before)


def _keep(cluster: Cluster, before: dict[str, str | None]) -> Cluster:
    cluster._variables = before
    atexit.register(cluster.close)
    return cluster


def _init(name: str, **options: Any) -> dict[str, Any]:
    """ray.init, quiet, with its errors told in our words."""
    loaded = "ray" in sys.modules
    import ray

    _never_start_ray()
    if loaded:
        _read_settings_again()
    try:
        with _small_ray() if options.get("address") == LOCAL else nullcontext():
            context: Any = ray.init(
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                **options,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()
        raise ClusterError(
            f"Ray at {name} could not be used: {_last_line(error)}",
            hint="this machine must be a node of the cluster, with the same Ray and Python versions:"
            " join it with `ray start --address=HOST:PORT --num-cpus=0`",
            address=name,
        ) from error
    _silence_raylet()
    info: dict[str, Any] = dict(context.address_info)
    return info


def _never_start_ray() -> None:
    """Where a process is in no cluster, Ray's functions join one, or start one. Threads of ours may call them after the
    process has left. Ray reads the variable for it once, when it is imported."""
    hook: Any = import_module("ray._private.auto_init_hook")
    hook.enable_auto_connect = False


def _silence_raylet() -> None:
    """Keep what raylets say about dead workers off stdout, where our events go; the supervisor tells what matters.

    Ray prints it whether or not it logs to the driver, and has no public way to turn it off."""
    worker: Any = import_module("ray._private.worker")
    worker.print_to_stdstream = lambda *_, **__: None


def _read_settings_again() -> None:
    """Make a Ray that was imported before the environment was set read it now. It has no public way to do so."""
    raylet: Any = import_module("ray._raylet")
    constants: Any = import_module("ray._private.ray_constants")
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
    constants.ENABLE_RAY_CLUSTER = os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1") != "0"


@contextmanager
def _small_ray() -> Iterator[None]:
    """Settings of an embedded Ray that ray.init has no arguments for.

    Its dashboard agent takes any free port: two Rays that both want the usual one start 5 s later. It has no process
    that watches logs, which nobody would show, and none that would ask a cloud for machines. Its workers have parents,
    which know how they end.
    """
    from arras_ray.actors.ends import worker_options

    parameter: Any = import_module("ray._private.parameter")
    original = parameter.RayParams
    parameter.RayParams = functools.partial(
        original, dashboard_agent_listen_port=0, include_log_monitor=False, no_monitor=True, **worker_options()
    )
    try:
        yield
    finally:
        parameter.RayParams = original


def _processes_of(folder: Path) -> list[Any]:
    """The processes of an embedded Ray: those started here that name its folder, and all below them."""
    import psutil

    found: list[Any] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any(str(folder) in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


def _end(processes: list[Any]) -> None:
    """Wait until processes that were told to end are gone; kill those that take too long."""
    import psutil

    _, late = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in late:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(late, timeout=GONE_SECONDS)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def _url(info: dict[str, Any]) -> str:
    page = info.get("webui_url") or ""
    return f"http://{page}" if page and "://" not in page else page


def _set_variables(values: dict[str, str | None]) -> dict[str, str | None]:
    """Set environment variables, None removes; returns what they were."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before

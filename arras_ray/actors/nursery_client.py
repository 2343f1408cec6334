"""A parent's side of its node's nursery (see nursery.py): it asks for a worker, and hears how that ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

ASK_SECONDS = 10.0
"""For a worker, the start of the nursery included; a parent that has waited for so long starts one by itself."""

NO_JOB = "ffffffff"
"""Ray's JobID.nil()."""

PEER = struct.Struct("3i")
"""struct ucred: process, user, group."""


class Worker:
    """A worker that a nursery has forked, as its parent sees it: the process `pid`, which is ended when nobody has the
    connection any more."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection

    def signal_end(self) -> None:
        """From here on this process gets a SIGIO when there is a status."""
        fcntl.fcntl(self.connection, fcntl.F_SETOWN, os.getpid())
        self.connection.setblocking(False)
        fcntl.fcntl(self.connection, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)

    def status(self) -> int | None:
        """Its wait status once it has ended. A nursery that dies has its workers killed."""
        try:
            return int(self.connection.recv(64) or signal.SIGKILL)
        except BlockingIOError:
            return None
        except OSError:
            return int(signal.SIGKILL)


def ask(script: str, arguments: list[str], introductions: int) -> tuple[Worker | None, subprocess.Popen[bytes] | None]:
    """A worker from this node's nursery, which runs `script` with `arguments`, None if there is no such; and the
    nursery, if it was started for this."""
    raylet = os.environ.get("RAY_RAYLET_PID", "")
    folder = next((os.path.dirname(a.partition("=")[2]) for a in arguments if a.startswith("--raylet-name=")), "")
    if not (raylet.isdigit() and os.path.isdir(folder)):
        return None, None
    request = {"script": script, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    nursery = None
    try:
        connection.settimeout(ASK_SECONDS)
        nursery = _connect(connection, os.path.join(folder, f"n{raylet}"), script)
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2, introductions])
        if pid := int(connection.recv(64) or 0):
            return Worker(pid, connection), nursery
    except OSError:  # no nursery is no harm: it only saves time
        pass
    connection.close()
    return None, nursery


def _connect(connection: socket.socket, path: str, script: str) -> subprocess.Popen[bytes] | None:
    """Connect to the nursery behind `path`. There is one now, if it had to be started. Raise OSError."""
    nursery = None
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        lock = os.open(f"{path}.lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                connection.connect(path)  # another parent was faster
            except (FileNotFoundError, ConnectionRefusedError):
                nursery = _start(path, script)
                connection.connect(path)
        finally:
            os.close(lock)
    if user_of(connection) != os.getuid():  # who may write to Ray's folder could stand in for it
        raise PermissionError(f"{path} is another user's")
    return nursery


def _start(path: str, script: str) -> subprocess.Popen[bytes]:
    import subprocess  # here: most parents do not start one

    with suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        before = os.umask(0o077)
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        listening.listen(1024)
        return subprocess.Popen(
            [sys.executable, "-m", "arras_ray.actors.nursery", str(listening.fileno()), os.path.dirname(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # As the requests tell it: libraries may have changed it behind Python's back. Ray reads the job when it is
            # imported, for good; a worker of no job, as Ray starts them ahead of need, is taken for any.
            env={**os.environ, "RAY_JOB_ID": NO_JOB},
            cwd="/",  # Python looks there first
            pass_fds=(listening.fileno(),),
            process_group=0,  # else Ray would end it with the worker whose parent this is
        )


def user_of(connection: socket.socket) -> int:
    """The user whose process is at the other end."""
    _, user, _ = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return int(user)

"""Signals, in real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from arras_ray.cli.interrupt import interruptible

Start = Callable[[str], "subprocess.Popen[str]"]

PROLOGUE = """
import hashlib, signal, subprocess, sys
from arras_ray.cli.interrupt import Interrupt, interruptible, work_left_behind

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it

def say(word):
    print(word, flush=True)

def native():
    "Many minutes in C, without a look at signals."
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROLOGUE + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_an_exception_until_it_is_gentle(start: Start, number: int) -> None:
    process = start(
        """
with Interrupt() as interrupt:
    try:
        say("ready")
        while True:
            interrupt.requested.wait(60)
    except KeyboardInterrupt:
        say("thrown")
"""
    )
    assert read(process) == "ready"
    process.send_signal(number)
    assert read(process) == "thrown"
    assert process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_an_event_once_it_is_gentle(start: Start, number: int) -> None:
    process = start(
        """
with Interrupt() as interrupt:
    interrupt.gentle()
    say("ready")
    say(interrupt.requested.wait(60))
"""
    )
    assert read(process) == "ready"
    process.send_signal(number)
    assert read(process) == "True"
    assert process.wait(60) == 0


def test_the_second_signal_kills_even_out_of_native_code(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    (folder / "file").touch()
    process = start(
        f"""
import pathlib
with Interrupt() as interrupt:
    interrupt.gentle()
    interrupt.after_ray_started(pathlib.Path({str(folder)!r}))
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    say(child.pid)
    native()
"""
    )
    child = psutil.Process(int(read(process)))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert not folder.exists()
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_native_work_is_left_behind(start: Start) -> None:
    process = start(
        """
with Interrupt():
    try:
        interruptible(lambda: (say("ready"), native()))
    except KeyboardInterrupt:
        say(work_left_behind())
"""
    )
    assert read(process) == "ready"
    process.send_signal(signal.SIGINT)
    assert read(process) == "True"


def test_a_signal_that_is_held_is_thrown_at_the_end(start: Start) -> None:
    process = start(
        """
with Interrupt() as interrupt:
    try:
        with interrupt.held():
            say("ready")
            say(interrupt.requested.wait(60))
        say("not reached")
    except KeyboardInterrupt:
        say("thrown")
"""
    )
    assert read(process) == "ready"
    process.send_signal(signal.SIGTERM)
    assert (read(process), read(process)) == ("True", "thrown")


def test_work_that_fails_while_a_signal_is_held_ends_the_holding(start: Start) -> None:
    process = start(
        """
with Interrupt() as interrupt:
    try:
        with interrupt.held():
            raise ValueError
    except ValueError:
        pass
    try:
        say("ready")
        while True:
            interrupt.requested.wait(60)
    except KeyboardInterrupt:
        say("thrown")
"""
    )
    assert read(process) == "ready"
    process.send_signal(signal.SIGINT)
    assert read(process) == "thrown"


def test_a_hang_up_that_comes_twice_counts_once(start: Start) -> None:
    process = start(
        """
with Interrupt() as interrupt:
    interrupt.gentle()
    say("ready")
    say(interrupt.requested.wait(60))
    sys.stdin.readline()
    say("alive")
"""
    )
    assert process.stdin is not None
    assert read(process) == "ready"
    process.send_signal(signal.SIGHUP)
    assert read(process) == "True"
    process.send_signal(signal.SIGHUP)
    process.stdin.write("\n")
    process.stdin.flush()
    assert read(process) == "alive"
    assert process.wait(60) == 0


def test_nohup_is_respected(start: Start) -> None:
    process = start(
        """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with Interrupt() as interrupt:
    interrupt.gentle()
    signal.raise_signal(signal.SIGHUP)
    say(interrupt.requested.is_set())
"""
    )
    assert read(process) == "False"


def test_handlers_are_put_back(start: Start) -> None:
    process = start(
        """
import signal
with Interrupt() as interrupt:
    interrupt.gentle()
say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    )
    assert (read(process), read(process)) == ("True", "True")


def test_interruptible_gives_back_results_and_errors() -> None:
    assert interruptible(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)

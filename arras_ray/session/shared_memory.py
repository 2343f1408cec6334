"""Memory that travels between the processes of a machine as a file descriptor: written once, mapped by who gets it.

It has no name: it goes when nobody has it any more, however its processes end.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import sys
import tempfile
import weakref
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

_AVAILABLE = b"MemAvailable:"


class SharedMemory:
    """A descriptor of some memory, which is closed with this. size: bytes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self.size = size

    @classmethod
    def write(cls, size: int, parts: Iterable[tuple[int, memoryview]]) -> Self:
        """New memory with each part at its offset. Raise OSError where there is no room."""
        memory = cls(_open(size), size)
        os.truncate(memory._descriptor, size)
        for offset, part in parts:
            written = 0
            while written < len(part):  # the system takes 2 GB at a time
                written += os.pwrite(memory._descriptor, part[written:], offset + written)
        return memory

    def fileno(self) -> int:
        """The descriptor, to hand it on."""
        return self._descriptor

    def duplicate(self) -> SharedMemory:
        """The same memory once more."""
        return SharedMemory(os.dup(self._descriptor), self.size)

    def map(self) -> memoryview:
        """Its bytes, read-only, as long as anything refers to them. Raise OSError if there are fewer than promised."""
        there = os.fstat(self._descriptor).st_size
        if there < self.size:
            raise OSError(f"{self.size} bytes of shared memory were promised, {there} came")
        library = _library()
        address = library.mmap(None, self.size, mmap.PROT_READ, mmap.MAP_SHARED, self._descriptor, 0)
        if address == ctypes.c_void_p(-1).value:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        # Not mmap.mmap, which keeps a descriptor open for each: a process may have few, and many frames.
        block = (ctypes.c_ubyte * self.size).from_address(address)
        weakref.finalize(block, library.munmap, address, self.size).atexit = False
        return pickle.PickleBuffer(block).raw().toreadonly()

    def close(self) -> None:
        """Let go of it; what was mapped stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _open(size: int) -> int:
    """An empty file without a name: in memory if twice the size is free, else among the temporary ones."""
    if sys.platform == "linux" and 2 * size <= _free_memory():
        return os.memfd_create("arras-ray")
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _free_memory() -> int:
    """Bytes of memory this machine could give without swapping."""
    for line in Path("/proc/meminfo").read_bytes().splitlines():
        if line.startswith(_AVAILABLE):
            return int(line.removeprefix(_AVAILABLE).split()[0]) << 10
    return 0


@cache
def _library() -> Any:
    """The C library, with what is called of it."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_int64)
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return library

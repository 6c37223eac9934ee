"""Opening the file of an ``http.response.pathsend``: at once where the kernel has it at hand, on a
thread where it may wait for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat

from fasterapi import _native

__all__ = ["OpenedFile", "open_file"]


def open_file(path: str | os.PathLike[str]) -> asyncio.Future[OpenedFile]:
    """A future of the running loop with the opened file, or the ``OSError`` that says why not."""
    loop = asyncio.get_running_loop()
    fd = _native.open_cached(path)
    if fd < 0:
        return loop.run_in_executor(None, OpenedFile, path)
    future: asyncio.Future[OpenedFile] = loop.create_future()
    try:
        future.set_result(OpenedFile(path, fd))
    except OSError as exc:
        future.set_exception(exc)
    return future


class OpenedFile:
    """A regular file opened for reading: ``size`` in bytes, and a descriptor that one owner
    takes. It is closed when nobody does: a request may be cancelled while its file is opened.

    ``fd`` is the file where it is open already; it is taken over. Raises ``OSError``: the file
    is missing, cannot be read or is no regular file.
    """

    __slots__ = ("_fd", "size")

    def __init__(self, path: str | os.PathLike[str], fd: int = -1) -> None:
        self._fd = fd
        if fd < 0:
            # Without O_NONBLOCK a FIFO would hold the thread until somebody writes to it.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"not a regular file: {os.fspath(path)!r}")
        self.size = status.st_size

    def take(self) -> int:
        """The descriptor; the caller closes it."""
        fd, self._fd = self._fd, -1
        return fd

    def __del__(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.take())

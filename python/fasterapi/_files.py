"""Opening the file of an ``http.response.pathsend``, which may block and so runs on a thread."""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["OpenedFile"]


class OpenedFile:
    """A regular file opened for reading: ``size`` in bytes, and a descriptor that one owner
    takes. It is closed when nobody does: a request may be cancelled while its file is opened.

    Raises ``OSError``: the file is missing, cannot be read or is no regular file.
    """

    __slots__ = ("_fd", "size")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = -1
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

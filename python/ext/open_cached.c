/* SPDX-License-Identifier: MIT */
/* open_cached.c - fasterapi._native.open_cached(): opening a file without waiting for a disk or
 * a network. Any thread, with the GIL; the one system call takes no longer than it takes to walk
 * what the kernel has in its memory (openat2(2), RESOLVE_CACHED, Linux 5.12). */
#include "init.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437 /* the same on every architecture */
#endif
#define RESOLVE_CACHED 0x20

/* struct open_how of the kernel, whose headers may be older than it. */
struct open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

PyObject *fa_py_open_cached(PyObject *module, PyObject *path)
{
    struct open_how how = {
        /* Without O_NONBLOCK a FIFO would hold the thread until somebody writes to it. */
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
        .resolve = RESOLVE_CACHED,
    };
    PyObject *bytes;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    long fd = syscall(SYS_openat2, AT_FDCWD, PyBytes_AS_STRING(bytes), &how, sizeof(how));
    Py_DECREF(bytes);
    return PyLong_FromLong(fd < 0 ? -1 : fd);
}

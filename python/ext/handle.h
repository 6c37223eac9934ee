/* SPDX-License-Identifier: MIT */
/* handle.h - asyncio's handles without their Python code; see handle.c. */
#ifndef FASTERAPI_EXT_HANDLE_H
#define FASTERAPI_EXT_HANDLE_H

#include "loop.h"

/* Whether handles may be run by fa_py_handle_run: asyncio's _run() is the one that it does the
 * work of. Asked once for each turn, since profilers and monitors replace it. -1 and raised on
 * failure. */
int fa_py_handle_run_is_stock(struct fa_py_state *state);

/* handle._cancelled; -1 and raised on failure. */
int fa_py_handle_cancelled(struct fa_py_state *state, PyObject *handle);

/* What handle._run() does outside debug mode; `inlined` as fa_py_handle_run_is_stock() said.
 * 0, or -1 with the KeyboardInterrupt or SystemExit that leaves the loop. */
int fa_py_handle_run(struct fa_py_state *state, PyObject *handle, bool inlined);

/* call_soon() in C: queues a new handle on loop->ready and returns it. NULL without an
 * exception when asyncio's own call_soon() must do it (debug mode, a closed loop, arguments
 * that are not plain); NULL and raised on failure. */
PyObject *fa_py_handle_queue(struct fa_py_loop *loop, PyObject *const *args, Py_ssize_t count,
                             PyObject *kwnames);

/* deque.append() and deque.popleft() of loop->ready, whatever type it is. */
int fa_py_ready_append(struct fa_py_loop *loop, PyObject *handle);
PyObject *fa_py_ready_popleft(struct fa_py_loop *loop);

int fa_py_init_handle(struct fa_py_state *state);

#endif

/* SPDX-License-Identifier: MIT */
/* task.h - driving a coroutine from C, always with a current task. See task.c. */
#ifndef FASTERAPI_EXT_TASK_H
#define FASTERAPI_EXT_TASK_H

#include "reactor.h"

/* The end of a driven coroutine. Exactly one of `result` and `exc` is not NULL; both are
 * borrowed. A cancelled coroutine, or one whose loop went away before it ended, ends with an
 * asyncio.CancelledError. Runs with the GIL; the task may or may not still be current and its
 * context entered. It must leave no exception set and may not raise. The reference to `arg` is
 * its own from here on. */
typedef void fa_py_done_fn(PyObject *arg, PyObject *result, PyObject *exc);

/* Runs `coro` as asyncio would run create_task(coro, context=context), but takes its first
 * step at once, before returning. `coro` is a coroutine that has not started, `context` a
 * contextvars.Context that nobody has entered (a copy for this coroutine). Both are borrowed.
 *
 * `arg` is an object of which the caller gives a reference away; until on_done gets it the
 * collector finds it through the task, so it may refer to the coroutine.
 *
 * Returns 0 when the coroutine was taken on: on_done is then called exactly once, possibly
 * before this function returns (the coroutine ended in its first step). Returns -1 with an
 * exception set when nothing was started: on_done is not called, `arg` still is the caller's and
 * `coro` was closed, unless it is no coroutine (TypeError).
 *
 * KeyboardInterrupt and SystemExit reach on_done as `exc` and then leave the turn of the loop,
 * as they do under asyncio. Call it on the loop's thread while the loop runs. */
int fa_py_drive(struct fa_py_reactor *host, PyObject *coro, PyObject *context,
                fa_py_done_fn *on_done, PyObject *arg) FA_MUST_CHECK;

#endif

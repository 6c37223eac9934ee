/* SPDX-License-Identifier: MIT */
/* reactor_int.h - what the selector, the loop and the turn need of reactor.c. */
#ifndef FASTERAPI_EXT_REACTOR_INT_H
#define FASTERAPI_EXT_REACTOR_INT_H

#include "reactor.h"

/* A Reactor that belongs to no loop yet. NULL and raised on failure. */
PyObject *fa_py_reactor_new(struct fa_py_state *state);

/* What Reactor.close() does. May run Python code; leaves no exception of its own. */
void fa_py_reactor_close(struct fa_py_reactor *host);

/* Between collect and end of turn: runs native callbacks, a bounded number, checking signals
 * after each. 0, or -1 with the exception that leaves the turn (what is not run stays ready). */
int fa_py_reactor_dispatch(struct fa_py_reactor *host);

/* fa_reactor_end_turn(); an exception that is set stays set. */
void fa_py_reactor_end_turn(struct fa_py_reactor *host);

/* Raises what was parked by fa_py_reactor_report(): -1 then, else 0. */
int fa_py_reactor_raise_fatal(struct fa_py_reactor *host);

/* asyncio's warning about a slow callback. 0, or -1 and raised. */
int fa_py_log_slow(struct fa_py_state *state, PyObject *what, PyObject *seconds);

/* Lets the loop call turn() in its next iteration, for loops whose turn is not ours. 0, or -1
 * and raised. */
int fa_py_reactor_schedule_dispatch(struct fa_py_reactor *host);

#endif

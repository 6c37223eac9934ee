/* SPDX-License-Identifier: MIT */
/* turn.h - one turn of fasterapi.Loop, and queueing for the next; see turn.c. */
#ifndef FASTERAPI_EXT_TURN_H
#define FASTERAPI_EXT_TURN_H

#include "loop.h"

/* _run_once(): one turn. */
PyObject *fa_py_loop_run_once(PyObject *self, PyObject *unused);

/* What call_soon() does when nothing is captured. */
PyObject *fa_py_call_soon(struct fa_py_loop *loop, PyObject *const *args, Py_ssize_t count,
                          PyObject *kwnames);

int fa_py_init_turn(struct fa_py_state *state);

#endif

/* SPDX-License-Identifier: MIT */
/* init.h - the init functions that module_exec calls; see state.h. */
#ifndef FASTERAPI_EXT_INIT_H
#define FASTERAPI_EXT_INIT_H

#include "state.h"

int fa_py_init_log(PyObject *module, struct fa_py_state *state);
int fa_py_init_reactor(PyObject *module, struct fa_py_state *state);
int fa_py_init_selector(PyObject *module, struct fa_py_state *state);
int fa_py_init_loop(PyObject *module, struct fa_py_state *state);
int fa_py_init_task(PyObject *module, struct fa_py_state *state);

/* The module's function log(level, text, gil=True): a line as the C library's own code logs it,
 * for tests; without the GIL where that is asked for. */
PyObject *fa_py_log(PyObject *module, PyObject *args);

#endif

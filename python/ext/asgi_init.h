/* SPDX-License-Identifier: MIT */
/* asgi_init.h - the init functions of the ASGI side; see state.h. */
#ifndef FASTERAPI_EXT_ASGI_INIT_H
#define FASTERAPI_EXT_ASGI_INIT_H

#include "state.h"

int fa_py_init_operation(PyObject *module, struct fa_py_state *state);
int fa_py_init_channel(PyObject *module, struct fa_py_state *state);
int fa_py_init_exchange(PyObject *module, struct fa_py_state *state);
int fa_py_init_http_server(PyObject *module, struct fa_py_state *state);

/* All of them, and the constants they share. */
int fa_py_init_asgi(PyObject *module, struct fa_py_state *state);

/* Frees what FA_PY_ASGI_FIELDS holds. No object of ours is left when it is called. */
void fa_py_free_asgi(struct fa_py_state *state);

#endif

/* SPDX-License-Identifier: MIT */
/* state.h - the state of one instance of the module fasterapi._native (one per interpreter).
 *
 * It is a flat struct of owned references, made from lists so that declaring, visiting and
 * clearing cannot disagree. Each area of the extension keeps its list in a header of its own
 * (state_loop.h, state_asgi.h), with three macros:
 *
 *   FA_PY_<AREA>_OBJECTS(X)   X(name): a reference `state->name`, NULL until the area sets it
 *   FA_PY_<AREA>_NAMES(X)     X(name): the interned string "name" as `state->str_name`
 *   FA_PY_<AREA>_FIELDS       members that are no references, zero at first
 *
 * and fills its objects in an init function that module_exec calls in order:
 *
 *   int fa_py_init_<what>(PyObject *module, struct fa_py_state *state);   0, or -1 and raised
 *
 * Types are heap types made by fa_py_add_type. An object that needs the state keeps a pointer
 * to it: its type holds the module, and the module holds the state. */
#ifndef FASTERAPI_EXT_STATE_H
#define FASTERAPI_EXT_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fasterapi/compiler.h>

#include "state_asgi.h"
#include "state_loop.h"

#define FA_PY_OBJECTS(X)                                                                           \
    FA_PY_LOOP_OBJECTS(X)                                                                          \
    FA_PY_ASGI_OBJECTS(X)

#define FA_PY_NAMES(X)                                                                             \
    FA_PY_LOOP_NAMES(X)                                                                            \
    FA_PY_ASGI_NAMES(X)

struct fa_py_state {
#define FA_PY_DECLARE_OBJECT(name) PyObject *name;
    FA_PY_OBJECTS(FA_PY_DECLARE_OBJECT)
#undef FA_PY_DECLARE_OBJECT
#define FA_PY_DECLARE_NAME(name) PyObject *str_##name;
    FA_PY_NAMES(FA_PY_DECLARE_NAME)
#undef FA_PY_DECLARE_NAME
    FA_PY_LOOP_FIELDS
    FA_PY_ASGI_FIELDS
};

extern struct PyModuleDef fa_py_module_def;

/* The state of the module that defined `type` or a base of it; NULL and an exception when
 * there is none. */
struct fa_py_state *fa_py_state_of_type(PyTypeObject *type);

static inline struct fa_py_state *fa_py_state_of_module(PyObject *module)
{
    return (struct fa_py_state *)PyModule_GetState(module);
}

/* Makes a heap type from `spec` (`bases`: NULL, a type or a tuple of types), stores it in
 * `*slot` (a member of the state) and, where `exported`, in the module. 0, or -1 and raised. */
int fa_py_add_type(PyObject *module, PyObject **slot, PyType_Spec *spec, PyObject *bases,
                   bool exported);

/* Imports `module_name` and stores its attribute `name` in `*slot`. 0, or -1 and raised. */
int fa_py_import(PyObject **slot, const char *module_name, const char *name);

/* Raises the Python exception for a negative FA_E... code: MemoryError for FA_ENOMEM, OSError
 * with errno for FA_ESYS and its like, else RuntimeError with the library's sentence. FA_EINVAL
 * is a RuntimeError, a mistake of ours; where it can come of what the user gave, the caller
 * knows of what. `what` says in a few words what was being done. Always returns NULL. */
PyObject *fa_py_raise(int err, const char *what);

/* The current exception as a normalised object with its traceback set, taken off the thread
 * (a new reference); NULL when there is none. */
PyObject *fa_py_take_exception(void);

/* Raises `exc` again, with its traceback; steals the reference. */
void fa_py_restore_exception(PyObject *exc);

#endif

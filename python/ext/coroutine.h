/* SPDX-License-Identifier: MIT */
/* coroutine.h - the parts of the coroutine protocol that every C coroutine needs: turning a
 * step into what send() and next() answer, and raising what throw() was given. */
#ifndef FASTERAPI_EXT_COROUTINE_H
#define FASTERAPI_EXT_COROUTINE_H

#include "state.h"

/* The answer of send() or next() for the end of a step; steals `value`. A return becomes
 * StopIteration with the value as its only argument. */
PyObject *fa_py_coroutine_answer(PySendResult outcome, PyObject *value);

/* The same as the answer of tp_iternext, which may say "returned None" without an exception:
 * `await` asks this way, and making one that is caught at once is dear. */
PyObject *fa_py_coroutine_next_answer(PySendResult outcome, PyObject *value);

/* Raises what throw(type, value, traceback) or throw(exception) asks for; TypeError for
 * arguments that a coroutine of CPython refuses. */
void fa_py_coroutine_raise(PyObject *const *args, Py_ssize_t nargs);

/* The iterator that `await object` would drive (a new reference), or NULL and TypeError. */
PyObject *fa_py_coroutine_iterator(PyObject *object);

#endif

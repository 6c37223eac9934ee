/* SPDX-License-Identifier: MIT */
/* coroutine.c - see coroutine.h. Keeps no state; needs the GIL, on any thread. */
#include "coroutine.h"

PyObject *fa_py_coroutine_answer(PySendResult outcome, PyObject *value)
{
    if (outcome == PYGEN_NEXT)
        return value;
    if (outcome == PYGEN_ERROR)
        return NULL;
    if (value == Py_None) {
        PyErr_SetNone(PyExc_StopIteration);
    } else {
        /* Made by hand: PyErr_SetObject would take a tuple or an exception apart. */
        PyObject *exc = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (exc != NULL) {
            PyErr_SetObject(PyExc_StopIteration, exc);
            Py_DECREF(exc);
        }
    }
    Py_DECREF(value);
    return NULL;
}

PyObject *fa_py_coroutine_next_answer(PySendResult outcome, PyObject *value)
{
    if (FA_UNLIKELY(outcome != PYGEN_RETURN || value != Py_None))
        return fa_py_coroutine_answer(outcome, value);
    Py_DECREF(value);
    return NULL;
}

void fa_py_coroutine_raise(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
        return;
    }
    PyObject *type = args[0];
    PyObject *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        return;
    }
    if (PyExceptionInstance_Check(type)) {
        if (value != NULL) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
            return;
        }
        value = type;
        type = (PyObject *)Py_TYPE(value);
    } else if (!PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from BaseException, not %s",
                     Py_TYPE(type)->tp_name);
        return;
    }
    if (traceback == NULL && value != NULL && PyExceptionInstance_Check(value))
        traceback = PyException_GetTraceback(value);
    else
        Py_XINCREF(traceback);
    PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), traceback);
}

PyObject *fa_py_coroutine_iterator(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (PyCoro_CheckExact(object))
        return Py_NewRef(object);
    if (PyGen_CheckExact(object)) {
        /* Only what types.coroutine() marked may be awaited. */
        PyObject *code = PyObject_GetAttrString(object, "gi_code");
        if (code == NULL)
            return NULL;
        bool marked = (((PyCodeObject *)(void *)code)->co_flags & CO_ITERABLE_COROUTINE) != 0;
        Py_DECREF(code);
        if (marked)
            return Py_NewRef(object);
    }
    if (type->tp_as_async == NULL || type->tp_as_async->am_await == NULL)
        return PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression",
                            type->tp_name);
    PyObject *iterator = type->tp_as_async->am_await(object);
    if (iterator != NULL && !PyIter_Check(iterator)) {
        PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                     Py_TYPE(iterator)->tp_name);
        Py_CLEAR(iterator);
    }
    return iterator;
}

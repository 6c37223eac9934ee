/* SPDX-License-Identifier: MIT */
/* state.c - what every file of the extension needs: the way to the module state, adding
 * types, and crossing between FA_E... codes and Python exceptions. Runs holding the GIL, on
 * any thread; keeps nothing of its own. */
#include "state.h"

#include <errno.h>

#include <fasterapi/error.h>

struct fa_py_state *fa_py_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &fa_py_module_def);
    return module != NULL ? fa_py_state_of_module(module) : NULL;
}

int fa_py_add_type(PyObject *module, PyObject **slot, PyType_Spec *spec, PyObject *bases,
                   bool exported)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    if (type == NULL)
        return -1;
    Py_XSETREF(*slot, type);
    return exported ? PyModule_AddType(module, (PyTypeObject *)type) : 0;
}

int fa_py_import(PyObject **slot, const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL)
        return -1;
    PyObject *value = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    if (value == NULL)
        return -1;
    Py_XSETREF(*slot, value);
    return 0;
}

static int errno_of(int err)
{
    switch (err) {
    case FA_EACCES:
        return EACCES;
    case FA_EADDRINUSE:
        return EADDRINUSE;
    case FA_EADDRNOTAVAIL:
        return EADDRNOTAVAIL;
    case FA_ECONNRESET:
        return ECONNRESET;
    case FA_EPIPE:
        return EPIPE;
    case FA_EMFILE:
        return EMFILE;
    case FA_EEXIST:
        return EEXIST;
    case FA_ENOENT:
        return ENOENT;
    case FA_ENOTSUP:
        return EOPNOTSUPP;
    case FA_ETIMEDOUT:
        return ETIMEDOUT;
    case FA_ESYS:
        return errno;
    default:
        return 0;
    }
}

PyObject *fa_py_raise(int err, const char *what)
{
    if (err == FA_ENOMEM)
        return PyErr_NoMemory();
    int number = errno_of(err);
    if (number == 0)
        return PyErr_Format(PyExc_RuntimeError, "%s: %s", what, fa_strerror(err));
    PyObject *text = PyUnicode_FromFormat("%s (%s)", strerror(number), what);
    if (text == NULL)
        return NULL;
    PyObject *args = Py_BuildValue("(iN)", number, text);
    if (args == NULL)
        return NULL;
    PyObject *exc = PyObject_Call(PyExc_OSError, args, NULL);
    Py_DECREF(args);
    if (exc != NULL)
        fa_py_restore_exception(exc);
    return NULL;
}

PyObject *fa_py_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

void fa_py_restore_exception(PyObject *exc)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exc);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
#endif
}

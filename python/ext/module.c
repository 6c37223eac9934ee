/* SPDX-License-Identifier: MIT */
/* module.c - the extension module fasterapi._native: its functions that belong to no type,
 * and its multi-phase initialisation (PEP 489). Runs on the thread that imports the module,
 * holding the GIL. Types live in files of their own and are added by module_exec, in the
 * order of `init_functions`. */
#include "state.h"

#include <fasterapi/version.h>

#include "asgi_init.h"
#include "init.h"

PyDoc_STRVAR(version_doc, "version()\n--\n\nThe version of the C library, as \"0.1.0\".");

static PyObject *module_version(PyObject *module, PyObject *unused)
{
    return PyUnicode_FromString(fa_version());
}

PyDoc_STRVAR(features_doc, "features()\n--\n\nThe features compiled in, as one line of words.");

static PyObject *module_features(PyObject *module, PyObject *unused)
{
    return PyUnicode_FromString(fa_features());
}

PyDoc_STRVAR(log_doc, "log(level, text, gil=True, /)\n--\n\n"
                      "Log a line as the C library does, with or without the GIL. For tests.");

static PyMethodDef module_methods[] = {
    {"version", module_version, METH_NOARGS, version_doc},
    {"features", module_features, METH_NOARGS, features_doc},
    {"log", fa_py_log, METH_VARARGS, log_doc},
    {NULL, NULL, 0, NULL},
};

static int (*const init_functions[])(PyObject *module, struct fa_py_state *state) = {
    fa_py_init_log,  fa_py_init_reactor, fa_py_init_selector,
    fa_py_init_loop, fa_py_init_task,    fa_py_init_asgi,
};

static int intern_names(struct fa_py_state *state)
{
#define INTERN(name)                                                                               \
    if ((state->str_##name = PyUnicode_InternFromString(#name)) == NULL)                           \
        return -1;
    FA_PY_NAMES(INTERN)
#undef INTERN
    return 0;
}

static int module_exec(PyObject *module)
{
    struct fa_py_state *state = fa_py_state_of_module(module);
    if (intern_names(state) < 0)
        return -1;
    for (size_t i = 0; i < FA_ARRAY_LEN(init_functions); i++)
        if (init_functions[i](module, state) < 0)
            return -1;
    return PyModule_AddStringConstant(module, "__version__", fa_version());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct fa_py_state *state = fa_py_state_of_module(module);
#define VISIT(name) Py_VISIT(state->name);
    FA_PY_OBJECTS(VISIT)
#undef VISIT
    return 0;
}

static int module_clear(PyObject *module)
{
    struct fa_py_state *state = fa_py_state_of_module(module);
#define CLEAR(name) Py_CLEAR(state->name);
    FA_PY_OBJECTS(CLEAR)
#undef CLEAR
    return 0;
}

/* The names outlive module_clear: objects that die after it still look attributes up. */
static void module_free(void *module)
{
    struct fa_py_state *state = fa_py_state_of_module((PyObject *)module);
    if (state == NULL)
        return;
    (void)module_clear((PyObject *)module);
    fa_py_free_asgi(state);
#define FORGET(name) Py_CLEAR(state->str_##name);
    FA_PY_NAMES(FORGET)
#undef FORGET
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

struct PyModuleDef fa_py_module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "fasterapi._native",
    .m_doc = "The C side of fasterapi. Private: import from fasterapi instead.",
    .m_size = sizeof(struct fa_py_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

/* Python.h declares no module's entry point, and -Wmissing-prototypes asks for one. */
PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&fa_py_module_def);
}

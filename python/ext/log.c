/* SPDX-License-Identifier: MIT */
/* log.c - takes what the C library has to say to Python's logger "fasterapi".
 *
 * The sink is the process's and may be called on any thread, so it keeps nothing of any
 * interpreter: a line goes to the logger of the one that its thread runs. Where none can be asked
 * (a thread that Python does not know, an interpreter that is on its way out, before 3.12 a second
 * one) it goes to standard error, as without Python. Whatever a handler does, nothing of it reaches
 * the library. */
#include <fasterapi/log.h>

#include "init.h"

static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

/* PyGILState_Check() says yes to everything once there was a second interpreter. */
static bool has_gil(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked() != NULL;
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet() != NULL;
#else
    /* The state of whichever thread has the GIL: compared, never looked into. */
    PyThreadState *running = _PyThreadState_UncheckedGet();
    return running != NULL && running == PyGILState_GetThisThreadState();
#endif
}

/* Whether this thread, which seems not to have the GIL, may wait for it. One that Python does not
 * know may not: at the end of the interpreter it would be ended in the middle of the library. */
static bool may_take_gil(void)
{
    if (PyGILState_GetThisThreadState() == NULL)
        return false;
#if PY_VERSION_HEX < 0x030C0000
    /* In a second interpreter has_gil() does not see the GIL, and taking it twice hangs. */
    if (PyInterpreterState_Head() != PyInterpreterState_Main())
        return false;
#endif
    return true;
}

static int call_logger(enum fa_log_level level, const char *text)
{
    PyObject *logging = PyImport_ImportModule("logging");
    PyObject *logger = NULL, *answer = NULL;
    if (logging != NULL)
        logger = PyObject_CallMethod(logging, "getLogger", "s", "fasterapi");
    if (logger != NULL)
        answer = PyObject_CallMethod(logger, "log", "iss", (int)level, "%s", text);
    Py_XDECREF(logging);
    Py_XDECREF(logger);
    Py_XDECREF(answer);
    return answer != NULL ? 0 : -1;
}

/* With the GIL. The code that logs may have an exception on its way. */
static void log_with_gil(enum fa_log_level level, const char *text)
{
    PyObject *saved = PyErr_Occurred() ? fa_py_take_exception() : NULL;
    if (call_logger(level, text) < 0) {
        PyErr_WriteUnraisable(NULL);
        fa_log_to_stderr(level, text, NULL);
    }
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

static void sink(enum fa_log_level level, const char *text, void *user)
{
    bool alive = Py_IsInitialized() && !is_finalizing();
    if (alive && has_gil()) {
        log_with_gil(level, text);
    } else if (alive && may_take_gil()) {
        PyGILState_STATE state = PyGILState_Ensure();
        log_with_gil(level, text);
        PyGILState_Release(state);
    } else {
        fa_log_to_stderr(level, text, user);
    }
}

PyObject *fa_py_log(PyObject *module, PyObject *args)
{
    int level, gil = 1;
    const char *text;
    if (!PyArg_ParseTuple(args, "is|p:log", &level, &text, &gil))
        return NULL;
    if (gil) {
        fa_log((enum fa_log_level)level, "%s", text);
    } else {
        Py_BEGIN_ALLOW_THREADS;
        fa_log((enum fa_log_level)level, "%s", text);
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}

/* The logger decides which levels count; the library logs nothing where it would cost. */
int fa_py_init_log(PyObject *module, struct fa_py_state *state)
{
    fa_log_set_level(FA_LOG_DEBUG);
    fa_log_set_sink(sink, NULL);
    return 0;
}

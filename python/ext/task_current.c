/* SPDX-License-Identifier: MIT */
/* task_current.c - which task is current on a loop, as asyncio.current_task() sees it. On the
 * loop's thread, with the GIL.
 *
 * asyncio offers _enter_task and _leave_task to other Task classes (documented under
 * "Extending asyncio") and, from 3.12 on, _swap_current_task. Up to 3.13 all three work on one
 * dict, loop to task, that the module shows as _current_tasks; writing to it directly costs a
 * third of the calls. Whether it is that dict is tried out when the module is loaded, so an
 * interpreter that keeps its current tasks elsewhere (3.14) gets the calls. */
#include "task_int.h"

static int dict_enter(PyObject *tasks, PyObject *loop, PyObject *task, PyObject **previous)
{
    *previous = Py_XNewRef(PyDict_GetItemWithError(tasks, loop));
    if (*previous == NULL && PyErr_Occurred())
        return -1;
    if (PyDict_SetItem(tasks, loop, task) == 0)
        return 0;
    Py_CLEAR(*previous);
    return -1;
}

static int dict_leave(PyObject *tasks, PyObject *loop, PyObject *previous)
{
    if (previous == NULL)
        return PyDict_DelItem(tasks, loop);
    int err = PyDict_SetItem(tasks, loop, previous);
    Py_DECREF(previous);
    return err;
}

static PyObject *swap(struct fa_py_state *state, PyObject *loop, PyObject *task)
{
    PyObject *args[] = {loop, task};
    return PyObject_Vectorcall(state->swap_current_task, args, 2, NULL);
}

static int call_discard(PyObject *function, PyObject *loop, PyObject *task)
{
    PyObject *args[] = {loop, task};
    PyObject *none = PyObject_Vectorcall(function, args, 2, NULL);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

int fa_py_current_enter(struct fa_py_state *state, PyObject *loop, PyObject *task,
                        PyObject **previous)
{
    *previous = NULL;
    if (state->current_tasks != NULL)
        return dict_enter(state->current_tasks, loop, task, previous);
    if (state->swap_current_task == NULL)
        return call_discard(state->enter_task, loop, task);
    PyObject *before = swap(state, loop, task);
    if (before == NULL)
        return -1;
    if (before == Py_None)
        Py_DECREF(before);
    else
        *previous = before;
    return 0;
}

static int leave(struct fa_py_state *state, PyObject *loop, PyObject *task, PyObject *previous)
{
    if (state->current_tasks != NULL)
        return dict_leave(state->current_tasks, loop, previous);
    if (state->swap_current_task == NULL)
        return call_discard(state->leave_task, loop, task);
    PyObject *mine = swap(state, loop, previous != NULL ? previous : Py_None);
    Py_XDECREF(previous);
    Py_XDECREF(mine);
    return mine != NULL ? 0 : -1;
}

int fa_py_current_leave(struct fa_py_state *state, PyObject *loop, PyObject *task,
                        PyObject *previous)
{
    if (FA_LIKELY(!PyErr_Occurred()))
        return leave(state, loop, task, previous);
    PyObject *exc = fa_py_take_exception();
    int err = leave(state, loop, task, previous);
    if (err < 0)
        PyErr_Clear();
    fa_py_restore_exception(exc);
    return err;
}

/* Whether asyncio's own functions write to `tasks`. */
static int is_the_dict(struct fa_py_state *state, PyObject *tasks)
{
    if (!PyDict_CheckExact(tasks))
        return 0;
    PyObject *loop = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    if (loop == NULL)
        return -1;
    int answer = -1;
    if (call_discard(state->enter_task, loop, loop) == 0) {
        answer = PyDict_GetItemWithError(tasks, loop) == loop;
        if (call_discard(state->leave_task, loop, loop) < 0)
            answer = -1;
        else if (answer && PyDict_GetItemWithError(tasks, loop) != NULL)
            answer = 0;
    }
    Py_DECREF(loop);
    return answer;
}

int fa_py_init_current(struct fa_py_state *state)
{
    if (fa_py_import(&state->enter_task, "asyncio.tasks", "_enter_task") < 0 ||
        fa_py_import(&state->leave_task, "asyncio.tasks", "_leave_task") < 0)
        return -1;
#if PY_VERSION_HEX >= 0x030C0000
    if (fa_py_import(&state->swap_current_task, "asyncio.tasks", "_swap_current_task") < 0)
        return -1;
#endif
    if (fa_py_import(&state->current_tasks, "asyncio.tasks", "_current_tasks") < 0) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int answer = is_the_dict(state, state->current_tasks);
    if (answer <= 0)
        Py_CLEAR(state->current_tasks);
    return answer < 0 ? -1 : 0;
}

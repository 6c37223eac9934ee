/* SPDX-License-Identifier: MIT */
/* handle.c - asyncio's handles without their Python code. On the loop's thread, with the GIL.
 *
 * A handle is a Python object with slots. Making, asking and running one are the most frequent
 * things that an asyncio loop does, and each is a Python call of a few lines; done here on the
 * very same objects they cost a third. That holds for exact Handles and TimerHandles whose
 * slots are those this file knows (3.11 to 3.13 have the same ones; it is checked when the
 * module is loaded), outside debug mode, and for running as long as Handle._run() is asyncio's
 * own. In every other case asyncio's code is called. */
#include "handle.h"

#include <structmember.h> /* PyMemberDef, up to 3.11 */

#include "init.h"
#include "reactor_int.h"

/* In the order of enum handle_slot. `__weakref__` is not a slot of this kind. */
static const char *const slot_names[] = {"_callback",         "_args", "_cancelled", "_loop",
                                         "_source_traceback", "_repr", "_context"};

enum handle_slot {
    SLOT_CALLBACK,
    SLOT_ARGS,
    SLOT_CANCELLED,
    SLOT_LOOP,
    SLOT_SOURCE_TRACEBACK,
    SLOT_REPR,
    SLOT_CONTEXT,
};

static_assert(FA_ARRAY_LEN(slot_names) == FA_PY_HANDLE_SLOTS, "a place for each offset");

static bool is_plain(const struct fa_py_state *state, PyObject *handle)
{
    PyTypeObject *type = Py_TYPE(handle);
    return state->handle_slots_known && (type == (PyTypeObject *)state->handle_type ||
                                         type == (PyTypeObject *)state->timer_handle_type);
}

static PyObject **slot_of(const struct fa_py_state *state, PyObject *handle, enum handle_slot slot)
{
    return (PyObject **)(void *)((char *)handle + state->handle_offsets[slot]);
}

/* ---- asking --------------------------------------------------------------------------------- */

int fa_py_handle_cancelled(struct fa_py_state *state, PyObject *handle)
{
    PyObject *value = is_plain(state, handle) ? *slot_of(state, handle, SLOT_CANCELLED) : NULL;
    if (FA_LIKELY(value == Py_False))
        return 0;
    value = PyObject_GetAttr(handle, state->str__cancelled);
    if (value == NULL)
        return -1;
    int yes = PyObject_IsTrue(value);
    Py_DECREF(value);
    return yes;
}

int fa_py_handle_run_is_stock(struct fa_py_state *state)
{
    PyObject *run = PyObject_GetAttr(state->handle_type, state->str__run);
    if (run == NULL)
        return -1;
    Py_DECREF(run);
    return state->handle_slots_known && run == state->handle_run;
}

/* ---- running -------------------------------------------------------------------------------- */

static bool leaves_the_loop(PyObject *exc)
{
    return PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt) ||
           PyErr_GivenExceptionMatches(exc, PyExc_SystemExit);
}

static int set_text(struct fa_py_state *state, PyObject *info, PyObject *callback, PyObject *args)
{
    PyObject *stack[] = {callback, args};
    PyObject *what = PyObject_Vectorcall(state->format_callback, stack, 2, NULL);
    PyObject *text = what != NULL ? PyUnicode_FromFormat("Exception in callback %S", what) : NULL;
    int err = text != NULL ? PyDict_SetItem(info, state->str_message, text) : -1;
    Py_XDECREF(what);
    Py_XDECREF(text);
    return err;
}

/* loop.call_exception_handler() with what Handle._run() would give it. */
static int report(struct fa_py_state *state, PyObject *handle, PyObject *exc)
{
    /* cancel() sets both to None, and None takes no argument list. */
    PyObject *callback = Py_XNewRef(*slot_of(state, handle, SLOT_CALLBACK));
    PyObject *args = Py_XNewRef(*slot_of(state, handle, SLOT_ARGS));
    PyObject *loop = Py_XNewRef(*slot_of(state, handle, SLOT_LOOP));
    PyObject *info = PyDict_New();
    PyObject *none = NULL;
    if (callback != NULL && args != NULL && loop != NULL && info != NULL &&
        set_text(state, info, callback, args) == 0 &&
        PyDict_SetItem(info, state->str_exception, exc) == 0 &&
        PyDict_SetItem(info, state->str_handle, handle) == 0)
        none = PyObject_CallMethodOneArg(loop, state->str_call_exception_handler, info);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_AttributeError, "a handle without its slots");
    Py_XDECREF(callback);
    Py_XDECREF(args);
    Py_XDECREF(loop);
    Py_XDECREF(info);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

static int call_in_context(PyObject *context, PyObject *callback, PyObject *args)
{
    if (PyContext_Enter(context) < 0)
        return -1;
    PyObject *result = PyObject_Vectorcall(callback, &PyTuple_GET_ITEM(args, 0),
                                           (size_t)PyTuple_GET_SIZE(args), NULL);
    if (FA_LIKELY(result != NULL)) {
        Py_DECREF(result);
        return PyContext_Exit(context);
    }
    PyObject *exc = fa_py_take_exception();
    if (PyContext_Exit(context) < 0)
        PyErr_Clear();
    fa_py_restore_exception(exc);
    return -1;
}

static int run_plain(struct fa_py_state *state, PyObject *handle)
{
    PyObject *context = *slot_of(state, handle, SLOT_CONTEXT);
    PyObject *callback = *slot_of(state, handle, SLOT_CALLBACK);
    PyObject *args = *slot_of(state, handle, SLOT_ARGS);
    /* The callback may cancel its own handle, which lets go of all three. */
    Py_INCREF(context);
    Py_INCREF(callback);
    Py_INCREF(args);
    int err = call_in_context(context, callback, args);
    Py_DECREF(context);
    Py_DECREF(callback);
    Py_DECREF(args);
    if (FA_LIKELY(err == 0))
        return 0;
    PyObject *exc = fa_py_take_exception();
    if (leaves_the_loop(exc)) {
        fa_py_restore_exception(exc);
        return -1;
    }
    err = report(state, handle, exc);
    Py_DECREF(exc);
    return err;
}

static bool can_run_plain(struct fa_py_state *state, PyObject *handle)
{
    if (!is_plain(state, handle))
        return false;
    PyObject *context = *slot_of(state, handle, SLOT_CONTEXT);
    PyObject *args = *slot_of(state, handle, SLOT_ARGS);
    return context != NULL && PyContext_CheckExact(context) && args != NULL &&
           PyTuple_CheckExact(args) && *slot_of(state, handle, SLOT_CALLBACK) != NULL;
}

int fa_py_handle_run(struct fa_py_state *state, PyObject *handle, bool inlined)
{
    if (FA_LIKELY(inlined && can_run_plain(state, handle)))
        return run_plain(state, handle);
    PyObject *none = PyObject_CallMethodNoArgs(handle, state->str__run);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

/* ---- queueing ------------------------------------------------------------------------------- */

static bool has_deque(const struct fa_py_loop *loop)
{
    return Py_IS_TYPE(loop->ready, (PyTypeObject *)loop->state->deque_type);
}

int fa_py_ready_append(struct fa_py_loop *loop, PyObject *handle)
{
    PyObject *stack[] = {loop->ready, handle};
    PyObject *none = has_deque(loop)
                         ? PyObject_Vectorcall(loop->state->deque_append, stack, 2, NULL)
                         : PyObject_VectorcallMethod(loop->state->str_append, stack, 2, NULL);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

PyObject *fa_py_ready_popleft(struct fa_py_loop *loop)
{
    if (has_deque(loop))
        return PyObject_CallOneArg(loop->state->deque_popleft, loop->ready);
    return PyObject_CallMethodNoArgs(loop->ready, loop->state->str_popleft);
}

/* _asyncio's own keyword names are not interned. */
static bool is_context(const struct fa_py_state *state, PyObject *name)
{
    return name == state->str_context || PyUnicode_Compare(name, state->str_context) == 0;
}

/* The context of a call_soon(): its keyword argument, else a copy of the current one. NULL
 * without an exception when the arguments are not plain. */
static PyObject *choose_context(struct fa_py_state *state, PyObject *const *args, Py_ssize_t count,
                                PyObject *kwnames)
{
    PyObject *context = Py_None;
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        if (PyTuple_GET_SIZE(kwnames) != 1 || !is_context(state, PyTuple_GET_ITEM(kwnames, 0)))
            return NULL;
        context = args[count];
    }
    return context != Py_None ? Py_NewRef(context) : PyContext_CopyCurrent();
}

static PyObject *make_tuple(PyObject *const *items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    if (tuple == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(items[i]));
    return tuple;
}

/* A Handle with the slots that Handle.__init__() gives it. Steals `args` and `context`, which
 * may be NULL after a failure. */
static PyObject *make_handle(struct fa_py_loop *loop, PyObject *callback, PyObject *args,
                             PyObject *context)
{
    struct fa_py_state *state = loop->state;
    PyTypeObject *type = (PyTypeObject *)state->handle_type;
    PyObject *handle = args != NULL && context != NULL ? type->tp_alloc(type, 0) : NULL;
    if (handle == NULL) {
        Py_XDECREF(args);
        Py_XDECREF(context);
        return NULL;
    }
    *slot_of(state, handle, SLOT_CALLBACK) = Py_NewRef(callback);
    *slot_of(state, handle, SLOT_ARGS) = args;
    *slot_of(state, handle, SLOT_CANCELLED) = Py_NewRef(Py_False);
    *slot_of(state, handle, SLOT_LOOP) = Py_NewRef((PyObject *)loop);
    *slot_of(state, handle, SLOT_SOURCE_TRACEBACK) = Py_NewRef(Py_None);
    *slot_of(state, handle, SLOT_REPR) = Py_NewRef(Py_None);
    *slot_of(state, handle, SLOT_CONTEXT) = context;
    return handle;
}

PyObject *fa_py_handle_queue(struct fa_py_loop *loop, PyObject *const *args, Py_ssize_t count,
                             PyObject *kwnames)
{
    struct fa_py_state *state = loop->state;
    if (state == NULL || !state->handle_slots_known || loop->debug != Py_False ||
        loop->closed != Py_False || loop->ready == NULL || count < 1)
        return NULL;
    PyObject *context = choose_context(state, args, count, kwnames);
    if (context == NULL)
        return NULL;
    PyObject *handle = make_handle(loop, args[0], make_tuple(args + 1, count - 1), context);
    if (handle != NULL && fa_py_ready_append(loop, handle) < 0)
        Py_CLEAR(handle);
    return handle;
}

/* ---- what the interpreter's handles look like ----------------------------------------------- */

/* The offset of a slot; 0 when it is none, -1 and raised on failure. */
static Py_ssize_t find_offset(PyObject *type, const char *name)
{
    PyObject *descriptor = PyObject_GetAttrString(type, name);
    if (descriptor == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t offset = 0;
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type))
        offset = ((PyMemberDescrObject *)(void *)descriptor)->d_member->offset;
    Py_DECREF(descriptor);
    return offset;
}

static int find_slots(struct fa_py_state *state)
{
    PyObject *slots = PyObject_GetAttrString(state->handle_type, "__slots__");
    Py_ssize_t count = slots != NULL ? PyObject_Size(slots) : -1;
    Py_XDECREF(slots);
    if (count < 0)
        return -1;
    state->handle_slots_known = (size_t)count == FA_ARRAY_LEN(slot_names) + 1;
    for (size_t i = 0; i < FA_ARRAY_LEN(slot_names); i++) {
        Py_ssize_t offset = find_offset(state->handle_type, slot_names[i]);
        if (offset < 0)
            return -1;
        state->handle_offsets[i] = offset;
        state->handle_slots_known = state->handle_slots_known && offset > 0;
    }
    return 0;
}

int fa_py_init_handle(struct fa_py_state *state)
{
    if (fa_py_import(&state->handle_type, "asyncio.events", "Handle") < 0 ||
        fa_py_import(&state->timer_handle_type, "asyncio.events", "TimerHandle") < 0 ||
        fa_py_import(&state->format_callback, "asyncio.format_helpers", "_format_callback_source") <
            0 ||
        fa_py_import(&state->deque_type, "collections", "deque") < 0)
        return -1;
    state->handle_run = PyObject_GetAttr(state->handle_type, state->str__run);
    state->deque_append = PyObject_GetAttr(state->deque_type, state->str_append);
    state->deque_popleft = PyObject_GetAttr(state->deque_type, state->str_popleft);
    if (state->handle_run == NULL || state->deque_append == NULL || state->deque_popleft == NULL)
        return -1;
    return find_slots(state);
}

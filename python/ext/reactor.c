/* SPDX-License-Identifier: MIT */
/* reactor.c - fasterapi._native.Reactor: a reactor of the C library inside an asyncio loop.
 * With the GIL; on the loop's thread, except for what only looks.
 *
 *   OPEN -> (close(), or a fork in the child) CLOSED
 *
 * In our own Loop its selector owns the Reactor, and the loop's turn (turn.c) drives it. In a
 * foreign loop Python glue (fasterapi._foreign) watches fileno() and calls turn(); between
 * turns the wake hook asks for one with call_soon(), and deadlines with call_at().
 *
 * `loop` is a plain pointer: the loop holds the reactor, and clears the pointer when it dies
 * (our own Loop by itself, a foreign one through a weak reference). A reactor that is closed
 * from inside its turn closes at the end of it: the C library does not allow less. */
#include "reactor.h"

#include <fasterapi/error.h>

#include "init.h"
#include "loop.h"
#include "reactor_int.h"

#define MAX_CALLBACKS 256 /* native callbacks of one turn, so that asyncio's are not starved */

static struct fa_py_reactor *reactor_of(PyObject *self)
{
    return (struct fa_py_reactor *)(void *)self;
}

bool fa_py_reactor_check(const struct fa_py_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, (PyTypeObject *)state->reactor_type);
}

/* ---- fork --------------------------------------------------------------------------------- */

/* Every open reactor of the process; changes only with the GIL held. */
static struct fa_list all_reactors = {&all_reactors, &all_reactors};

static void give_up_inherited(struct fa_py_reactor *host)
{
    fa_reactor_after_fork(host->reactor);
    struct fa_list *link;
    for (link = host->attachments.next; link != &host->attachments; link = link->next) {
        struct fa_py_attachment *attachment = FA_CONTAINER_OF(link, struct fa_py_attachment, link);
        if (attachment->on_fork != NULL)
            attachment->on_fork(attachment);
    }
}

/* The kernel objects belong to the parent: closing our descriptors of them is all that a child
 * may do. A handler that forked goes on in the child too, up to the end of the turn. Runs
 * through os.register_at_fork, so only in a child that goes on as Python. */
static PyObject *after_fork_in_child(PyObject *module, PyObject *unused)
{
    struct fa_list *link;
    for (link = all_reactors.next; link != &all_reactors; link = link->next) {
        struct fa_py_reactor *host = FA_CONTAINER_OF(link, struct fa_py_reactor, reactors_link);
        if (!host->forked)
            give_up_inherited(host);
        host->forked = true;
    }
    Py_RETURN_NONE;
}

static PyMethodDef after_fork_def = {"_after_fork_in_child", after_fork_in_child, METH_NOARGS,
                                     NULL};

static int register_fork_handler(void)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *handler = PyCFunction_New(&after_fork_def, NULL);
    PyObject *none = NULL;
    if (os != NULL && handler != NULL) {
        PyObject *function = PyObject_GetAttrString(os, "register_at_fork");
        PyObject *kwargs = Py_BuildValue("{sO}", "after_in_child", handler);
        PyObject *args = PyTuple_New(0);
        if (function != NULL && kwargs != NULL && args != NULL)
            none = PyObject_Call(function, args, kwargs);
        Py_XDECREF(function);
        Py_XDECREF(kwargs);
        Py_XDECREF(args);
    }
    Py_XDECREF(os);
    Py_XDECREF(handler);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

/* ---- life cycle --------------------------------------------------------------------------- */

PyObject *fa_py_reactor_new(struct fa_py_state *state)
{
    PyTypeObject *type = (PyTypeObject *)state->reactor_type;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct fa_py_reactor *host = reactor_of(self);
    host->state = state;
    host->native_tasks = true;
    fa_list_init(&host->attachments);
    fa_list_init(&host->reactors_link);
    int err = fa_reactor_new(&host->reactor, NULL);
    if (err < 0) {
        (void)fa_py_raise(err, "creating a reactor");
        Py_DECREF(self);
        return NULL;
    }
    fa_list_push_back(&all_reactors, &host->reactors_link);
    return self;
}

static void cancel_deadline(struct fa_py_reactor *host)
{
    PyObject *handle = host->deadline_handle;
    host->deadline_handle = NULL;
    if (handle == NULL)
        return;
    PyObject *none = PyObject_CallMethodNoArgs(handle, host->state->str_cancel);
    if (none == NULL)
        PyErr_WriteUnraisable(handle);
    Py_XDECREF(none);
    Py_DECREF(handle);
}

void fa_py_reactor_close(struct fa_py_reactor *host)
{
    if (host->reactor == NULL)
        return;
    if (host->in_turn) {
        host->close_wanted = true;
        return;
    }
    host->close_wanted = false;
    fa_reactor_adopt(host->reactor);
    /* No turn follows, and the loop may be closed already. */
    fa_reactor_set_wake_hook(host->reactor, NULL, NULL);
    struct fa_list *link;
    while ((link = fa_list_pop_front(&host->attachments)) != NULL) {
        struct fa_py_attachment *attachment = FA_CONTAINER_OF(link, struct fa_py_attachment, link);
        attachment->on_close(attachment);
    }
    cancel_deadline(host);
    fa_list_unlink(&host->reactors_link);
    struct fa_reactor *reactor = host->reactor;
    host->reactor = NULL;
    fa_reactor_destroy(reactor);
    Py_CLEAR(host->spare_task);
}

void fa_py_reactor_attach(struct fa_py_reactor *host, struct fa_py_attachment *attachment)
{
    fa_list_push_front(&host->attachments, &attachment->link);
}

void fa_py_reactor_detach(struct fa_py_attachment *attachment)
{
    fa_list_unlink(&attachment->link);
}

/* ---- exceptions of native callbacks ------------------------------------------------------- */

void fa_py_reactor_report(struct fa_py_reactor *host, const char *message)
{
    PyObject *exc = fa_py_take_exception();
    if (exc == NULL)
        return;
    fa_py_reactor_report_exc(host, exc, message);
    Py_DECREF(exc);
}

static int call_exception_handler(struct fa_py_reactor *host, PyObject *exc, const char *message)
{
    struct fa_py_state *state = host->state;
    PyObject *text = PyUnicode_FromString(message);
    PyObject *info = PyDict_New();
    PyObject *none = NULL;
    if (text != NULL && info != NULL && PyDict_SetItem(info, state->str_message, text) == 0 &&
        PyDict_SetItem(info, state->str_exception, exc) == 0)
        none = PyObject_CallMethodOneArg(host->loop, state->str_call_exception_handler, info);
    Py_XDECREF(text);
    Py_XDECREF(info);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

static bool leaves_the_loop(PyObject *exc)
{
    return PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt) ||
           PyErr_GivenExceptionMatches(exc, PyExc_SystemExit);
}

void fa_py_reactor_report_exc(struct fa_py_reactor *host, PyObject *exc, const char *message)
{
    if (leaves_the_loop(exc)) {
        /* The first one wins: it is what the user pressed or asked for. */
        if (host->fatal == NULL)
            host->fatal = Py_NewRef(exc);
        return;
    }
    if (host->loop != NULL && call_exception_handler(host, exc, message) == 0)
        return;
    PyObject *second = fa_py_take_exception();
    if (second != NULL && leaves_the_loop(second) && host->fatal == NULL) {
        host->fatal = second;
        return;
    }
    Py_XDECREF(second);
    fa_py_restore_exception(Py_NewRef(exc));
    PyErr_WriteUnraisable((PyObject *)host);
}

int fa_py_reactor_raise_fatal(struct fa_py_reactor *host)
{
    if (FA_LIKELY(host->fatal == NULL))
        return 0;
    PyObject *exc = host->fatal;
    host->fatal = NULL;
    fa_py_restore_exception(exc);
    return -1;
}

/* ---- the loop's settings ------------------------------------------------------------------ */

bool fa_py_reactor_debug(const struct fa_py_reactor *host)
{
    const struct fa_py_loop *own = host->own_loop;
    return own != NULL ? own->debug == Py_True : host->foreign_debug;
}

bool fa_py_reactor_has_task_factory(const struct fa_py_reactor *host)
{
    const struct fa_py_loop *own = host->own_loop;
    if (own == NULL)
        return host->foreign_factory;
    return own->task_factory != NULL && own->task_factory != Py_None;
}

int fa_py_log_slow(struct fa_py_state *state, PyObject *what, PyObject *seconds)
{
    PyObject *format = PyUnicode_FromString("Executing %s took %.3f seconds");
    if (format == NULL)
        return -1;
    PyObject *logger = PyObject_GetAttr(state->base_events, state->str_logger);
    PyObject *none = NULL;
    if (logger != NULL) {
        PyObject *stack[] = {logger, format, what, seconds};
        none = PyObject_VectorcallMethod(state->str_warning, stack, 4, NULL);
    }
    Py_XDECREF(logger);
    Py_DECREF(format);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

static bool is_slow(struct fa_py_reactor *host, double seconds)
{
    if (host->loop == NULL)
        return false;
    PyObject *limit = PyObject_GetAttr(host->loop, host->state->str_slow_callback_duration);
    double limit_seconds = limit != NULL ? PyFloat_AsDouble(limit) : -1.0;
    Py_XDECREF(limit);
    if (limit_seconds == -1.0 && PyErr_Occurred()) {
        PyErr_Clear(); /* a foreign loop without such a limit */
        return false;
    }
    return seconds >= limit_seconds;
}

static void note_slow(struct fa_py_reactor *host, PyObject *coro, uint64_t took_ns)
{
    double seconds = (double)took_ns / 1e9;
    if (host->slow_reported || !is_slow(host, seconds))
        return;
    host->slow_reported = true;
    PyObject *what = coro != NULL ? PyObject_CallOneArg(host->state->format_coroutine, coro)
                                  : PyUnicode_FromString("a native callback of the reactor");
    PyObject *took_seconds = PyFloat_FromDouble(seconds);
    if (what == NULL || took_seconds == NULL || fa_py_log_slow(host->state, what, took_seconds) < 0)
        PyErr_WriteUnraisable((PyObject *)host);
    Py_XDECREF(what);
    Py_XDECREF(took_seconds);
}

void fa_py_reactor_note_slow(struct fa_py_reactor *host, PyObject *coro, uint64_t took_ns)
{
    PyObject *saved = fa_py_take_exception();
    note_slow(host, coro, took_ns);
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

/* ---- native work -------------------------------------------------------------------------- */

/* Runs one callback; false when none was left. */
static bool dispatch_one(struct fa_py_reactor *host)
{
    if (FA_LIKELY(!fa_py_reactor_debug(host)))
        return fa_reactor_dispatch_one(host->reactor);
    host->slow_reported = false;
    uint64_t started_ns = fa_now_ns();
    bool ran = fa_reactor_dispatch_one(host->reactor);
    if (ran)
        fa_py_reactor_note_slow(host, NULL, fa_now_ns() - started_ns);
    return ran;
}

static bool is_stopping(const struct fa_py_reactor *host)
{
    const struct fa_py_loop *own = host->own_loop;
    return own != NULL && own->stopping == Py_True;
}

int fa_py_reactor_dispatch(struct fa_py_reactor *host)
{
    int err = 0;
    for (int i = 0; i < MAX_CALLBACKS && err == 0 && dispatch_one(host); i++) {
        err = fa_py_reactor_raise_fatal(host);
        if (err == 0)
            err = PyErr_CheckSignals();
        if (is_stopping(host))
            break;
    }
    return err;
}

void fa_py_reactor_end_turn(struct fa_py_reactor *host)
{
    PyObject *exc = PyErr_Occurred() ? fa_py_take_exception() : NULL;
    fa_reactor_end_turn(host->reactor);
    if (exc != NULL)
        fa_py_restore_exception(exc);
}

/* ---- in a foreign loop -------------------------------------------------------------------- */

static int schedule_turn(struct fa_py_reactor *host)
{
    if (host->wake_scheduled || host->loop == NULL)
        return 0;
    PyObject *turn = PyObject_GetAttr((PyObject *)host, host->state->str_turn);
    if (turn == NULL)
        return -1;
    PyObject *handle = PyObject_CallMethodOneArg(host->loop, host->state->str_call_soon, turn);
    Py_DECREF(turn);
    if (handle == NULL)
        return -1;
    Py_DECREF(handle);
    host->wake_scheduled = true;
    return 0;
}

int fa_py_reactor_schedule_dispatch(struct fa_py_reactor *host)
{
    return schedule_turn(host);
}

/* Whether the exception that is set says no more than that the loop is closed, as it may be
 * when what lives on it is given up later; then it is cleared: no turn will come. */
static bool forgive_closed_loop(struct fa_py_reactor *host)
{
    PyObject *exc = fa_py_take_exception();
    PyObject *closed = PyObject_CallMethodNoArgs(host->loop, host->state->str_is_closed);
    bool forgiven = closed == Py_True;
    Py_XDECREF(closed);
    PyErr_Clear();
    if (forgiven)
        Py_DECREF(exc);
    else
        fa_py_restore_exception(exc);
    return forgiven;
}

static void wake_foreign_loop(void *user)
{
    struct fa_py_reactor *host = user;
    PyObject *saved = fa_py_take_exception();
    if (schedule_turn(host) < 0 && !forgive_closed_loop(host))
        PyErr_WriteUnraisable((PyObject *)host);
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

/* loop.call_at() with the loop's own clock, which need not be ours. */
static PyObject *call_at(struct fa_py_reactor *host, double delay_seconds)
{
    struct fa_py_state *state = host->state;
    PyObject *now = PyObject_CallMethodNoArgs(host->loop, state->str_time);
    if (now == NULL)
        return NULL;
    double when_seconds = PyFloat_AsDouble(now) + delay_seconds;
    Py_DECREF(now);
    if (PyErr_Occurred())
        return NULL;
    PyObject *when = PyFloat_FromDouble(when_seconds);
    PyObject *expire = PyObject_GetAttr((PyObject *)host, state->str_expire);
    PyObject *handle = NULL;
    if (when != NULL && expire != NULL) {
        PyObject *stack[] = {host->loop, when, expire};
        handle = PyObject_VectorcallMethod(state->str_call_at, stack, 3, NULL);
    }
    Py_XDECREF(when);
    Py_XDECREF(expire);
    return handle;
}

/* One timer of the foreign loop stands for all of ours. One that is early is kept: its turn
 * finds nothing to do and comes back here, which is cheaper than replacing it each time. */
static int arm_deadline(struct fa_py_reactor *host)
{
    uint64_t next_ns = fa_reactor_next_deadline_ns(host->reactor);
    uint64_t now_ns = fa_now_ns();
    if (host->deadline_handle != NULL) {
        if (host->deadline_ns <= next_ns && host->deadline_ns > now_ns)
            return 0;
        cancel_deadline(host);
    }
    if (next_ns == UINT64_MAX || host->loop == NULL)
        return 0;
    uint64_t delay_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    host->deadline_handle = call_at(host, (double)delay_ns / 1e9);
    host->deadline_ns = next_ns;
    return host->deadline_handle != NULL ? 0 : -1;
}

static int method_is_true(PyObject *object, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs(object, name);
    if (answer == NULL)
        return -1;
    int yes = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return yes;
}

static int read_foreign_settings(struct fa_py_reactor *host)
{
    if (host->own_loop != NULL || host->loop == NULL)
        return 0;
    int debug = method_is_true(host->loop, host->state->str_get_debug);
    if (debug < 0)
        return -1;
    PyObject *factory = PyObject_CallMethodNoArgs(host->loop, host->state->str_get_task_factory);
    if (factory == NULL)
        return -1;
    host->foreign_debug = debug != 0;
    host->foreign_factory = factory != Py_None;
    Py_DECREF(factory);
    return 0;
}

static int turn_events(struct fa_py_reactor *host)
{
    if (host->own_loop == NULL) {
        int count = fa_reactor_wait(host->reactor, 0);
        if (count < 0) {
            (void)fa_py_raise(count, "polling a reactor");
            return -1;
        }
    }
    fa_reactor_collect(host->reactor);
    return 0;
}

static int turn_after(struct fa_py_reactor *host)
{
    if (host->close_wanted) {
        fa_py_reactor_close(host);
        return 0;
    }
    if (fa_reactor_has_ready(host->reactor) && schedule_turn(host) < 0)
        return -1;
    return host->own_loop == NULL ? arm_deadline(host) : 0;
}

static int run_turn(struct fa_py_reactor *host)
{
    host->in_turn = true;
    host->wake_scheduled = false;
    fa_reactor_adopt(host->reactor);
    int err = read_foreign_settings(host);
    if (err == 0)
        err = turn_events(host);
    if (err == 0) {
        err = fa_py_reactor_dispatch(host);
        fa_py_reactor_end_turn(host);
    }
    host->in_turn = false;
    PyObject *exc = fa_py_take_exception();
    if (turn_after(host) < 0) {
        if (exc == NULL)
            return -1;
        PyErr_WriteUnraisable((PyObject *)host);
    }
    if (exc != NULL)
        fa_py_restore_exception(exc);
    return err == 0 ? fa_py_reactor_raise_fatal(host) : err;
}

PyDoc_STRVAR(turn_doc, "turn($self, /)\n--\n\n"
                       "Take the events that have happened and run native callbacks, without "
                       "waiting.\n\nCalled by a foreign event loop when fileno() is readable.");

static PyObject *reactor_turn(PyObject *self, PyObject *unused)
{
    struct fa_py_reactor *host = reactor_of(self);
    if (host->reactor == NULL || host->in_turn || host->forked)
        Py_RETURN_NONE;
    Py_INCREF(self);
    int err = run_turn(host);
    Py_DECREF(self);
    if (err < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(expire_doc,
             "expire($self, /)\n--\n\nA turn that the timer of a foreign loop asked for.");

/* The loop's clock may be coarse or behind ours, so its timer may be early for the deadline it
 * stands for; the turn that follows must see that it is spent, or none would be set again. */
static PyObject *reactor_expire(PyObject *self, PyObject *unused)
{
    Py_CLEAR(reactor_of(self)->deadline_handle);
    return reactor_turn(self, NULL);
}

/* ---- members ------------------------------------------------------------------------------ */

PyDoc_STRVAR(fileno_doc, "fileno($self, /)\n--\n\n"
                         "The descriptor that is readable when a turn would find an event.\n\n"
                         "It stays the reactor's. -1 once the reactor is closed.");

static PyObject *reactor_fileno(PyObject *self, PyObject *unused)
{
    struct fa_py_reactor *host = reactor_of(self);
    return PyLong_FromLong(host->reactor != NULL ? fa_reactor_fd(host->reactor) : -1);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\n"
                        "Close the reactor and whatever lives on it.\n\n"
                        "From inside a native callback it takes effect when the turn ends. "
                        "Closing twice is harmless.");

static PyObject *reactor_close(PyObject *self, PyObject *unused)
{
    if (reactor_of(self)->own_loop != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this reactor is closed by its event loop");
        return NULL;
    }
    fa_py_reactor_close(reactor_of(self));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(stats_doc, "stats($self, /)\n--\n\n"
                        "Counters since the reactor was made: polls, io_events, timers, tasks, "
                        "mailbox, lag_ns, lag_max_ns.\n\nAll zero once it is closed.");

static PyObject *reactor_stats(PyObject *self, PyObject *unused)
{
    struct fa_py_reactor *host = reactor_of(self);
    struct fa_reactor_stats stats = {0};
    if (host->reactor != NULL)
        fa_reactor_get_stats(host->reactor, &stats);
    return Py_BuildValue(
        "{sK sK sK sK sK sK sK}", "polls", (unsigned long long)stats.polls, "io_events",
        (unsigned long long)stats.io_events, "timers", (unsigned long long)stats.timers, "tasks",
        (unsigned long long)stats.tasks, "mailbox", (unsigned long long)stats.mailbox, "lag_ns",
        (unsigned long long)stats.lag_ns, "lag_max_ns", (unsigned long long)stats.lag_max_ns);
}

static PyObject *reactor_get_loop(PyObject *self, void *closure)
{
    PyObject *loop = reactor_of(self)->loop;
    return Py_NewRef(loop != NULL ? loop : Py_None);
}

static PyObject *reactor_get_closed(PyObject *self, void *closure)
{
    return PyBool_FromLong(reactor_of(self)->reactor == NULL);
}

static PyObject *reactor_get_spin_us(PyObject *self, void *closure)
{
    return PyLong_FromUnsignedLong(reactor_of(self)->spin_us);
}

static int reactor_set_spin_us(PyObject *self, PyObject *value, void *closure)
{
    struct fa_py_reactor *host = reactor_of(self);
    unsigned long spin_us = value != NULL ? PyLong_AsUnsignedLong(value) : 0;
    if (PyErr_Occurred())
        return -1;
    if (host->reactor == NULL || spin_us > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "the reactor is closed, or spin_us too large");
        return -1;
    }
    host->spin_us = (uint32_t)spin_us;
    fa_reactor_set_spin(host->reactor, spin_us * 1000);
    return 0;
}

static PyObject *reactor_get_task_impl(PyObject *self, void *closure)
{
    return PyUnicode_FromString(reactor_of(self)->native_tasks ? "native" : "asyncio");
}

static int reactor_set_task_impl(PyObject *self, PyObject *value, void *closure)
{
    const char *text = value != NULL ? PyUnicode_AsUTF8(value) : "";
    if (text == NULL)
        return -1;
    bool native = strcmp(text, "native") == 0;
    if (!native && strcmp(text, "asyncio") != 0) {
        PyErr_SetString(PyExc_ValueError, "task_impl must be 'native' or 'asyncio'");
        return -1;
    }
    reactor_of(self)->native_tasks = native;
    return 0;
}

static PyObject *loop_is_gone(PyObject *self, PyObject *unused)
{
    reactor_of(self)->loop = NULL;
    Py_RETURN_NONE;
}

static PyMethodDef loop_is_gone_def = {"_loop_is_gone", loop_is_gone, METH_O, NULL};

/* The callback holds the reactor and the reactor the weak reference: a cycle that the loop's
 * death, close() or the collector breaks. */
static int watch_loop(struct fa_py_reactor *host, PyObject *loop)
{
    PyObject *callback = PyCFunction_New(&loop_is_gone_def, (PyObject *)host);
    if (callback == NULL)
        return -1;
    host->loop_ref = PyWeakref_NewRef(loop, callback);
    Py_DECREF(callback);
    if (host->loop_ref == NULL)
        return -1;
    host->loop = loop;
    return 0;
}

static PyObject *reactor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"loop", NULL};
    PyObject *loop;
    struct fa_py_state *state = fa_py_state_of_type(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "O:Reactor", names, &loop))
        return NULL;
    PyObject *self = fa_py_reactor_new(state);
    if (self == NULL)
        return NULL;
    struct fa_py_reactor *host = reactor_of(self);
    if (watch_loop(host, loop) < 0 || read_foreign_settings(host) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    fa_reactor_set_wake_hook(host->reactor, wake_foreign_loop, host);
    return self;
}

static int reactor_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_reactor *host = reactor_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(host->loop_ref);
    Py_VISIT(host->fatal);
    Py_VISIT(host->deadline_handle);
    return 0;
}

static int reactor_clear(PyObject *self)
{
    struct fa_py_reactor *host = reactor_of(self);
    Py_CLEAR(host->loop_ref);
    Py_CLEAR(host->fatal);
    Py_CLEAR(host->deadline_handle);
    return 0;
}

static void reactor_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct fa_py_reactor *host = reactor_of(self);
    PyObject_GC_UnTrack(self);
    PyObject *saved = fa_py_take_exception();
    fa_py_reactor_close(host);
    if (saved != NULL)
        fa_py_restore_exception(saved);
    (void)reactor_clear(self);
    Py_CLEAR(host->spare_task);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef reactor_methods[] = {
    {"turn", reactor_turn, METH_NOARGS, turn_doc},
    {"expire", reactor_expire, METH_NOARGS, expire_doc},
    {"fileno", reactor_fileno, METH_NOARGS, fileno_doc},
    {"close", reactor_close, METH_NOARGS, close_doc},
    {"stats", reactor_stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef reactor_getset[] = {
    {"loop", reactor_get_loop, NULL, "The event loop, or None once it is gone.", NULL},
    {"closed", reactor_get_closed, NULL, "Whether the reactor is closed.", NULL},
    {"spin_us", reactor_get_spin_us, reactor_set_spin_us,
     "Microseconds to poll before sleeping; acts in fasterapi.Loop, whose waits are ours.", NULL},
    {"task_impl", reactor_get_task_impl, reactor_set_task_impl,
     "How coroutines are driven: 'native' (the default), or 'asyncio' for loop.create_task().",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(reactor_doc, "Reactor(loop)\n--\n\n"
                          "A native reactor for an asyncio event loop that is not ours.\n\n"
                          "Use fasterapi._foreign.attach(), which also registers it.");

static PyType_Slot reactor_slots[] = {
    {Py_tp_doc, (void *)reactor_doc},           {Py_tp_new, (void *)reactor_new},
    {Py_tp_traverse, (void *)reactor_traverse}, {Py_tp_clear, (void *)reactor_clear},
    {Py_tp_dealloc, (void *)reactor_dealloc},   {Py_tp_methods, (void *)reactor_methods},
    {Py_tp_getset, (void *)reactor_getset},     {0, NULL},
};

static PyType_Spec reactor_spec = {
    .name = "fasterapi._native.Reactor",
    .basicsize = sizeof(struct fa_py_reactor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reactor_slots,
};

int fa_py_init_reactor(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_import(&state->base_events, "asyncio", "base_events") < 0 ||
        fa_py_import(&state->format_coroutine, "asyncio.coroutines", "_format_coroutine") < 0)
        return -1;
    if (register_fork_handler() < 0)
        return -1;
    return fa_py_add_type(module, &state->reactor_type, &reactor_spec, NULL, true);
}

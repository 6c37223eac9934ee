/* SPDX-License-Identifier: MIT */
/* turn.c - one turn of fasterapi.Loop: BaseEventLoop._run_once() with the native work in it.
 * On the loop's thread; the GIL is released only around a wait that may block.
 *
 *   timers    cancelled ones leave the heap; how long to wait
 *   wait      the kernel, for asyncio's descriptors and the native ones at once
 *   collect   asyncio's events become handles on _ready; native ones become ready work
 *   due       timers that are due follow them
 *   native    ready work, a bounded number, looking at signals and _stopping after each
 *   handles   what was on _ready when this step began
 *   flush     what the native side left for the end of a turn
 *
 * Nothing of asyncio's state is kept across a call: any callback may replace _ready, cancel
 * timers or stop the loop. An exception (KeyboardInterrupt, SystemExit) leaves the turn at
 * once; what it did not get to stays queued and is the first thing of the next turn.
 *
 * A loop with another selector has the same turn without the native steps. */
#include "turn.h"

#include <math.h>

#include <fasterapi/error.h>

#include "handle.h"
#include "reactor_int.h"
#include "selector.h"

#define MAX_TIMEOUT_SECONDS (24 * 3600.0) /* as asyncio: some kernels do not like more */
#define MIN_SCHEDULED 100                 /* asyncio's rule for rebuilding the timer heap */
#define MIN_CANCELLED_FRACTION 0.5

struct turn {
    struct fa_py_loop *loop;
    struct fa_py_state *state;
    PyObject *selector;
    struct fa_py_reactor *host; /* of the selector when that is ours, else NULL */
};

/* ---- small accessors ------------------------------------------------------------------------ */

static int get_when(struct turn *turn, PyObject *handle, double *when)
{
    PyObject *value = PyObject_GetAttr(handle, turn->state->str__when);
    if (value == NULL)
        return -1;
    *when = PyFloat_AsDouble(value);
    Py_DECREF(value);
    return *when == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static int get_time(struct turn *turn, double *now)
{
    PyObject *value = PyObject_CallMethodNoArgs((PyObject *)turn->loop, turn->state->str_time);
    if (value == NULL)
        return -1;
    *now = PyFloat_AsDouble(value);
    Py_DECREF(value);
    return *now == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static int check_complete(const struct fa_py_loop *loop)
{
    if (loop->ready != NULL && loop->scheduled != NULL && PyList_Check(loop->scheduled))
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the event loop has lost its queues");
    return -1;
}

static int is_true_or_missing(PyObject *value)
{
    return value == NULL ? 0 : PyObject_IsTrue(value);
}

/* ---- timers --------------------------------------------------------------------------------- */

static int add_cancelled_count(struct fa_py_loop *loop, long change)
{
    long count =
        loop->timer_cancelled_count != NULL ? PyLong_AsLong(loop->timer_cancelled_count) : 0;
    if (count == -1 && PyErr_Occurred())
        return -1;
    PyObject *number = PyLong_FromLong(count + change);
    if (number == NULL)
        return -1;
    Py_XSETREF(loop->timer_cancelled_count, number);
    return 0;
}

/* heapq.heappop(_scheduled), and the handle knows that it is not scheduled any more. */
static PyObject *pop_timer(struct turn *turn)
{
    PyObject *handle = PyObject_CallOneArg(turn->state->heappop, turn->loop->scheduled);
    if (handle == NULL)
        return NULL;
    if (PyObject_SetAttr(handle, turn->state->str__scheduled, Py_False) == 0)
        return handle;
    Py_DECREF(handle);
    return NULL;
}

static int keep_if_live(struct turn *turn, PyObject *handle, PyObject *kept)
{
    int cancelled = fa_py_handle_cancelled(turn->state, handle);
    if (cancelled < 0)
        return -1;
    if (cancelled)
        return PyObject_SetAttr(handle, turn->state->str__scheduled, Py_False);
    return PyList_Append(kept, handle);
}

static int rebuild_timers(struct turn *turn)
{
    PyObject *kept = PyList_New(0);
    PyObject *old = Py_NewRef(turn->loop->scheduled);
    int err = kept != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; err == 0 && i < PyList_GET_SIZE(old); i++) {
        PyObject *handle = Py_NewRef(PyList_GET_ITEM(old, i));
        err = keep_if_live(turn, handle, kept);
        Py_DECREF(handle);
    }
    Py_DECREF(old);
    PyObject *none = err == 0 ? PyObject_CallOneArg(turn->state->heapify, kept) : NULL;
    PyObject *zero = PyLong_FromLong(0);
    if (none == NULL || zero == NULL) {
        Py_XDECREF(none);
        Py_XDECREF(zero);
        Py_XDECREF(kept);
        return -1;
    }
    Py_DECREF(none);
    Py_SETREF(turn->loop->scheduled, kept);
    Py_XSETREF(turn->loop->timer_cancelled_count, zero);
    return 0;
}

static int drop_cancelled_head(struct turn *turn)
{
    while (PyList_GET_SIZE(turn->loop->scheduled) > 0) {
        PyObject *first = Py_NewRef(PyList_GET_ITEM(turn->loop->scheduled, 0));
        int cancelled = fa_py_handle_cancelled(turn->state, first);
        Py_DECREF(first);
        if (cancelled <= 0)
            return cancelled;
        if (add_cancelled_count(turn->loop, -1) < 0)
            return -1;
        PyObject *handle = pop_timer(turn);
        if (handle == NULL)
            return -1;
        Py_DECREF(handle);
    }
    return 0;
}

static int drop_cancelled(struct turn *turn)
{
    Py_ssize_t count = PyList_GET_SIZE(turn->loop->scheduled);
    if (count == 0)
        return 0;
    if (count > MIN_SCHEDULED && turn->loop->timer_cancelled_count != NULL) {
        double cancelled = PyFloat_AsDouble(turn->loop->timer_cancelled_count);
        if (cancelled == -1.0 && PyErr_Occurred())
            return -1;
        if (cancelled / (double)count > MIN_CANCELLED_FRACTION)
            return rebuild_timers(turn);
    }
    return drop_cancelled_head(turn);
}

/* How long asyncio would let select() wait, in seconds; negative for ever. */
static int compute_timeout(struct turn *turn, double *seconds)
{
    struct fa_py_loop *loop = turn->loop;
    *seconds = 0;
    Py_ssize_t ready = PyObject_Size(loop->ready);
    int stopping = is_true_or_missing(loop->stopping);
    if (ready < 0 || stopping < 0)
        return -1;
    if (ready > 0 || stopping > 0)
        return 0;
    *seconds = -1;
    if (PyList_GET_SIZE(loop->scheduled) == 0)
        return 0;
    double when, now;
    if (get_when(turn, PyList_GET_ITEM(loop->scheduled, 0), &when) < 0 || get_time(turn, &now) < 0)
        return -1;
    *seconds = fmin(fmax(when - now, 0), MAX_TIMEOUT_SECONDS);
    return 0;
}

static int take_due_timers(struct turn *turn)
{
    struct fa_py_loop *loop = turn->loop;
    if (PyList_GET_SIZE(loop->scheduled) == 0)
        return 0;
    double now, when;
    if (get_time(turn, &now) < 0)
        return -1;
    if (loop->clock_resolution != NULL)
        now += PyFloat_AsDouble(loop->clock_resolution);
    if (PyErr_Occurred())
        return -1;
    while (PyList_GET_SIZE(loop->scheduled) > 0) {
        if (get_when(turn, PyList_GET_ITEM(loop->scheduled, 0), &when) < 0)
            return -1;
        if (when >= now)
            return 0;
        PyObject *handle = pop_timer(turn);
        if (handle == NULL)
            return -1;
        int err = fa_py_ready_append(turn->loop, handle);
        Py_DECREF(handle);
        if (err < 0)
            return -1;
    }
    return 0;
}

/* ---- events --------------------------------------------------------------------------------- */

/* One direction of BaseSelectorEventLoop._process_events(). */
static int queue_handle(struct turn *turn, PyObject *handle, PyObject *fileobj, PyObject *remove)
{
    if (handle == Py_None)
        return 0;
    int cancelled = fa_py_handle_cancelled(turn->state, handle);
    if (cancelled < 0)
        return -1;
    if (!cancelled)
        return fa_py_ready_append(turn->loop, handle);
    PyObject *done = PyObject_CallMethodOneArg((PyObject *)turn->loop, remove, fileobj);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int queue_event(struct turn *turn, const struct fa_py_event *event)
{
    PyObject *data = event->data;
    if (!PyTuple_Check(data) || PyTuple_GET_SIZE(data) != 2) {
        PyErr_SetString(PyExc_TypeError, "a file object in the loop's selector is not the loop's");
        return -1;
    }
    int err = 0;
    if (event->mask & 1)
        err = queue_handle(turn, PyTuple_GET_ITEM(data, 0), event->fileobj,
                           turn->state->str__remove_reader);
    if (err == 0 && (event->mask & 2))
        err = queue_handle(turn, PyTuple_GET_ITEM(data, 1), event->fileobj,
                           turn->state->str__remove_writer);
    return err;
}

/* The array is taken first: queueing runs Python code that may come back to the selector. */
static int queue_events(struct turn *turn)
{
    struct fa_py_selector *selector = fa_py_selector_of(turn->selector);
    struct fa_py_event *events = selector->events;
    size_t count = selector->event_count;
    size_t cap = selector->event_cap;
    selector->events = NULL;
    selector->event_count = 0;
    selector->event_cap = 0;
    int err = 0;
    for (size_t i = 0; i < count; i++) {
        if (err == 0)
            err = queue_event(turn, &events[i]);
        fa_py_event_clean_up(&events[i]);
    }
    fa_py_selector_give_back(selector, events, cap);
    return err;
}

static int process_events(struct turn *turn, PyObject *list)
{
    if (list == NULL)
        return -1;
    PyObject *none =
        PyObject_CallMethodOneArg((PyObject *)turn->loop, turn->state->str__process_events, list);
    Py_DECREF(list);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

/* With our selector. The reactor shortens the wait by its own timers and ready work. */
static int wait_and_collect(struct turn *turn, double seconds)
{
    struct fa_py_selector *selector = fa_py_selector_of(turn->selector);
    int64_t timeout_ns = seconds < 0 ? -1 : (int64_t)ceil(seconds * 1e9);
    if (selector->event_count == 0 && fa_py_selector_wait(selector, timeout_ns) < 0)
        return -1;
    fa_reactor_collect(turn->host->reactor);
    int err = 0;
    if (selector->event_count > 0)
        err = turn->loop->plain_events ? queue_events(turn)
                                       : process_events(turn, fa_py_selector_take_list(selector));
    return err == 0 ? PyErr_CheckSignals() : err;
}

/* With any other selector, as asyncio does it. */
static int select_foreign(struct turn *turn, double seconds)
{
    PyObject *timeout = Py_NewRef(Py_None);
    if (seconds >= 0)
        Py_SETREF(timeout, seconds > 0 ? PyFloat_FromDouble(seconds) : PyLong_FromLong(0));
    if (timeout == NULL)
        return -1;
    PyObject *list = PyObject_CallMethodOneArg(turn->selector, turn->state->str_select, timeout);
    Py_DECREF(timeout);
    return process_events(turn, list);
}

static int poll_events(struct turn *turn)
{
    double seconds;
    if (compute_timeout(turn, &seconds) < 0)
        return -1;
    return turn->host != NULL ? wait_and_collect(turn, seconds) : select_foreign(turn, seconds);
}

/* ---- handles -------------------------------------------------------------------------------- */

static int warn_if_slow(struct turn *turn, PyObject *handle, double seconds)
{
    struct fa_py_state *state = turn->state;
    PyObject *took = PyFloat_FromDouble(seconds);
    PyObject *limit = PyObject_GetAttr((PyObject *)turn->loop, state->str_slow_callback_duration);
    int err = -1;
    if (took != NULL && limit != NULL)
        err = PyObject_RichCompareBool(took, limit, Py_GE);
    if (err > 0) {
        PyObject *what = PyObject_CallOneArg(state->format_handle, handle);
        err = what != NULL ? fa_py_log_slow(state, what, took) : -1;
        Py_XDECREF(what);
    }
    Py_XDECREF(took);
    Py_XDECREF(limit);
    return err;
}

static int run_handle_debug(struct turn *turn, PyObject *handle)
{
    PyObject *self = (PyObject *)turn->loop;
    PyObject *name = turn->state->str__current_handle;
    double started, ended;
    if (PyObject_SetAttr(self, name, handle) < 0)
        return -1;
    int err = get_time(turn, &started);
    if (err == 0)
        err = fa_py_handle_run(turn->state, handle, false);
    if (err == 0)
        err = get_time(turn, &ended);
    if (err == 0)
        (void)warn_if_slow(turn, handle, ended - started); /* what it raised is taken here */
    PyObject *exc = fa_py_take_exception();
    if (PyObject_SetAttr(self, name, Py_None) < 0 && exc != NULL)
        PyErr_Clear();
    if (exc != NULL)
        fa_py_restore_exception(exc);
    return PyErr_Occurred() ? -1 : 0;
}

static int run_next_handle(struct turn *turn, bool inlined)
{
    PyObject *handle = fa_py_ready_popleft(turn->loop);
    if (handle == NULL)
        return -1;
    int cancelled = fa_py_handle_cancelled(turn->state, handle);
    int err = cancelled < 0 ? -1 : 0;
    if (cancelled == 0) {
        int debug = is_true_or_missing(turn->loop->debug);
        if (debug < 0)
            err = -1;
        else
            err = debug ? run_handle_debug(turn, handle)
                        : fa_py_handle_run(turn->state, handle, inlined);
    }
    Py_DECREF(handle);
    return err;
}

/* Only what is queued now: what handles queue waits for the next turn, after a poll. */
static int run_handles(struct turn *turn)
{
    Py_ssize_t todo = check_complete(turn->loop) == 0 ? PyObject_Size(turn->loop->ready) : -1;
    int inlined = todo > 0 ? fa_py_handle_run_is_stock(turn->state) : 0;
    if (todo < 0 || inlined < 0)
        return -1;
    for (; todo > 0; todo--)
        if (run_next_handle(turn, inlined != 0) < 0 || check_complete(turn->loop) < 0)
            return -1;
    return 0;
}

/* ---- the turn ------------------------------------------------------------------------------- */

static int run_native(struct fa_py_reactor *host)
{
    if (host == NULL || !fa_reactor_has_ready(host->reactor))
        return 0;
    host->in_turn = true;
    int err = fa_py_reactor_dispatch(host);
    fa_py_reactor_end_turn(host);
    host->in_turn = false;
    return err;
}

/* What handles left for the end of the turn: output above all. */
static void flush_native(struct fa_py_reactor *host)
{
    if (host == NULL || host->reactor == NULL || !fa_reactor_has_ready(host->reactor))
        return;
    host->in_turn = true;
    fa_py_reactor_end_turn(host);
    host->in_turn = false;
}

static int run_turn(struct turn *turn)
{
    if (check_complete(turn->loop) < 0 || drop_cancelled(turn) < 0 || poll_events(turn) < 0 ||
        check_complete(turn->loop) < 0 || take_due_timers(turn) < 0 || run_native(turn->host) < 0)
        return -1;
    int err = run_handles(turn);
    flush_native(turn->host);
    if (err < 0 || turn->host == NULL)
        return err;
    return fa_py_reactor_raise_fatal(turn->host);
}

static int check_usable(const struct fa_py_loop *loop)
{
    const struct fa_py_reactor *host = loop->host;
    const char *why = NULL;
    if (loop->selector == NULL || (host != NULL && host->reactor == NULL))
        why = "Selector is closed";
    else if (host != NULL && host->forked)
        why = "this event loop belongs to the parent process: make a new one";
    else if (host != NULL && host->in_turn)
        why = "the event loop cannot run inside a native callback";
    if (why == NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, why);
    return -1;
}

PyObject *fa_py_loop_run_once(PyObject *self, PyObject *unused)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    if (check_usable(loop) < 0)
        return NULL;
    /* Kept for the turn: a callback may give the loop another selector. */
    struct turn turn = {loop, loop->state, Py_NewRef(loop->selector), loop->host};
    Py_XINCREF(turn.host);
    int err = run_turn(&turn);
    Py_XDECREF(turn.host);
    Py_DECREF(turn.selector);
    if (err < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- queueing ------------------------------------------------------------------------------- */

static PyObject *base_call_soon(struct fa_py_loop *loop, PyObject *const *args, Py_ssize_t count,
                                PyObject *kwnames)
{
    Py_ssize_t total = count + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject **stack = PyMem_New(PyObject *, (size_t)total + 1);
    if (stack == NULL)
        return PyErr_NoMemory();
    stack[0] = (PyObject *)loop;
    for (Py_ssize_t i = 0; i < total; i++)
        stack[i + 1] = args[i];
    struct fa_py_state *state = fa_py_state_of_type(Py_TYPE((PyObject *)loop));
    PyObject *handle = NULL;
    if (state != NULL)
        handle = PyObject_Vectorcall(state->base_call_soon, stack, (size_t)count + 1, kwnames);
    PyMem_Free(stack);
    return handle;
}

PyObject *fa_py_call_soon(struct fa_py_loop *loop, PyObject *const *args, Py_ssize_t count,
                          PyObject *kwnames)
{
    PyObject *handle = fa_py_handle_queue(loop, args, count, kwnames);
    if (handle != NULL || PyErr_Occurred())
        return handle;
    return base_call_soon(loop, args, count, kwnames);
}

int fa_py_init_turn(struct fa_py_state *state)
{
    PyObject *base = NULL;
    if (fa_py_import(&base, "asyncio.base_events", "BaseEventLoop") < 0)
        return -1;
    state->base_call_soon = PyObject_GetAttr(base, state->str_call_soon);
    Py_DECREF(base);
    if (state->base_call_soon == NULL)
        return -1;
    if (fa_py_import(&state->format_handle, "asyncio.base_events", "_format_handle") < 0 ||
        fa_py_import(&state->heappop, "heapq", "heappop") < 0 || fa_py_init_handle(state) < 0)
        return -1;
    return fa_py_import(&state->heapify, "heapq", "heapify");
}

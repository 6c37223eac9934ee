/* SPDX-License-Identifier: MIT */
/* selector.c - fasterapi._native.Selector: the reactor as a selectors.BaseSelector. With the
 * GIL; like every selector it may be used from any one thread at a time.
 *
 *   OPEN -> (close()) CLOSED: get_map() is None, everything else raises
 *
 * Each registered file object is a watcher of the reactor. Its events are put into an array
 * inside collect, and turned into Python objects after it: by the loop's turn into handles on
 * the ready queue, by select() into the usual list. Native callbacks never run inside
 * select(); in a loop whose _run_once() is not ours they are scheduled with call_soon(). */
#include "selector.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

#include <fasterapi/alloc.h>
#include <fasterapi/error.h>

#include "init.h"
#include "reactor_int.h"

enum { EVENT_READ = 1, EVENT_WRITE = 2 };

struct fa_py_watcher {
    struct fa_io io; /* without a reactor: stale, see is_stale() */
    int fd;
    struct fa_py_selector *selector;
    PyObject *fileobj;
    PyObject *data;
    unsigned events;
};

bool fa_py_selector_check(const struct fa_py_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, (PyTypeObject *)state->selector_type);
}

/* ---- events --------------------------------------------------------------------------------- */

void fa_py_event_clean_up(struct fa_py_event *event)
{
    Py_CLEAR(event->fileobj);
    Py_CLEAR(event->data);
}

void fa_py_selector_give_back(struct fa_py_selector *selector, struct fa_py_event *events,
                              size_t cap)
{
    if (selector->events != NULL) {
        fa_free(events);
        return;
    }
    selector->events = events;
    selector->event_cap = cap;
}

static bool reserve_event(struct fa_py_selector *selector)
{
    if (FA_LIKELY(selector->event_count < selector->event_cap))
        return true;
    size_t cap = selector->event_cap != 0 ? selector->event_cap * 2 : 64;
    struct fa_py_event *grown = fa_realloc(selector->events, cap * sizeof(struct fa_py_event));
    if (grown == NULL)
        return false;
    selector->events = grown;
    selector->event_cap = cap;
    return true;
}

/* Inside collect. Without memory the event is left out: the kernel will report it again. */
static void on_event(struct fa_io *io, unsigned events)
{
    struct fa_py_watcher *watcher = FA_CONTAINER_OF(io, struct fa_py_watcher, io);
    struct fa_py_selector *selector = watcher->selector;
    unsigned mask = 0;
    if (events & (FA_IO_READ | FA_IO_ERROR))
        mask |= EVENT_READ;
    if (events & (FA_IO_WRITE | FA_IO_ERROR))
        mask |= EVENT_WRITE;
    mask &= watcher->events;
    if (mask == 0 || !reserve_event(selector))
        return;
    selector->events[selector->event_count++] = (struct fa_py_event){
        .fileobj = Py_NewRef(watcher->fileobj),
        .data = Py_NewRef(watcher->data),
        .fd = io->fd,
        .events = watcher->events,
        .mask = mask,
    };
}

static PyObject *make_key(struct fa_py_state *state, PyObject *fileobj, int fd, unsigned events,
                          PyObject *data)
{
    PyObject *fd_object = PyLong_FromLong(fd);
    PyObject *events_object = PyLong_FromUnsignedLong(events);
    PyObject *key = NULL;
    if (fd_object != NULL && events_object != NULL) {
        PyObject *args[] = {fileobj, fd_object, events_object, data};
        key = PyObject_Vectorcall(state->selector_key, args, 4, NULL);
    }
    Py_XDECREF(fd_object);
    Py_XDECREF(events_object);
    return key;
}

PyObject *fa_py_selector_key(struct fa_py_state *state, const struct fa_py_event *event)
{
    return make_key(state, event->fileobj, event->fd, event->events, event->data);
}

static int append_event(PyObject *list, struct fa_py_state *state, struct fa_py_event *event)
{
    PyObject *key = fa_py_selector_key(state, event);
    if (key == NULL)
        return -1;
    PyObject *pair = Py_BuildValue("(NI)", key, event->mask);
    if (pair == NULL)
        return -1;
    int err = PyList_Append(list, pair);
    Py_DECREF(pair);
    return err;
}

PyObject *fa_py_selector_take_list(struct fa_py_selector *selector)
{
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < selector->event_count; i++) {
        if (append_event(list, selector->state, &selector->events[i]) < 0) {
            Py_DECREF(list);
            return NULL; /* the events stay, and are reported by the next select() */
        }
    }
    size_t count = selector->event_count;
    selector->event_count = 0;
    for (size_t i = 0; i < count; i++)
        fa_py_event_clean_up(&selector->events[i]);
    return list;
}

/* ---- registering ---------------------------------------------------------------------------- */

/* The reactor, owned by this thread from now on: an asyncio loop may be set up, run and closed
 * on different threads as long as it is one at a time, and the GIL orders them. */
static struct fa_reactor *use_reactor(struct fa_py_selector *selector)
{
    struct fa_reactor *reactor = selector->host->reactor;
    if (reactor != NULL)
        fa_reactor_adopt(reactor);
    return reactor;
}

static int raise_closed(void)
{
    PyErr_SetString(PyExc_RuntimeError, "Selector is closed");
    return -1;
}

static int check_open(struct fa_py_selector *selector)
{
    if (selector->map == NULL)
        return raise_closed();
    if (selector->host->forked) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this event loop belongs to the parent process: make a new one");
        return -1;
    }
    return selector->host->reactor != NULL ? 0 : raise_closed();
}

/* int(fileobj.fileno()), as a new reference. */
static PyObject *call_fileno(struct fa_py_state *state, PyObject *fileobj)
{
    PyObject *answer = PyObject_CallMethodNoArgs(fileobj, state->str_fileno);
    if (answer == NULL)
        return NULL;
    PyObject *number = PyNumber_Long(answer);
    Py_DECREF(answer);
    return number;
}

/* The descriptor of a file object; -1 and ValueError when it has none. */
static int fd_of(struct fa_py_selector *selector, PyObject *fileobj)
{
    PyObject *number =
        PyLong_Check(fileobj) ? Py_NewRef(fileobj) : call_fileno(selector->state, fileobj);
    long fd = number != NULL ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (fd >= 0 && fd <= INT_MAX)
        return (int)fd;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %ld", fd);
    else if (PyErr_ExceptionMatches(PyExc_AttributeError) ||
             PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "Invalid file object: %R", fileobj);
    }
    return -1;
}

static struct fa_py_watcher *watcher_at(struct fa_py_selector *selector, int fd)
{
    return (size_t)fd < selector->watcher_cap ? selector->watchers[fd] : NULL;
}

/* A file object that was closed has no descriptor any more, but is still registered. */
static struct fa_py_watcher *find_by_identity(struct fa_py_selector *selector, PyObject *fileobj)
{
    for (size_t fd = 0; fd < selector->watcher_cap; fd++)
        if (selector->watchers[fd] != NULL && selector->watchers[fd]->fileobj == fileobj)
            return selector->watchers[fd];
    return NULL;
}

/* The watcher of a file object or descriptor. NULL without an exception when it is not
 * registered, NULL and ValueError when `fileobj` is no file object. */
static struct fa_py_watcher *find(struct fa_py_selector *selector, PyObject *fileobj)
{
    int fd = fd_of(selector, fileobj);
    if (fd >= 0)
        return watcher_at(selector, fd);
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return NULL;
    struct fa_py_watcher *watcher = find_by_identity(selector, fileobj);
    if (watcher != NULL)
        PyErr_Clear();
    return watcher;
}

static struct fa_py_watcher *find_or_raise(struct fa_py_selector *selector, PyObject *fileobj)
{
    struct fa_py_watcher *watcher = find(selector, fileobj);
    if (watcher == NULL && !PyErr_Occurred()) {
        PyObject *text = PyUnicode_FromFormat("%R is not registered", fileobj);
        if (text != NULL) {
            PyErr_SetObject(PyExc_KeyError, text);
            Py_DECREF(text);
        }
    }
    return watcher;
}

/* Its descriptor was closed behind the selector's back, and the number now is that of a native
 * connection. As with any selector the key stays until somebody unregisters it; what is
 * registered under the number meanwhile takes its place. */
static bool is_stale(const struct fa_py_watcher *watcher)
{
    return watcher->io.reactor == NULL;
}

static PyObject *watcher_key(struct fa_py_watcher *watcher)
{
    return make_key(watcher->selector->state, watcher->fileobj, watcher->fd, watcher->events,
                    watcher->data);
}

static int reserve_watcher(struct fa_py_selector *selector, int fd)
{
    size_t needed = (size_t)fd + 1;
    if (needed <= selector->watcher_cap)
        return 0;
    size_t cap = selector->watcher_cap != 0 ? selector->watcher_cap : 64;
    while (cap < needed)
        cap *= 2;
    struct fa_py_watcher **grown =
        fa_realloc(selector->watchers, cap * sizeof(struct fa_py_watcher *));
    if (grown == NULL) {
        (void)PyErr_NoMemory();
        return -1;
    }
    for (size_t i = selector->watcher_cap; i < cap; i++)
        grown[i] = NULL;
    selector->watchers = grown;
    selector->watcher_cap = cap;
    return 0;
}

static void free_watcher(struct fa_py_selector *selector, struct fa_py_watcher *watcher)
{
    fa_io_remove(&watcher->io);
    selector->watchers[watcher->fd] = NULL;
    selector->watcher_count--;
    Py_DECREF(watcher->fileobj);
    Py_DECREF(watcher->data);
    fa_free(watcher);
}

static unsigned interest_of(unsigned events)
{
    return ((events & EVENT_READ) != 0 ? FA_IO_READ : 0u) |
           ((events & EVENT_WRITE) != 0 ? FA_IO_WRITE : 0u);
}

static int watch(struct fa_py_watcher *watcher, unsigned events)
{
    struct fa_io *io = &watcher->io;
    if (!is_stale(watcher))
        return fa_io_set(io, interest_of(events));
    struct fa_reactor *reactor = watcher->selector->host->reactor;
    return fa_io_add(reactor, io, watcher->fd, interest_of(events), FA_IO_IMMEDIATE, on_event);
}

/* What epoll's own wrapper raises; asyncio tells the cases apart by type. */
static void raise_register_error(int err, int fd)
{
    if (err == FA_ENOTSUP) {
        errno = EPERM;
        PyErr_SetFromErrno(PyExc_OSError);
    } else if ((err == FA_ESYS || err == FA_EINVAL) && errno != 0) /* EINVAL: EBADF too */
        PyErr_SetFromErrno(PyExc_OSError);
    else if (err == FA_EEXIST)
        PyErr_Format(PyExc_KeyError, "descriptor %d is in use by the native side", fd);
    else
        (void)fa_py_raise(err, "watching a descriptor");
}

static struct fa_py_watcher *add_watcher(struct fa_py_selector *selector, PyObject *fileobj, int fd,
                                         unsigned events, PyObject *data)
{
    if (reserve_watcher(selector, fd) < 0)
        return NULL;
    struct fa_py_watcher *watcher = fa_calloc(1, sizeof(*watcher));
    if (watcher == NULL) {
        (void)PyErr_NoMemory();
        return NULL;
    }
    watcher->fd = fd;
    watcher->selector = selector;
    (void)use_reactor(selector);
    int err = watch(watcher, events);
    if (err < 0) {
        raise_register_error(err, fd);
        fa_free(watcher);
        return NULL;
    }
    watcher->fileobj = Py_NewRef(fileobj);
    watcher->data = Py_NewRef(data);
    watcher->events = events;
    selector->watchers[fd] = watcher;
    selector->watcher_count++;
    return watcher;
}

/* The three arguments of register() and modify(); `data` defaults to None. */
static int parse_arguments(PyObject *args, PyObject *kwargs, const char *format, PyObject **fileobj,
                           unsigned *events, PyObject **data)
{
    static char *names[] = {"fileobj", "events", "data", NULL};
    PyObject *events_object;
    *data = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, fileobj, &events_object, data))
        return -1;
    long value = PyLong_AsLong(events_object);
    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value == 0 || (value & ~(long)(EVENT_READ | EVENT_WRITE)) != 0) {
        PyErr_Format(PyExc_ValueError, "Invalid events: %R", events_object);
        return -1;
    }
    *events = (unsigned)value;
    return 0;
}

PyDoc_STRVAR(register_doc, "register($self, fileobj, events, data=None)\n--\n\n"
                           "Watch a file object; its SelectorKey.\n\n"
                           "See selectors.BaseSelector.register().");

static PyObject *selector_register(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    PyObject *fileobj, *data;
    unsigned events;
    if (parse_arguments(args, kwargs, "OO|O:register", &fileobj, &events, &data) < 0 ||
        check_open(selector) < 0)
        return NULL;
    int fd = fd_of(selector, fileobj);
    if (fd < 0)
        return NULL;
    struct fa_py_watcher *watcher = watcher_at(selector, fd);
    if (watcher != NULL && is_stale(watcher))
        free_watcher(selector, watcher);
    else if (watcher != NULL) {
        PyObject *text = PyUnicode_FromFormat("%R (FD %d) is already registered", fileobj, fd);
        if (text != NULL) {
            PyErr_SetObject(PyExc_KeyError, text);
            Py_DECREF(text);
        }
        return NULL;
    }
    watcher = add_watcher(selector, fileobj, fd, events, data);
    return watcher != NULL ? watcher_key(watcher) : NULL;
}

PyDoc_STRVAR(unregister_doc, "unregister($self, fileobj)\n--\n\n"
                             "Stop watching a file object; the SelectorKey it had.\n\n"
                             "See selectors.BaseSelector.unregister().");

static PyObject *selector_unregister(PyObject *self, PyObject *fileobj)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    struct fa_py_watcher *watcher = find_or_raise(selector, fileobj);
    if (watcher == NULL)
        return NULL;
    PyObject *key = watcher_key(watcher);
    if (key == NULL)
        return NULL;
    (void)use_reactor(selector);
    free_watcher(selector, watcher);
    return key;
}

PyDoc_STRVAR(modify_doc, "modify($self, fileobj, events, data=None)\n--\n\n"
                         "Change what a file object is watched for, or its data.\n\n"
                         "See selectors.BaseSelector.modify().");

static PyObject *selector_modify(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    PyObject *fileobj, *data;
    unsigned events;
    if (parse_arguments(args, kwargs, "OO|O:modify", &fileobj, &events, &data) < 0 ||
        check_open(selector) < 0)
        return NULL;
    struct fa_py_watcher *watcher = find_or_raise(selector, fileobj);
    if (watcher == NULL)
        return NULL;
    (void)use_reactor(selector);
    int err = watch(watcher, events);
    if (err < 0) {
        raise_register_error(err, watcher->fd);
        free_watcher(selector, watcher);
        return NULL;
    }
    watcher->events = events;
    Py_SETREF(watcher->data, Py_NewRef(data));
    return watcher_key(watcher);
}

/* ---- waiting -------------------------------------------------------------------------------- */

int fa_py_selector_wait(struct fa_py_selector *selector, int64_t timeout_ns)
{
    struct fa_reactor *reactor = use_reactor(selector);
    int count;
    if (timeout_ns == 0 || fa_reactor_has_ready(reactor)) {
        count = fa_reactor_wait(reactor, 0);
    } else {
        Py_BEGIN_ALLOW_THREADS count = fa_reactor_wait(reactor, timeout_ns);
        Py_END_ALLOW_THREADS
            /* Another thread may have used the loop meanwhile, as asyncio lets it. */
            fa_reactor_adopt(reactor);
    }
    if (count >= 0)
        return 0;
    (void)fa_py_raise(count, "waiting for events");
    return -1;
}

/* None: for ever; nothing or less: not at all. Rounded up: never early. */
static int read_timeout(PyObject *timeout, int64_t *timeout_ns)
{
    *timeout_ns = -1;
    if (timeout == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (!(seconds > 0))
        *timeout_ns = 0;
    else if (seconds < 9e9)
        *timeout_ns = (int64_t)ceil(seconds * 1e9);
    return 0;
}

PyDoc_STRVAR(select_doc, "select($self, timeout=None)\n--\n\n"
                         "Wait for events; a list of (SelectorKey, mask).\n\n"
                         "See selectors.BaseSelector.select().");

static PyObject *selector_select(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    struct fa_py_selector *selector = fa_py_selector_of(self);
    PyObject *timeout = Py_None;
    int64_t timeout_ns;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:select", names, &timeout) ||
        read_timeout(timeout, &timeout_ns) < 0 || check_open(selector) < 0)
        return NULL;
    struct fa_py_reactor *host = selector->host;
    if (host->in_turn) {
        PyErr_SetString(PyExc_RuntimeError, "select() inside a native callback");
        return NULL;
    }
    if (selector->event_count == 0 && fa_py_selector_wait(selector, timeout_ns) < 0)
        return NULL;
    fa_reactor_collect(host->reactor);
    if (PyErr_CheckSignals() < 0)
        return NULL;
    if (fa_reactor_has_ready(host->reactor) && fa_py_reactor_schedule_dispatch(host) < 0)
        return NULL;
    return fa_py_selector_take_list(selector);
}

/* ---- the rest ------------------------------------------------------------------------------- */

PyDoc_STRVAR(get_key_doc, "get_key($self, fileobj)\n--\n\nThe SelectorKey of a file object.");

static PyObject *selector_get_key(PyObject *self, PyObject *fileobj)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    if (selector->map == NULL) {
        (void)raise_closed();
        return NULL;
    }
    return fa_py_selector_find_key(selector, fileobj);
}

PyObject *fa_py_selector_find_key(struct fa_py_selector *selector, PyObject *fileobj)
{
    struct fa_py_watcher *watcher = find_or_raise(selector, fileobj);
    return watcher != NULL ? watcher_key(watcher) : NULL;
}

int fa_py_selector_has(struct fa_py_selector *selector, PyObject *fileobj)
{
    if (find(selector, fileobj) != NULL)
        return 1;
    if (!PyErr_Occurred())
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear();
    return 0;
}

PyObject *fa_py_selector_fds(struct fa_py_selector *selector)
{
    PyObject *list = PyList_New(0);
    for (size_t fd = 0; list != NULL && fd < selector->watcher_cap; fd++) {
        if (selector->watchers[fd] == NULL)
            continue;
        PyObject *number = PyLong_FromSize_t(fd);
        if (number == NULL || PyList_Append(list, number) < 0)
            Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

PyDoc_STRVAR(get_map_doc, "get_map($self, /)\n--\n\n"
                          "A mapping from file objects to SelectorKeys; None once closed.");

static PyObject *selector_get_map(PyObject *self, PyObject *unused)
{
    PyObject *map = fa_py_selector_of(self)->map;
    return Py_NewRef(map != NULL ? map : Py_None);
}

static void close_selector(struct fa_py_selector *selector)
{
    Py_CLEAR(selector->map); /* first: what runs meanwhile finds it closed */
    (void)use_reactor(selector);
    for (size_t fd = 0; fd < selector->watcher_cap; fd++)
        if (selector->watchers[fd] != NULL)
            free_watcher(selector, selector->watchers[fd]);
    for (size_t i = 0; i < selector->event_count; i++)
        fa_py_event_clean_up(&selector->events[i]);
    selector->event_count = 0;
    fa_py_reactor_close(selector->host);
}

PyDoc_STRVAR(selector_close_doc, "close($self, /)\n--\n\n"
                                 "Close the selector and its reactor, with whatever lives on it.");

static PyObject *selector_close(PyObject *self, PyObject *unused)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    if (selector->host->in_turn) {
        PyErr_SetString(PyExc_RuntimeError, "close() inside a native callback");
        return NULL;
    }
    close_selector(selector);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(selector_fileno_doc, "fileno($self, /)\n--\n\nThe descriptor of the poller.");

static PyObject *selector_fileno(PyObject *self, PyObject *unused)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    if (selector->host->reactor == NULL) {
        PyErr_SetString(PyExc_ValueError, "I/O operation on closed selector");
        return NULL;
    }
    return PyLong_FromLong(fa_reactor_fd(selector->host->reactor));
}

static PyObject *selector_enter(PyObject *self, PyObject *unused)
{
    return Py_NewRef(self);
}

static PyObject *selector_exit(PyObject *self, PyObject *args)
{
    return selector_close(self, NULL);
}

static PyObject *selector_get_reactor(PyObject *self, void *closure)
{
    return Py_NewRef((PyObject *)fa_py_selector_of(self)->host);
}

static PyObject *selector_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    struct fa_py_state *state = fa_py_state_of_type(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, ":Selector", names))
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct fa_py_selector *selector = fa_py_selector_of(self);
    selector->state = state;
    selector->host = (struct fa_py_reactor *)(void *)fa_py_reactor_new(state);
    if (selector->host != NULL)
        selector->map = fa_py_selector_map_new(selector);
    if (selector->map == NULL)
        Py_CLEAR(self);
    return self;
}

static int selector_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(selector->host);
    Py_VISIT(selector->map);
    for (size_t fd = 0; fd < selector->watcher_cap; fd++) {
        if (selector->watchers[fd] == NULL)
            continue;
        Py_VISIT(selector->watchers[fd]->fileobj);
        Py_VISIT(selector->watchers[fd]->data);
    }
    for (size_t i = 0; i < selector->event_count; i++) {
        Py_VISIT(selector->events[i].fileobj);
        Py_VISIT(selector->events[i].data);
    }
    return 0;
}

static int selector_clear(PyObject *self)
{
    struct fa_py_selector *selector = fa_py_selector_of(self);
    if (selector->host != NULL)
        close_selector(selector);
    Py_CLEAR(selector->map);
    return 0;
}

static void selector_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct fa_py_selector *selector = fa_py_selector_of(self);
    PyObject_GC_UnTrack(self);
    (void)selector_clear(self);
    Py_CLEAR(selector->host);
    fa_free(selector->watchers);
    fa_free(selector->events);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef selector_methods[] = {
    {"register", (PyCFunction)(void (*)(void))selector_register, METH_VARARGS | METH_KEYWORDS,
     register_doc},
    {"unregister", selector_unregister, METH_O, unregister_doc},
    {"modify", (PyCFunction)(void (*)(void))selector_modify, METH_VARARGS | METH_KEYWORDS,
     modify_doc},
    {"select", (PyCFunction)(void (*)(void))selector_select, METH_VARARGS | METH_KEYWORDS,
     select_doc},
    {"get_key", selector_get_key, METH_O, get_key_doc},
    {"get_map", selector_get_map, METH_NOARGS, get_map_doc},
    {"close", selector_close, METH_NOARGS, selector_close_doc},
    {"fileno", selector_fileno, METH_NOARGS, selector_fileno_doc},
    {"__enter__", selector_enter, METH_NOARGS, NULL},
    {"__exit__", selector_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef selector_getset[] = {
    {"reactor", selector_get_reactor, NULL, "The Reactor that this selector waits with.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(selector_doc, "Selector()\n--\n\n"
                           "The native reactor as a selectors.BaseSelector.");

static PyType_Slot selector_slots[] = {
    {Py_tp_doc, (void *)selector_doc},           {Py_tp_new, (void *)selector_new},
    {Py_tp_traverse, (void *)selector_traverse}, {Py_tp_clear, (void *)selector_clear},
    {Py_tp_dealloc, (void *)selector_dealloc},   {Py_tp_methods, (void *)selector_methods},
    {Py_tp_getset, (void *)selector_getset},     {0, NULL},
};

static PyType_Spec selector_spec = {
    .name = "fasterapi._native.Selector",
    .basicsize = sizeof(struct fa_py_selector),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = selector_slots,
};

/* A virtual subclass of BaseSelector. BaseSelector has a register() of its own, so that of
 * its metaclass is called. */
static int register_selector(struct fa_py_state *state)
{
    PyObject *meta = NULL, *base = NULL, *same = NULL;
    if (fa_py_import(&meta, "abc", "ABCMeta") == 0 &&
        fa_py_import(&base, "selectors", "BaseSelector") == 0)
        same = PyObject_CallMethod(meta, "register", "OO", base, state->selector_type);
    Py_XDECREF(meta);
    Py_XDECREF(base);
    Py_XDECREF(same);
    return same != NULL ? 0 : -1;
}

int fa_py_init_selector(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_import(&state->selector_key, "selectors", "SelectorKey") < 0 ||
        fa_py_add_type(module, &state->selector_type, &selector_spec, NULL, true) < 0 ||
        fa_py_init_selector_map(module, state) < 0)
        return -1;
    return register_selector(state);
}

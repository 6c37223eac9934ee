/* SPDX-License-Identifier: MIT */
/* selector.h - what the turn needs of selector.c. */
#ifndef FASTERAPI_EXT_SELECTOR_H
#define FASTERAPI_EXT_SELECTOR_H

#include "reactor.h"

/* An event of a registered file object, as collected. The references are owned. */
struct fa_py_event {
    PyObject *fileobj;
    PyObject *data;
    int fd;
    unsigned events; /* what it was registered for: EVENT_READ 1, EVENT_WRITE 2 */
    unsigned mask;   /* what happened of that */
};

struct fa_py_selector {
    PyObject_HEAD struct fa_py_state *state;
    struct fa_py_reactor *host;
    struct fa_py_watcher **watchers; /* by descriptor; NULL where there is none */
    size_t watcher_cap;
    Py_ssize_t watcher_count;
    PyObject *map;              /* what get_map() returns; NULL once closed */
    struct fa_py_event *events; /* collected, not yet taken */
    size_t event_count;
    size_t event_cap;
};

bool fa_py_selector_check(const struct fa_py_state *state, PyObject *object);

static inline struct fa_py_selector *fa_py_selector_of(PyObject *self)
{
    return (struct fa_py_selector *)(void *)self;
}

/* The SelectorKey of an event, as select() returns it. NULL and raised on failure. */
PyObject *fa_py_selector_key(struct fa_py_state *state, const struct fa_py_event *event);

/* fa_reactor_wait() with the GIL released where it may block. 0, or -1 and raised. */
int fa_py_selector_wait(struct fa_py_selector *selector, int64_t timeout_ns);

/* The collected events as the list of (key, mask) that select() returns; they are taken. */
PyObject *fa_py_selector_take_list(struct fa_py_selector *selector);

/* Returns an array of events taken from the selector, empty, so that it is used again. */
void fa_py_selector_give_back(struct fa_py_selector *selector, struct fa_py_event *events,
                              size_t cap);

/* What the mapping shows: the SelectorKey of a file object (or KeyError), whether there is one
 * (1, 0, or -1 and raised), and the registered descriptors as a list. */
PyObject *fa_py_selector_find_key(struct fa_py_selector *selector, PyObject *fileobj);
int fa_py_selector_has(struct fa_py_selector *selector, PyObject *fileobj);
PyObject *fa_py_selector_fds(struct fa_py_selector *selector);

/* selector_map.c */
PyObject *fa_py_selector_map_new(struct fa_py_selector *selector);
int fa_py_init_selector_map(PyObject *module, struct fa_py_state *state);

/* Drops the references of one event. */
void fa_py_event_clean_up(struct fa_py_event *event);

#endif

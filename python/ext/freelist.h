/* SPDX-License-Identifier: MIT */
/* freelist.h - recycling of garbage-collected objects of a fixed size. A list belongs to one
 * module state and one type (or types of one layout); it is used holding the GIL. Reuse costs no
 * allocation and does not count towards the collector's next run. */
#ifndef FASTERAPI_EXT_FREELIST_H
#define FASTERAPI_EXT_FREELIST_H

#include "state.h"

/* An object of `type`, untracked and with undefined members behind its head; NULL and
 * MemoryError without memory. */
static inline PyObject *fa_py_free_list_take(struct fa_py_free_list *list, PyTypeObject *type)
{
    if (FA_LIKELY(list->count > 0))
        return PyObject_Init(list->items[--list->count], type);
    return (PyObject *)PyObject_GC_New(PyObject, type);
}

/* The end of a tp_dealloc: the object is untracked, its members are cleared. */
static inline void fa_py_free_list_give(struct fa_py_free_list *list, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (FA_LIKELY(list->count < FA_PY_FREE_MAX))
        list->items[list->count++] = object;
    else
        PyObject_GC_Del(object);
    Py_DECREF(type);
}

static inline void fa_py_free_list_empty(struct fa_py_free_list *list)
{
    while (list->count > 0)
        PyObject_GC_Del(list->items[--list->count]);
}

#endif

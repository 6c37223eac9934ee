/* SPDX-License-Identifier: MIT */
/* asgi_fields.c - see asgi_fields.h. With the GIL, on the loop's thread; a set lives on the
 * stack for the length of one send(). */
#include "asgi_fields.h"

#include <fasterapi/alloc.h>

void fa_py_fields_init(struct fa_py_fields *fields)
{
    fields->items = fields->inline_items;
    fields->refs = fields->inline_refs;
    fields->count = 0;
    fields->cap = FA_PY_FIELDS_INLINE;
}

void fa_py_fields_clean_up(struct fa_py_fields *fields)
{
    for (size_t i = 0; i < 2 * fields->count; i++)
        Py_XDECREF(fields->refs[i]);
    if (fields->items != fields->inline_items) {
        fa_free(fields->items);
        fa_free(fields->refs);
    }
}

static int grow(struct fa_py_fields *fields)
{
    size_t cap = fields->cap * 2;
    struct fa_header *items = fa_malloc(cap * sizeof(*items));
    PyObject **refs = fa_malloc(2 * cap * sizeof(PyObject *));
    if (items == NULL || refs == NULL) {
        fa_free(items);
        fa_free(refs);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(items, fields->items, fields->count * sizeof(*items));
    memcpy(refs, fields->refs, 2 * fields->count * sizeof(PyObject *));
    if (fields->items != fields->inline_items) {
        fa_free(fields->items);
        fa_free(fields->refs);
    }
    fields->items = items;
    fields->refs = refs;
    fields->cap = cap;
    return 0;
}

/* Adds one field; steals both references, also on failure. */
static int add(struct fa_py_fields *fields, struct fa_header field, PyObject *name, PyObject *value)
{
    if (fields->count == fields->cap && grow(fields) < 0) {
        Py_XDECREF(name);
        Py_XDECREF(value);
        return -1;
    }
    fields->items[fields->count] = field;
    fields->refs[2 * fields->count] = name;
    fields->refs[2 * fields->count + 1] = value;
    fields->count++;
    return 0;
}

int fa_py_fields_add_spans(struct fa_py_fields *fields, const struct fa_header *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (add(fields, items[i], NULL, NULL) < 0)
            return -1;
    return 0;
}

/* `object` as bytes that nobody can change (a new reference). */
static PyObject *as_bytes(PyObject *object)
{
    if (FA_LIKELY(PyBytes_Check(object)))
        return Py_NewRef(object);
    if (PyObject_CheckBuffer(object)) {
        /* Its __buffer__() may drop the list that holds it. */
        Py_INCREF(object);
        PyObject *bytes = PyBytes_FromObject(object);
        Py_DECREF(object);
        return bytes;
    }
    return PyErr_Format(PyExc_TypeError, "header names and values must be bytes, not %.100s",
                        Py_TYPE(object)->tp_name);
}

static struct fa_span bytes_span(PyObject *bytes)
{
    return fa_span(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

static int add_pair(struct fa_py_fields *fields, PyObject *pair)
{
    PyObject *sequence = PySequence_Fast(pair, "a header must be a pair of bytes");
    if (sequence == NULL)
        return -1;
    if (PySequence_Fast_GET_SIZE(sequence) != 2) {
        PyErr_Format(PyExc_ValueError, "a header must be a pair of bytes, not %zd values",
                     PySequence_Fast_GET_SIZE(sequence));
        Py_DECREF(sequence);
        return -1;
    }
    PyObject *name = as_bytes(PySequence_Fast_GET_ITEM(sequence, 0));
    /* as_bytes() may have run code that shortened a list. */
    PyObject *value = NULL;
    if (name != NULL && PySequence_Fast_GET_SIZE(sequence) == 2)
        value = as_bytes(PySequence_Fast_GET_ITEM(sequence, 1));
    else if (name != NULL)
        PyErr_SetString(PyExc_RuntimeError, "a header changed while it was sent");
    Py_DECREF(sequence);
    if (value == NULL) {
        Py_XDECREF(name);
        return -1;
    }
    return add(fields, (struct fa_header){bytes_span(name), bytes_span(value)}, name, value);
}

int fa_py_fields_add(struct fa_py_fields *fields, PyObject *iterable)
{
    PyObject *sequence = PySequence_Fast(iterable, "headers must be an iterable of pairs");
    if (sequence == NULL)
        return -1;
    int err = 0;
    for (Py_ssize_t i = 0; err == 0 && i < PySequence_Fast_GET_SIZE(sequence); i++) {
        PyObject *pair = Py_NewRef(PySequence_Fast_GET_ITEM(sequence, i));
        err = add_pair(fields, pair);
        Py_DECREF(pair);
    }
    Py_DECREF(sequence);
    return err;
}

int fa_py_fields_add_links(struct fa_py_fields *fields, PyObject *iterable)
{
    PyObject *sequence = PySequence_Fast(iterable, "links must be an iterable of bytes");
    if (sequence == NULL)
        return -1;
    int err = 0;
    for (Py_ssize_t i = 0; err == 0 && i < PySequence_Fast_GET_SIZE(sequence); i++) {
        PyObject *value = as_bytes(PySequence_Fast_GET_ITEM(sequence, i));
        err = value == NULL ? -1
                            : add(fields, (struct fa_header){FA_SPAN("link"), bytes_span(value)},
                                  NULL, value);
    }
    Py_DECREF(sequence);
    return err;
}

static bool is_token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool fa_py_fields_bad_name(const struct fa_py_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct fa_span name = fields->items[i].name;
        if (name.len == 0)
            return true;
        for (size_t j = 0; j < name.len; j++)
            if (!is_token_char((unsigned char)name.ptr[j]))
                return true;
    }
    return false;
}

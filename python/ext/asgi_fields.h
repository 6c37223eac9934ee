/* SPDX-License-Identifier: MIT */
/* asgi_fields.h - the headers of a response, from Python objects to what the C server takes.
 * The values are borrowed from objects that the set holds, so that no code the iteration runs
 * can pull them away. */
#ifndef FASTERAPI_EXT_ASGI_FIELDS_H
#define FASTERAPI_EXT_ASGI_FIELDS_H

#include <fasterapi/http.h>

#include "state.h"

#define FA_PY_FIELDS_INLINE 24

struct fa_py_fields {
    struct fa_header *items;
    PyObject **refs; /* two to a field, NULL where the field needs none */
    size_t count;
    size_t cap;
    struct fa_header inline_items[FA_PY_FIELDS_INLINE];
    PyObject *inline_refs[2 * FA_PY_FIELDS_INLINE];
};

/* Uses no memory but its own until there are many. */
void fa_py_fields_init(struct fa_py_fields *fields);
void fa_py_fields_clean_up(struct fa_py_fields *fields);

/* Adds fields whose bytes outlive the set. 0, or -1 and MemoryError. */
int fa_py_fields_add_spans(struct fa_py_fields *fields, const struct fa_header *items,
                           size_t count) FA_MUST_CHECK;

/* Adds an iterable of (name, value) pairs of bytes (or of other buffers, which are copied). 0,
 * or -1 and TypeError, ValueError, MemoryError or what the iteration raised. */
int fa_py_fields_add(struct fa_py_fields *fields, PyObject *iterable) FA_MUST_CHECK;

/* Adds one Link field for each of an iterable of bytes. */
int fa_py_fields_add_links(struct fa_py_fields *fields, PyObject *iterable) FA_MUST_CHECK;

/* Whether a name is no token (RFC 9110 section 5.1): tells which part FA_EHTTP_HEADER meant. */
bool fa_py_fields_bad_name(const struct fa_py_fields *fields);

#endif

/* SPDX-License-Identifier: MIT */
/* asgi_headers.c - the `headers` of a scope: (lower-case name, value) pairs as bytes. With
 * the GIL; the table belongs to the module state.
 *
 * Names: a table of those that real clients send, made once; looking a name up folds its
 * case on the way, so a known name costs no allocation.
 *
 * Pairs: clients repeat themselves, so for each known name that carries no secret the last
 * pair is kept and used again while the value is the same. Tuples of bytes cannot change, so
 * sharing them shows nowhere but in `is`. One short value a name bounds what is kept. */
#include "asgi.h"

#include <fasterapi/alloc.h>

#define TABLE_SIZE 256 /* a power of two, at least twice the number of names */
#define PAIR_VALUE_MAX 512

enum name_flags {
    SECRET = 1,    /* values are not kept beyond the request */
    FORWARDED = 2, /* the trusted proxy's word: fa_py_header_notes.forwarded */
    EXPECT = 4,
};

struct known_name {
    const char *text; /* lower case */
    unsigned flags;
};

static const struct known_name known_names[] = {
    {"accept", 0},
    {"accept-charset", 0},
    {"accept-encoding", 0},
    {"accept-language", 0},
    {"access-control-request-headers", 0},
    {"access-control-request-method", 0},
    {"authorization", SECRET},
    {"cache-control", 0},
    {"cdn-loop", 0},
    {"cf-connecting-ip", SECRET},
    {"cf-ray", SECRET},
    {"connection", 0},
    {"content-encoding", 0},
    {"content-length", SECRET},
    {"content-type", 0},
    {"cookie", SECRET},
    {"dnt", 0},
    {"expect", EXPECT},
    {"forwarded", SECRET},
    {"host", 0},
    {"idempotency-key", SECRET},
    {"if-match", SECRET},
    {"if-modified-since", SECRET},
    {"if-none-match", SECRET},
    {"if-range", SECRET},
    {"if-unmodified-since", SECRET},
    {"keep-alive", 0},
    {"last-event-id", SECRET},
    {"max-forwards", 0},
    {"origin", 0},
    {"pragma", 0},
    {"priority", 0},
    {"proxy-authorization", SECRET},
    {"proxy-connection", 0},
    {"purpose", 0},
    {"range", SECRET},
    {"referer", SECRET},
    {"save-data", 0},
    {"sec-ch-ua", 0},
    {"sec-ch-ua-mobile", 0},
    {"sec-ch-ua-platform", 0},
    {"sec-fetch-dest", 0},
    {"sec-fetch-mode", 0},
    {"sec-fetch-site", 0},
    {"sec-fetch-user", 0},
    {"sec-gpc", 0},
    {"sec-purpose", 0},
    {"te", 0},
    {"traceparent", SECRET},
    {"tracestate", SECRET},
    {"trailer", 0},
    {"transfer-encoding", 0},
    {"upgrade", 0},
    {"upgrade-insecure-requests", 0},
    {"user-agent", 0},
    {"via", 0},
    {"x-api-key", SECRET},
    {"x-correlation-id", SECRET},
    {"x-csrf-token", SECRET},
    {"x-forwarded-for", SECRET | FORWARDED},
    {"x-forwarded-host", 0},
    {"x-forwarded-port", 0},
    {"x-forwarded-proto", FORWARDED},
    {"x-forwarded-server", 0},
    {"x-http-method-override", 0},
    {"x-real-ip", SECRET},
    {"x-request-id", SECRET},
    {"x-requested-with", 0},
    {"x-token", SECRET},
    {"x-trace-id", SECRET},
};

struct slot {
    PyObject *name; /* bytes; NULL: the slot is empty */
    PyObject *pair; /* the last (name, value), or NULL */
    unsigned flags;
};

struct fa_py_header_table {
    struct slot slots[TABLE_SIZE];
};

_Static_assert(FA_ARRAY_LEN(known_names) * 2 <= TABLE_SIZE, "the table stays sparse");

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Length, first, middle and last letter tell the names apart well enough. */
static size_t hash_name(struct fa_span name)
{
    size_t first = fold(name.ptr[0]);
    size_t middle = fold(name.ptr[name.len / 2]);
    size_t last = fold(name.ptr[name.len - 1]);
    return (name.len * 31 + first * 7 + middle * 13 + last * 3) & (TABLE_SIZE - 1);
}

static bool same_name(struct fa_span name, PyObject *known)
{
    if ((size_t)PyBytes_GET_SIZE(known) != name.len)
        return false;
    const char *text = PyBytes_AS_STRING(known);
    for (size_t i = 0; i < name.len; i++)
        if ((char)fold(name.ptr[i]) != text[i])
            return false;
    return true;
}

static struct slot *find(struct fa_py_header_table *table, struct fa_span name)
{
    if (FA_UNLIKELY(name.len == 0))
        return NULL;
    for (size_t i = hash_name(name);; i = (i + 1) & (TABLE_SIZE - 1)) {
        struct slot *slot = &table->slots[i];
        if (slot->name == NULL)
            return NULL;
        if (same_name(name, slot->name))
            return slot;
    }
}

int fa_py_header_table_new(struct fa_py_state *state)
{
    struct fa_py_header_table *table = fa_calloc(1, sizeof(*table));
    if (table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->header_table = table;
    for (size_t i = 0; i < FA_ARRAY_LEN(known_names); i++) {
        struct fa_span name = fa_span_str(known_names[i].text);
        size_t at = hash_name(name);
        while (table->slots[at].name != NULL)
            at = (at + 1) & (TABLE_SIZE - 1);
        table->slots[at].flags = known_names[i].flags;
        table->slots[at].name = PyBytes_FromStringAndSize(name.ptr, (Py_ssize_t)name.len);
        if (table->slots[at].name == NULL)
            return -1;
    }
    return 0;
}

void fa_py_header_table_free(struct fa_py_state *state)
{
    struct fa_py_header_table *table = state->header_table;
    state->header_table = NULL;
    if (table == NULL)
        return;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        Py_XDECREF(table->slots[i].name);
        Py_XDECREF(table->slots[i].pair);
    }
    fa_free(table);
}

static PyObject *lower_name(struct fa_span name)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)name.len);
    if (bytes == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(bytes);
    for (size_t i = 0; i < name.len; i++)
        to[i] = (char)fold(name.ptr[i]);
    return bytes;
}

/* (name, value) with `name` stolen. */
static PyObject *pair_new(PyObject *name, struct fa_span value)
{
    PyObject *bytes = PyBytes_FromStringAndSize(value.ptr, (Py_ssize_t)value.len);
    PyObject *pair = name != NULL && bytes != NULL ? PyTuple_New(2) : NULL;
    if (pair == NULL) {
        Py_XDECREF(name);
        Py_XDECREF(bytes);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, name);
    PyTuple_SET_ITEM(pair, 1, bytes);
    return pair;
}

static PyObject *known_pair(struct slot *slot, struct fa_span value)
{
    if (slot->pair != NULL) {
        PyObject *last = PyTuple_GET_ITEM(slot->pair, 1);
        if (fa_span_eq(value, fa_span(PyBytes_AS_STRING(last), (size_t)PyBytes_GET_SIZE(last))))
            return Py_NewRef(slot->pair);
    }
    PyObject *pair = pair_new(Py_NewRef(slot->name), value);
    if (pair != NULL && (slot->flags & SECRET) == 0 && value.len <= PAIR_VALUE_MAX)
        Py_XSETREF(slot->pair, Py_NewRef(pair));
    return pair;
}

static void note(struct fa_py_header_notes *notes, unsigned flags, struct fa_span value)
{
    if ((flags & FORWARDED) != 0)
        notes->forwarded = true;
    if ((flags & EXPECT) != 0 && fa_span_eq_nocase(value, FA_SPAN("100-continue")))
        notes->expect = true;
}

PyObject *fa_py_headers_build(struct fa_py_state *state, struct fa_request *req,
                              struct fa_py_header_notes *notes)
{
    size_t count;
    const struct fa_header *headers = fa_request_headers(req, &count);
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = find(state->header_table, headers[i].name);
        PyObject *pair;
        if (FA_LIKELY(slot != NULL)) {
            if (FA_UNLIKELY((slot->flags & (FORWARDED | EXPECT)) != 0))
                note(notes, slot->flags, headers[i].value);
            pair = known_pair(slot, headers[i].value);
        } else {
            pair = pair_new(lower_name(headers[i].name), headers[i].value);
        }
        if (pair == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
    }
    return list;
}

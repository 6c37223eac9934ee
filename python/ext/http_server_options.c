/* SPDX-License-Identifier: MIT */
/* http_server_options.c - see http_server_options.h. Pure; with the GIL, on any thread. */
#include "http_server_options.h"

#define LIMIT_FIELDS(X)                                                                            \
    X(header_bytes)                                                                                \
    X(header_fields)                                                                               \
    X(request_line_bytes)                                                                          \
    X(body_bytes)                                                                                  \
    X(body_buffer_bytes)                                                                           \
    X(write_high_water)                                                                            \
    X(write_low_water)                                                                             \
    X(header_timeout_ms)                                                                           \
    X(body_timeout_ms)                                                                             \
    X(body_min_rate)                                                                               \
    X(keep_alive_ms)                                                                               \
    X(write_timeout_ms)                                                                            \
    X(connections)                                                                                 \
    X(requests_in_flight)                                                                          \
    X(requests_per_connection)                                                                     \
    X(pipeline_burst)

struct limit_field {
    const char *name;
    size_t offset;
    size_t size; /* 4 or 8 bytes, unsigned */
};

static const struct limit_field limit_fields[] = {
#define FIELD(name)                                                                                \
    {#name, offsetof(struct fa_limits, name), sizeof(((struct fa_limits *)0)->name)},
    LIMIT_FIELDS(FIELD)
#undef FIELD
};

static const struct limit_field *find_field(PyObject *name)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(limit_fields); i++)
        if (PyUnicode_CompareWithASCIIString(name, limit_fields[i].name) == 0)
            return &limit_fields[i];
    return NULL;
}

static int set_field(struct fa_limits *limits, const struct limit_field *field, PyObject *value)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(value);
    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return -1;
    if (field->size == sizeof(uint64_t)) {
        uint64_t wide = number;
        memcpy((char *)limits + field->offset, &wide, sizeof(wide));
        return 0;
    }
    if (number > UINT32_MAX) {
        PyErr_Format(PyExc_OverflowError, "the limit %s must be below 2**32", field->name);
        return -1;
    }
    uint32_t narrow = (uint32_t)number;
    memcpy((char *)limits + field->offset, &narrow, sizeof(narrow));
    return 0;
}

static int set_preset(struct fa_limits *limits, PyObject *dict)
{
    PyObject *preset = PyDict_GetItemString(dict, "preset");
    if (preset == NULL) {
        fa_limits_default(limits);
        return 0;
    }
    bool is_str = PyUnicode_Check(preset);
    if (is_str && PyUnicode_CompareWithASCIIString(preset, "default") == 0) {
        fa_limits_default(limits);
    } else if (is_str && PyUnicode_CompareWithASCIIString(preset, "strict") == 0) {
        fa_limits_strict(limits);
    } else {
        PyErr_Format(PyExc_ValueError, "limits are \"default\" or \"strict\", not %R", preset);
        return -1;
    }
    return 0;
}

int fa_py_limits_parse(struct fa_limits *limits, PyObject *dict)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    if (set_preset(limits, dict) < 0)
        return -1;
    while (PyDict_Next(dict, &at, &name, &value)) {
        if (!PyUnicode_Check(name)) {
            PyErr_SetString(PyExc_TypeError, "the names of limits are strings");
            return -1;
        }
        if (PyUnicode_CompareWithASCIIString(name, "preset") == 0)
            continue;
        const struct limit_field *field = find_field(name);
        if (field == NULL) {
            PyErr_Format(PyExc_ValueError, "there is no limit named %R", name);
            return -1;
        }
        if (set_field(limits, field, value) < 0)
            return -1;
    }
    return 0;
}

static PyObject *get_field(const struct fa_limits *limits, const struct limit_field *field)
{
    uint64_t wide;
    uint32_t narrow;
    if (field->size == sizeof(wide)) {
        memcpy(&wide, (const char *)limits + field->offset, sizeof(wide));
        return PyLong_FromUnsignedLongLong(wide);
    }
    memcpy(&narrow, (const char *)limits + field->offset, sizeof(narrow));
    return PyLong_FromUnsignedLong(narrow);
}

PyObject *fa_py_limits_dict(const struct fa_limits *limits)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < FA_ARRAY_LEN(limit_fields); i++) {
        PyObject *number = get_field(limits, &limit_fields[i]);
        if (number == NULL || PyDict_SetItemString(dict, limit_fields[i].name, number) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(number);
    }
    return dict;
}

static int add_exceeded(PyObject *dict, const struct fa_server_stats *stats)
{
    for (int i = FA_LIMIT_NONE + 1; i < FA_LIMIT_COUNT; i++) {
        PyObject *name = PyUnicode_FromFormat("exceeded_%s", fa_limit_name((enum fa_limit)i));
        PyObject *number = PyLong_FromUnsignedLongLong(stats->exceeded[i]);
        bool done = name != NULL && number != NULL && PyDict_SetItem(dict, name, number) == 0;
        Py_XDECREF(name);
        Py_XDECREF(number);
        if (!done)
            return -1;
    }
    return 0;
}

PyObject *fa_py_stats_dict(const struct fa_server_stats *stats)
{
    PyObject *dict = Py_BuildValue(
        "{sKsKsKsKsKsKsKsIsIsO}", "accepted", (unsigned long long)stats->accepted, "requests",
        (unsigned long long)stats->requests, "rejected", (unsigned long long)stats->rejected,
        "timeouts", (unsigned long long)stats->timeouts, "keep_alive_expired",
        (unsigned long long)stats->keep_alive_expired, "bytes_in",
        (unsigned long long)stats->bytes_in, "bytes_out", (unsigned long long)stats->bytes_out,
        "connections", stats->connections, "requests_in_flight", stats->requests_in_flight,
        "accepting", stats->accepting ? Py_True : Py_False);
    if (dict != NULL && add_exceeded(dict, stats) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* SPDX-License-Identifier: MIT */
/* http_server_options.h - the arguments of HttpServer() that go to the C server. */
#ifndef FASTERAPI_EXT_HTTP_SERVER_OPTIONS_H
#define FASTERAPI_EXT_HTTP_SERVER_OPTIONS_H

#include <fasterapi/server.h>

#include "state.h"

/* Fills `limits` from a dict: "preset" ("default" or "strict"), then the fields of struct
 * fa_limits by name, as numbers. 0, or -1 with TypeError, ValueError or OverflowError. */
int fa_py_limits_parse(struct fa_limits *limits, PyObject *dict) FA_MUST_CHECK;

/* The same fields as a dict of numbers by name; NULL and MemoryError. */
PyObject *fa_py_limits_dict(const struct fa_limits *limits);

/* The counters as a dict by name; NULL and MemoryError. */
PyObject *fa_py_stats_dict(const struct fa_server_stats *stats);

#endif

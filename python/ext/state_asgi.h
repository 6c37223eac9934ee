/* SPDX-License-Identifier: MIT */
/* state_asgi.h - what the ASGI side keeps in the module state; see state.h. */
#ifndef FASTERAPI_EXT_STATE_ASGI_H
#define FASTERAPI_EXT_STATE_ASGI_H

/* Objects of one type that are out of use and may be initialised again (freelist.h). */
#define FA_PY_FREE_MAX 256

struct fa_py_free_list {
    PyObject *items[FA_PY_FREE_MAX];
    unsigned count;
};

struct fa_py_header_table;

/* Members of the state that are no references. */
#define FA_PY_ASGI_FIELDS                                                                          \
    struct fa_py_free_list free_exchanges;                                                         \
    struct fa_py_free_list free_channels;                                                          \
    struct fa_py_free_list free_operations;                                                        \
    struct fa_py_header_table *header_table;

#define FA_PY_ASGI_OBJECTS(X)                                                                      \
    X(http_server_type)                                                                            \
    X(exchange_type)                                                                               \
    X(receive_type)                                                                                \
    X(send_type)                                                                                   \
    X(operation_type)                                                                              \
    X(client_disconnected) /* the exception fasterapi._native.ClientDisconnected */                \
    X(protocol_error)      /* the exception fasterapi._native.ProtocolError */                     \
    X(quote)               /* urllib.parse.quote */                                                \
    X(empty_bytes)         /* b"" */                                                               \
    X(empty_str)           /* "" */                                                                \
    X(http_request)        /* {"type": "http.request", "body": b"", "more_body": False} */         \
    X(http_disconnect)     /* {"type": "http.disconnect"} */                                       \
    X(msg_response_start)  /* "http.response.start" */                                             \
    X(msg_response_body)   /* "http.response.body" */                                              \
    X(msg_pathsend)        /* "http.response.pathsend" */                                          \
    X(msg_early_hint)      /* "http.response.early_hint" */                                        \
    X(version_10)          /* "1.0" */                                                             \
    X(version_11)          /* "1.1" */                                                             \
    X(scheme_http)         /* "http" */                                                            \
    X(access_format)       /* the format of a line of the access log */                            \
    X(method_names)        /* tuple of the methods that are worth a look-up */

#define FA_PY_ASGI_NAMES(X)                                                                        \
    X(asgi)                                                                                        \
    X(body)                                                                                        \
    X(client)                                                                                      \
    X(create_future)                                                                               \
    X(extensions)                                                                                  \
    X(headers)                                                                                     \
    X(http_version)                                                                                \
    X(links)                                                                                       \
    X(method)                                                                                      \
    X(more_body)                                                                                   \
    X(path)                                                                                        \
    X(query_string)                                                                                \
    X(raw_path)                                                                                    \
    X(root_path)                                                                                   \
    X(scheme)                                                                                      \
    X(server)                                                                                      \
    X(set_result)                                                                                  \
    X(size)                                                                                        \
    X(state)                                                                                       \
    X(status)                                                                                      \
    X(take)                                                                                        \
    X(type)

#endif

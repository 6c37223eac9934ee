/* SPDX-License-Identifier: MIT */
/* server.h - an HTTP server on one reactor: listeners, connections, limits, shutdown.
 *
 * The server belongs to its reactor's thread. It starts when the first listener is added.
 *
 *   SERVING -> (fa_server_drain) DRAINING -> (last connection gone) STOPPED
 *
 * DRAINING: listeners closed, idle connections closed, exchanges in flight finish with
 * "Connection: close". */
#ifndef FASTERAPI_SERVER_H
#define FASTERAPI_SERVER_H

#include <fasterapi/http.h>
#include <fasterapi/reactor.h>

/* Every limit of the server; 0 means none where that makes sense, and the defaults are
 * those of fa_limits_default(). */
struct fa_limits {
    uint32_t header_bytes;            /* decoded, plus 32 per field; answer 431 */
    uint32_t header_fields;           /* 431 */
    uint32_t request_line_bytes;      /* 414 */
    uint64_t body_bytes;              /* whole body, 0 = none; 413 */
    uint32_t body_buffer_bytes;       /* held unread for one request; then the socket waits */
    uint32_t write_high_water;        /* queued output at which a response is congested */
    uint32_t write_low_water;         /* on_drain below this */
    uint32_t header_timeout_ms;       /* first byte to end of head, total; 408 */
    uint32_t body_timeout_ms;         /* without a byte while one is wanted; 408 */
    uint32_t body_min_rate;           /* bytes per second, averaged, 0 = none; 408 */
    uint32_t keep_alive_ms;           /* idle between requests, and before the first */
    uint32_t write_timeout_ms;        /* without progress while output is queued */
    uint32_t connections;             /* per server, 0 = what RLIMIT_NOFILE allows less a reserve */
    uint32_t requests_in_flight;      /* 0 = none; 503 */
    uint32_t requests_per_connection; /* 0 = none; then "Connection: close" */
    uint32_t pipeline_burst;          /* requests of one connection answered per turn */
};

/* The limits whose excess is answered, or ends a connection: X(NAME, name). Those that are not
 * here hold a client back instead, or, as keep_alive_ms, are met by well-meaning clients. */
#define FA_LIMIT_MAP(X)                                                                            \
    X(REQUEST_LINE, request_line)     /* 414 */                                                    \
    X(HEADER, header)                 /* bytes or fields; 431 */                                   \
    X(BODY, body)                     /* 413 */                                                    \
    X(HEADER_TIMEOUT, header_timeout) /* 408 */                                                    \
    X(BODY_TIMEOUT, body_timeout)     /* 408; closed behind an answer that was given */            \
    X(BODY_RATE, body_rate)           /* 408 */                                                    \
    X(WRITE_TIMEOUT, write_timeout)   /* closed */                                                 \
    X(CONNECTIONS, connections)       /* 503 */                                                    \
    X(IN_FLIGHT, in_flight)           /* 503 */                                                    \
    X(DESCRIPTORS, descriptors)       /* of the process; 503 */

enum fa_limit {
    FA_LIMIT_NONE,
#define FA__LIMIT_ENUM(NAME, name) FA_LIMIT_##NAME,
    FA_LIMIT_MAP(FA__LIMIT_ENUM)
#undef FA__LIMIT_ENUM
        FA_LIMIT_COUNT,
};

/* A request that the server answered itself, or one that it gave up, for logs. */
struct fa_server_event {
    int status;            /* the answer, 0 when the connection was just closed */
    int error;             /* FA_E... */
    enum fa_limit limit;   /* the one that was exceeded, or FA_LIMIT_NONE */
    struct fa_span method; /* empty when not known */
    struct fa_span target; /* empty when not known */
    struct fa_span client; /* address text */
    int client_port;
};

struct fa_server_callbacks {
    /* Required. See http.h. */
    void (*on_request)(struct fa_request *req, void *user);
    /* May be NULL. An answer without the application: 400, 408, 413, 414, 431, 503 ... */
    void (*on_event)(const struct fa_server_event *event, void *user);
    /* May be NULL. Once, when draining is complete: no listener, no connection left. */
    void (*on_stopped)(struct fa_server *server, void *user);
};

struct fa_server_options {
    size_t size; /* sizeof(struct fa_server_options) */
    struct fa_limits limits;
    struct fa_server_callbacks callbacks;
    void *user;
    struct fa_span server_name; /* value of the Server field, copied; empty = no field */
    bool no_date;               /* leave the Date field out */
    bool half_close_is_alive;   /* keep serving a client that closed its writing side; by
                                   default that is a disconnect, as under uvicorn */
};

struct fa_server_stats {
    uint64_t accepted;                 /* connections */
    uint64_t requests;                 /* heads handed to on_request */
    uint64_t rejected;                 /* answered or closed by the server itself */
    uint64_t timeouts;                 /* of any kind */
    uint64_t keep_alive_expired;       /* connections closed because they were idle */
    uint64_t exceeded[FA_LIMIT_COUNT]; /* by enum fa_limit; [FA_LIMIT_NONE] stays 0 */
    uint64_t bytes_in, bytes_out;
    uint32_t connections;        /* open now */
    uint32_t requests_in_flight; /* now */
    bool accepting;              /* false while at the connection limit or draining */
};

enum {
    FA_LISTEN_REUSEPORT = 1, /* SO_REUSEPORT; default is one plain listener */
};

FA_BEGIN_DECLS

/* The defaults, and the tight preset. */
FA_API void fa_limits_default(struct fa_limits *limits);
FA_API void fa_limits_strict(struct fa_limits *limits);

/* "request_line" and so on; "" for FA_LIMIT_NONE and what is no limit. Static. */
FA_API const char *fa_limit_name(enum fa_limit limit);

/* Options with every default set and `size` filled in. */
FA_API void fa_server_options_init(struct fa_server_options *options);

/* Returns 0, FA_EINVAL (size, no on_request), FA_ENOMEM, FA_EMFILE. */
FA_API int fa_server_new(struct fa_server **out, struct fa_reactor *reactor,
                         const struct fa_server_options *options) FA_MUST_CHECK;

/* Closes everything at once and frees the server. Exchanges in flight get on_disconnect
 * and on_done first. NULL is allowed. Not from inside one of its callbacks. */
FA_API void fa_server_destroy(struct fa_server *server);

/* For a child process after fork(), behind fa_reactor_after_fork(): puts inert descriptors in
 * the place of the sockets, which are the parent's: nothing that the child still does with a
 * request reaches a client, and no connection or port stays open because the child lives. Only
 * functions of http.h may follow; the server is never destroyed. May run inside a callback. */
FA_API void fa_server_after_fork(struct fa_server *server);

/* Listens on host and port; host may be a name, an IPv4 or IPv6 literal, NULL for all
 * IPv4 interfaces; port 0 lets the system choose. Every address of a name is bound. Returns
 * 0, or FA_EADDRINUSE, FA_EADDRNOTAVAIL, FA_EACCES, FA_ERESOLVE, FA_EMFILE, FA_ENOMEM ... */
FA_API int fa_server_listen_tcp(struct fa_server *server, const char *host, uint16_t port,
                                unsigned flags) FA_MUST_CHECK;

/* Listens on a Unix socket; a stale socket file is replaced (one that still answers is
 * FA_EADDRINUSE), mode 0666 as under uvicorn, removed at close. */
FA_API int fa_server_listen_unix(struct fa_server *server, const char *path) FA_MUST_CHECK;

/* Serves an inherited listening socket (bound and listening; made non-blocking). The
 * server takes the descriptor over if and only if 0 is returned. */
FA_API int fa_server_listen_fd(struct fa_server *server, int fd) FA_MUST_CHECK;

/* Serves a connected stream socket that was accepted elsewhere; made non-blocking. The
 * server takes the descriptor over if and only if 0 is returned. Returns 0, FA_EINVAL (not a
 * connected socket), FA_ESTATE (draining), FA_ENOMEM, FA_ESYS. */
FA_API int fa_server_adopt(struct fa_server *server, int fd) FA_MUST_CHECK;

/* The port of the first TCP listener, 0 when there is none. */
FA_API uint16_t fa_server_port(const struct fa_server *server);

/* Accepts what waits in the kernel's queues, stops listening, finishes what is in flight, and
 * waits a quarter of a second for the first request of a connection that has just come; then
 * on_stopped. Begins in the next turn. grace_ms: after that what is left is closed at once; 0
 * waits for ever. A second call may shorten it. */
FA_API void fa_server_drain(struct fa_server *server, uint32_t grace_ms);

/* The same for one of several processes on one listening socket, while the others go on: what
 * waits in the kernel's queues is theirs. (Where nobody else holds the socket the kernel resets
 * those connections.) */
FA_API void fa_server_retire(struct fa_server *server, uint32_t grace_ms);

/* Closes every connection at once (in-flight exchanges get on_disconnect, on_done). */
FA_API void fa_server_close_connections(struct fa_server *server);

/* The limits in force: those of the options, with what a 0 of them has become. */
FA_API void fa_server_get_limits(const struct fa_server *server, struct fa_limits *out);

FA_API void fa_server_get_stats(const struct fa_server *server, struct fa_server_stats *out);

FA_END_DECLS

#endif

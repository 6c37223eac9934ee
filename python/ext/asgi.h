/* SPDX-License-Identifier: MIT */
/* asgi.h - the ASGI side of the extension: what its files share.
 *
 *   http_server.c    HttpServer: an application on a C server, its counters and callbacks
 *   asgi_exchange.c  Exchange: one request and its response; also the coroutine that runs
 *                    the application, which is what the task drives
 *   asgi_channel.c   Receive and Send: the two callables that an application gets
 *   asgi_operation.c Operation: what a call of either returns, an awaitable
 *   asgi_scope.c     the scope dictionary      asgi_headers.c  header names and values
 *   asgi_request.c   what receive() answers    asgi_response.c what send() does
 *   asgi_finish.c    the end of the application's call: 500, aborts, log lines
 *
 * Who holds whom:
 *
 *   the C request --(until on_done)--> Exchange <-- Receive, Send <-- the application
 *   HttpServer --(until the call ended)--> Exchange --> the application's coroutine
 *   Exchange --(until both are over)--> HttpServer
 *
 * So an Exchange is in a reference cycle only while its application runs. What user code
 * keeps afterwards (receive, send) holds an Exchange that holds nothing.
 *
 * All of it runs on the loop's thread with the GIL. */
#ifndef FASTERAPI_EXT_ASGI_H
#define FASTERAPI_EXT_ASGI_H

#include <fasterapi/http.h>
#include <fasterapi/server.h>

#include "reactor.h"
#include "state.h"

struct fa_py_server;

/* ---- the exchange ----------------------------------------------------------------------- */

enum fa_py_call_phase { /* of the application's call */
                        FA_PY_CALL_NEW = 0,
                        FA_PY_CALL_RUNNING,
                        FA_PY_CALL_ENDED,
};

enum fa_py_response_phase {
    FA_PY_RESPONSE_NEW = 0,
    FA_PY_RESPONSE_STARTED,
    FA_PY_RESPONSE_FILE, /* a file is being opened; its end is the response's */
    FA_PY_RESPONSE_COMPLETE,
};

struct fa_py_exchange {
    PyObject_HEAD struct fa_py_state *state;
    struct fa_py_server *server; /* owned; NULL once the exchange is over */
    struct fa_request *req;      /* NULL after on_done */
    PyObject *scope;             /* until the application is called; for log lines after it */
    PyObject *inner;             /* iterator of the application's awaitable while it runs */
    PyObject *body;              /* bytes received and not fetched; NULL when there are none */
    struct fa_list waiters;      /* operations that wait, not owned */
    struct fa_list link;         /* in server->exchanges until it is over */
    struct fa_task start;        /* starts a call that waited for the body's first bytes */
    int64_t content_length;      /* announced by the application, negative when it was not */
    int64_t body_sent;           /* bytes */
    int status;                  /* of the response once it has started */
    enum fa_py_call_phase call;
    enum fa_py_response_phase response;
    bool disconnected;    /* the client went away before the response was complete */
    bool body_complete;   /* the last byte of the request's body is here */
    bool body_delivered;  /* and receive() has said so */
    bool body_paused;     /* fa_request_pause_body is in force */
    bool head;            /* the method is HEAD: no body is sent, none is counted */
    bool stepping;        /* the application's coroutine is on the stack */
    bool protocol_failed; /* a protocol error was logged: it is not logged again */
};

/* Called by the HTTP server for every request. `user` is the struct fa_py_server. */
void fa_py_exchange_on_request(struct fa_request *req, void *user);

/* Starts the application where that waited for the first bytes of the body. */
void fa_py_exchange_body_arrived(struct fa_py_exchange *ex);

/* Wakes every operation that waits on the exchange; they look again. */
void fa_py_exchange_wake(struct fa_py_exchange *ex);

/* Lets go of the server once neither the call nor the client needs the exchange. */
void fa_py_exchange_settle(struct fa_py_exchange *ex);

/* Ends the call of an exchange whose server goes away: one that has not begun, or, with
 * `all`, any. Never runs the application. */
void fa_py_exchange_drop(struct fa_py_exchange *ex, bool all);

/* How many references the server and its C side hold. */
static inline int fa_py_exchange_refs(const struct fa_py_exchange *ex)
{
    return (ex->call != FA_PY_CALL_ENDED) + (ex->req != NULL);
}

static inline struct fa_py_exchange *fa_py_exchange_of(PyObject *object)
{
    return (struct fa_py_exchange *)(void *)object;
}

/* ---- asgi_channel.c, asgi_operation.c ----------------------------------------------------- */

/* A new Receive or Send of the exchange. */
PyObject *fa_py_receive_new(struct fa_py_exchange *ex);
PyObject *fa_py_send_new(struct fa_py_exchange *ex);

/* A new awaitable: of receive() where `message` is NULL, else of send(message). */
PyObject *fa_py_operation_new(struct fa_py_exchange *ex, PyObject *message);

/* Wakes the operation whose link in exchange->waiters this is. */
void fa_py_operation_wake(struct fa_list *link);

/* ---- asgi_scope.c, asgi_headers.c ------------------------------------------------------------ */

#define FA_PY_EXTENSIONS 2 /* pathsend and early hints */

/* The parts of every scope that are the same for all requests of a server. */
struct fa_py_scope_parts {
    PyObject *scope_base; /* dict: the keys in uvicorn's order, usual values filled in */
    PyObject *asgi_base;  /* dict copied into each scope */
    PyObject *extensions; /* dict copied into each scope */
    PyObject *extension_options[FA_PY_EXTENSIONS]; /* its values */
    PyObject *state;            /* dict of the lifespan, copied into each scope */
    PyObject *root_path;        /* str */
    PyObject *root_raw;         /* the same as bytes */
    PyObject *server_addr;      /* the last server tuple; scope_base has it too */
    PyObject *client_addr[256]; /* recent client tuples by port */
};

int fa_py_scope_parts_init(struct fa_py_scope_parts *parts, struct fa_py_state *state,
                           PyObject *root_path, PyObject *app_state) FA_MUST_CHECK;
int fa_py_scope_parts_traverse(struct fa_py_scope_parts *parts, visitproc visit, void *arg);
void fa_py_scope_parts_clear(struct fa_py_scope_parts *parts);

/* What the headers said that the server itself must know. */
struct fa_py_header_notes {
    bool forwarded; /* X-Forwarded-For or X-Forwarded-Proto is there */
    bool expect;    /* Expect: 100-continue */
};

/* The scope of a request, or NULL and an exception. */
PyObject *fa_py_scope_build(struct fa_py_server *server, struct fa_request *req,
                            struct fa_py_header_notes *notes);

/* The list of (lower-case name, value) of a request, or NULL and an exception. */
PyObject *fa_py_headers_build(struct fa_py_state *state, struct fa_request *req,
                              struct fa_py_header_notes *notes);

int fa_py_header_table_new(struct fa_py_state *state) FA_MUST_CHECK;
void fa_py_header_table_free(struct fa_py_state *state);

/* ---- asgi_request.c, asgi_response.c -----------------------------------------------------------
 */

/* What a receive() or send() did; negative: an exception is set. */
enum fa_py_progress {
    FA_PY_FAILED = -1,
    FA_PY_READY = 0,   /* done, `*result` is set (receive) */
    FA_PY_WAIT = 1,    /* look again when the exchange wakes the operation */
    FA_PY_DEFERRED = 2 /* send: `*result` is a future; call fa_py_response_file with its result */
};

/* Bytes of the request's body. */
void fa_py_request_on_body(struct fa_request *req, struct fa_span data, bool last);

/* The next message of receive(). */
enum fa_py_progress fa_py_request_receive(struct fa_py_exchange *ex, PyObject **result);

/* Handles one message of send(); `first`: not waited yet. */
enum fa_py_progress fa_py_response_send(struct fa_py_exchange *ex, PyObject *message,
                                        PyObject **result);

/* Sends the file that the server's open_file() opened, and completes the response. */
int fa_py_response_file(struct fa_py_exchange *ex, PyObject *opened) FA_MUST_CHECK;

/* Raises ProtocolError with one log line; closes the connection when the response has
 * started. Always returns -1. */
int fa_py_protocol_error(struct fa_py_exchange *ex, const char *format, ...);

/* Raises ClientDisconnected. Always returns -1. */
int fa_py_raise_disconnected(struct fa_py_exchange *ex);

/* Answers 500 when nothing was sent yet, else closes the connection. Leaves no exception. */
void fa_py_response_fail(struct fa_py_exchange *ex);

/* Writes a line to the access log when it is on. Leaves no exception. */
void fa_py_access_log(struct fa_py_exchange *ex, int status);

/* ---- asgi_finish.c
 * ------------------------------------------------------------------------------- */

/* The application's call returned `value` (borrowed), or raised the current exception. The
 * second leaves an exception only for the ones that must go on (KeyboardInterrupt,
 * GeneratorExit) and returns -1 then, else 0. */
void fa_py_call_returned(struct fa_py_exchange *ex, PyObject *value);
int fa_py_call_raised(struct fa_py_exchange *ex);

/* ---- http_server.c
 * ---------------------------------------------------------------------------------- */

/* Functions of the Python side, called on the loop's thread; NULL where there is none. */
#define FA_PY_SERVER_HOOKS(X)                                                                      \
    X(call_failed) /* (exception, scope, disconnected): the application raised */                  \
    X(report)      /* (sentence, scope): the application broke the protocol */                     \
    X(notice)      /* (sentence): something worth a line, once */                                  \
    X(rejected)    /* (status, error, limit, method, target, client): without the application */   \
    X(stopped)     /* (): draining is complete */                                                  \
    X(idle)        /* (): idle again, after `idle` or `calls` said otherwise */                    \
    X(limit)       /* (): max_requests is reached */                                               \
    X(open_file)   /* (path) -> future of an open file with .take() and .size */                   \
    X(access)      /* (format, client, method, path, version, status), or None */                  \
    X(forwarded)   /* (scope): applies X-Forwarded-..., or None */

struct fa_py_server {
    PyObject_HEAD struct fa_py_state *state;
    struct fa_py_reactor *host;
    struct fa_server *server; /* NULL once closed */
    PyObject *app;
    PyObject *context;       /* copied for every request */
    PyObject *create_future; /* bound method of the loop */
    struct fa_py_scope_parts scope;
#define FA_PY_DECLARE_HOOK(name) PyObject *hook_##name;
    FA_PY_SERVER_HOOKS(FA_PY_DECLARE_HOOK)
#undef FA_PY_DECLARE_HOOK
    PyObject *header_refs;     /* tuple of bytes that `headers` points into */
    struct fa_header *headers; /* sent with every response, before the application's */
    size_t header_count;
    struct fa_list exchanges; /* those that are not over; see fa_py_exchange_refs() */
    struct fa_py_attachment attachment;
    uint64_t finished;         /* calls that ended */
    uint64_t failed;           /* of these, with an exception */
    uint64_t requests_left;    /* until hook_limit is called; 0: no limit, or reached */
    uint32_t calls;            /* that have not ended */
    struct fa_task close_task; /* closes after the callback that asked for it */
    unsigned long thread;      /* the loop's */
    bool kept;                 /* has a reference to itself until close_task has run */
    bool idle_wanted;          /* somebody found it busy: hook_idle is called once it is not */
    bool upgrade_noticed;
    bool websocket_noticed;
};

/* Calls a hook with the arguments, if there is one; a failure goes to the loop's exception
 * handler. Leaves the current exception alone. */
void fa_py_server_hook(struct fa_py_server *server, PyObject *hook, PyObject *const *args,
                       size_t nargs);

#endif

/* SPDX-License-Identifier: MIT */
/* rig.h - a server and its client in one thread: the test writes to one end of a socket
 * pair (or a TCP connection), turns the reactor by hand, and reads what came. Nothing
 * sleeps: a wait ends with the event or the timer that it waits for. */
#ifndef FA_TESTS_HTTP_RIG_H
#define FA_TESTS_HTTP_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <fasterapi/server.h>

#include "check.h"

#define RIG_PATIENCE_NS INT64_C(5000000000)

struct rig {
    struct fa_server_options options;
    struct fa_reactor *reactor;
    struct fa_server *server;
    int client; /* -1 when closed */
    /* what the client has read */
    char *got;
    size_t got_len, got_cap;
    bool got_eof;
    /* what the server said */
    int events, stopped;
    struct fa_server_event last_event; /* without its spans */
    /* what the application saw */
    int requests, bodies, lasts, drains, disconnects, dones;
    size_t body_bytes;
    char body[4096];
    struct fa_request *req; /* the last one */
};

static struct rig rig;

static inline void rig_on_event(const struct fa_server_event *event, void *user)
{
    (void)user;
    rig.events++;
    rig.last_event = *event;
}

static inline void rig_on_stopped(struct fa_server *server, void *user)
{
    (void)server;
    (void)user;
    rig.stopped++;
}

/* Options for the next rig_up; change them in between. */
static inline void rig_init(void (*on_request)(struct fa_request *req, void *user))
{
    rig = (struct rig){.client = -1};
    fa_server_options_init(&rig.options);
    rig.options.no_date = true;
    rig.options.server_name = fa_span(NULL, 0);
    rig.options.callbacks = (struct fa_server_callbacks){
        .on_request = on_request,
        .on_event = rig_on_event,
        .on_stopped = rig_on_stopped,
    };
}

static inline void rig_connect(void)
{
    int pair[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    rig.client = pair[0];
    CHECK_INT(fa_server_adopt(rig.server, pair[1]), 0);
}

static inline void rig_up_without_client(void)
{
    CHECK_INT(fa_reactor_new(&rig.reactor, NULL), 0);
    CHECK_INT(fa_server_new(&rig.server, rig.reactor, &rig.options), 0);
}

static inline void rig_up(void)
{
    rig_up_without_client();
    rig_connect();
}

static inline void rig_down(void)
{
    fa_server_destroy(rig.server);
    rig.server = NULL;
    fa_reactor_destroy(rig.reactor);
    if (rig.client >= 0)
        close(rig.client);
    free(rig.got);
    rig.client = -1;
    rig.got = NULL;
}

/* One turn; waits at most that long for something to happen. */
static inline void rig_turn(int64_t timeout_ns)
{
    CHECK(fa_reactor_wait(rig.reactor, timeout_ns) >= 0);
    fa_reactor_collect(rig.reactor);
    fa_reactor_dispatch(rig.reactor, 0);
}

/* Takes what has arrived at the client. */
static inline void rig_read(void)
{
    while (rig.client >= 0 && !rig.got_eof) {
        if (rig.got_cap - rig.got_len < 65536) {
            rig.got_cap = rig.got_cap * 2 + 131072;
            rig.got = realloc(rig.got, rig.got_cap);
        }
        ssize_t count =
            recv(rig.client, rig.got + rig.got_len, rig.got_cap - rig.got_len, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0)
            rig.got_eof = true;
        else
            rig.got_len += (size_t)count;
    }
}

/* Turns until nothing happens any more; timers that are not due stay. */
static inline void rig_settle(void)
{
    struct fa_reactor_stats before, after;
    size_t had;
    do {
        had = rig.got_len;
        fa_reactor_get_stats(rig.reactor, &before);
        rig_turn(0);
        rig_read();
        fa_reactor_get_stats(rig.reactor, &after);
    } while (had != rig.got_len || before.io_events != after.io_events ||
             before.timers != after.timers || before.tasks != after.tasks ||
             fa_reactor_has_ready(rig.reactor));
}

/* Turns until `condition` holds; for what needs a timer or the kernel. */
#define RIG_UNTIL(condition)                                                                       \
    do {                                                                                           \
        uint64_t rig_limit_ns = fa_now_ns() + (uint64_t)RIG_PATIENCE_NS;                           \
        while (!(condition)) {                                                                     \
            CHECK(fa_now_ns() < rig_limit_ns);                                                     \
            rig_turn(10000000);                                                                    \
            rig_read();                                                                            \
        }                                                                                          \
    } while (0)

/* Forgets what was read. */
static inline void rig_forget(void)
{
    rig.got_len = 0;
}

static inline void rig_send_bytes(struct fa_span data)
{
    while (data.len > 0) {
        ssize_t count = send(rig.client, data.ptr, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            CHECK_INT(errno, EAGAIN);
        if (count > 0)
            data = fa_span(data.ptr + count, data.len - (size_t)count);
        if (data.len > 0)
            rig_turn(0);
    }
}

static inline void rig_send(const char *text)
{
    rig_send_bytes(fa_span_str(text));
}

/* Sends, turns until it is quiet, and checks everything that came back. */
static inline void rig_got(int line, const char *expected)
{
    struct fa_span got = fa_span(rig.got, rig.got_len);
    check_span(__FILE__, line, "answer", got, fa_span_str(expected));
    rig_forget();
}

#define GOT(expected) rig_got(__LINE__, expected)

#define TALK(text, expected)                                                                       \
    do {                                                                                           \
        rig_send(text);                                                                            \
        rig_settle();                                                                              \
        rig_got(__LINE__, expected);                                                               \
    } while (0)

static inline bool rig_got_contains(const char *text)
{
    return rig.got != NULL && memmem(rig.got, rig.got_len, text, strlen(text)) != NULL;
}

static inline void rig_close_client(void)
{
    close(rig.client);
    rig.client = -1;
}

/* ---- callbacks that count --------------------------------------------------------------- */

static inline void rig_on_body(struct fa_request *req, struct fa_span data, bool last)
{
    (void)req;
    rig.bodies++;
    rig.lasts += last;
    if (rig.body_bytes + data.len <= sizeof(rig.body) && data.len > 0)
        memcpy(rig.body + rig.body_bytes, data.ptr, data.len);
    rig.body_bytes += data.len;
}

static inline void rig_on_drain(struct fa_request *req)
{
    (void)req;
    rig.drains++;
}

static inline void rig_on_disconnect(struct fa_request *req)
{
    CHECK(fa_request_closed(req));
    rig.disconnects++;
}

static inline void rig_on_done(struct fa_request *req)
{
    CHECK(fa_request_closed(req));
    CHECK(fa_request_method(req).len > 0); /* spans live until now */
    rig.dones++;
}

static const struct fa_request_callbacks rig_callbacks = {
    .on_body = rig_on_body,
    .on_drain = rig_on_drain,
    .on_disconnect = rig_on_disconnect,
    .on_done = rig_on_done,
};

/* Counts, and remembers the request; the test answers. */
static inline void rig_wait(struct fa_request *req, void *user)
{
    (void)user;
    rig.requests++;
    rig.req = req;
    fa_request_set_callbacks(req, &rig_callbacks, NULL);
}

/* Answers at once with the target. */
static inline void rig_echo_target(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    CHECK_INT(fa_response_send(req, 200, NULL, 0, fa_request_target(req)), 0);
}

#define OK_HEAD(length) "HTTP/1.1 200 OK\r\ncontent-length: " #length "\r\n"

#endif

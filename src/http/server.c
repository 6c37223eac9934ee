/* SPDX-License-Identifier: MIT */
/* server.c - one HTTP server on one reactor: its listeners, the set of its connections, the
 * limits on them, shutdown. The reactor's thread only.
 *
 *   SERVING -> (drain) DRAINING -> (no connection left) STOPPED
 *
 * At the connection limit: a connection too many is accepted and told 503, up to
 * FA__REFUSED_MAX at a time; past that accepting stops until one is gone, and the kernel's
 * queue holds the rest back.
 *
 * Draining and closing only mark and schedule, so both may be called from any callback. */
#include "http/server_int.h"

#include <fasterapi/alloc.h>
#include <fasterapi/log.h>
#include <time.h>

#include "http/h1_conn.h"

#define NS_PER_S UINT64_C(1000000000)
#define DATE_LINE_LEN (sizeof("date: ") - 1 + FA__H1_DATE_LEN + sizeof("\r\n") - 1)

/* ---- accepting --------------------------------------------------------------------------------
 */

static void pause_accepting(struct fa_server *server)
{
    if (server->accept_paused)
        return;
    server->accept_paused = true;
    fa__listeners_pause(&server->listeners);
}

static void on_accept(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user)
{
    (void)listener;
    struct fa_server *server = user;
    server->accepted++;
    bool refused = server->conn_count - server->refused_count >= server->limits.connections;
    int err = fa__conn_open(server, fd, client, refused);
    if (err < 0) {
        server->rejected++;
        fa_log(FA_LOG_WARNING, "a connection was dropped: %s", fa_strerror(err));
        fa__socket_close(fd);
        return;
    }
    /* Only while it is full: where there is room again, those that are still being told so
     * keep nobody out. */
    if (server->refused_count >= FA__REFUSED_MAX &&
        server->conn_count - server->refused_count >= server->limits.connections)
        pause_accepting(server);
}

static void on_refuse(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user)
{
    (void)listener;
    /* Nothing depends on whether it arrives. */
    ssize_t sent = fa__socket_send(fd, FA_SPAN("HTTP/1.1 503 Service Unavailable\r\n"
                                               "content-length: 0\r\nconnection: close\r\n\r\n"));
    (void)sent;
    struct fa_server_event event = {
        .status = 503,
        .error = FA_EMFILE,
        .client = fa__addr_span(client),
        .client_port = client->port,
    };
    fa__server_report(user, &event);
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

void fa_server_options_init(struct fa_server_options *options)
{
    *options = (struct fa_server_options){
        .size = sizeof(*options),
        .server_name = FA_SPAN("fasterapi"),
    };
    fa_limits_default(&options->limits);
}

static void call_stopped(struct fa_task *task)
{
    struct fa_server *server = FA_CONTAINER_OF(task, struct fa_server, stop_task);
    if (server->stopped_called || server->conn_count > 0)
        return;
    server->stopped_called = true;
    fa_timer_cancel(&server->grace);
    if (server->callbacks.on_stopped != NULL)
        server->callbacks.on_stopped(server, server->user);
}

/* The listeners close, and every connection that waits for a request gets a last look. Driving
 * one frees that one at most. */
static void begin_drain(struct fa_task *task)
{
    struct fa_server *server = FA_CONTAINER_OF(task, struct fa_server, drain_task);
    if (server->retiring)
        fa__listeners_close(&server->listeners);
    else
        fa__listeners_finish(&server->listeners);
    struct fa_list *node = server->conns.next;
    while (node != &server->conns) {
        struct fa_list *next = node->next;
        fa__conn_drain(FA_CONTAINER_OF(node, struct fa__conn, link));
        node = next;
    }
    if (server->conn_count == 0)
        fa_task_post(server->reactor, &server->stop_task, FA_PRIORITY_NORMAL);
}

static int make_lines(struct fa_server *server, const struct fa_server_options *options)
{
    struct fa_header field = {FA_SPAN("server"), options->server_name};
    struct fa_buf lines;
    if (fa__h1_check_field(&field) < 0)
        return FA_EINVAL;
    fa_buf_init(&lines, NULL);
    int err = fa_buf_reserve(&lines, DATE_LINE_LEN);
    if (err == 0 && !options->no_date)
        lines.len = server->date_len = DATE_LINE_LEN; /* written when it is needed */
    if (err == 0 && field.value.len > 0)
        err = fa__h1_write_field(&lines, &field);
    server->lines = lines.data;
    server->server_len = lines.len - server->date_len;
    return err;
}

int fa_server_new(struct fa_server **out, struct fa_reactor *reactor,
                  const struct fa_server_options *options)
{
    static const struct fa__listeners_callbacks accepting = {on_accept, on_refuse};
    *out = NULL;
    if (options->size != sizeof(*options) || options->callbacks.on_request == NULL)
        return FA_EINVAL;
    struct fa_server *server = fa_calloc(1, sizeof(*server));
    if (server == NULL)
        return FA_ENOMEM;
    server->reactor = reactor;
    server->limits = options->limits;
    server->callbacks = options->callbacks;
    server->user = options->user;
    server->half_close_is_alive = options->half_close_is_alive;
    server->held_task.callback = fa__conn_release_held;
    server->drain_task.callback = begin_drain;
    server->stop_task.callback = call_stopped;
    fa_list_init(&server->conns);
    fa_list_init(&server->held);
    fa_list_init(&server->orphans);
    fa_pool_init(&server->pool, 128);
    fa_buf_init(&server->head, NULL);
    fa__limits_normalise(&server->limits);
    int err = make_lines(server, options);
    if (err == 0)
        err = fa_buf_reserve(&server->head, 1024);
    if (err == 0)
        err = fa__listeners_init(&server->listeners, reactor, &accepting, server);
    if (err < 0) {
        fa_buf_clean_up(&server->head);
        fa_free(server->lines);
        fa_free(server);
        return err;
    }
    *out = server;
    return 0;
}

void fa_server_destroy(struct fa_server *server)
{
    if (server == NULL)
        return;
    server->draining = true;
    fa__listeners_clean_up(&server->listeners);
    while (!fa_list_empty(&server->conns))
        fa__conn_destroy(FA_CONTAINER_OF(server->conns.next, struct fa__conn, link));
    fa_task_cancel(&server->held_task);
    fa_task_cancel(&server->drain_task);
    fa_task_cancel(&server->stop_task);
    fa_timer_cancel(&server->grace);
    fa__requests_clean_up(server);
    fa_buf_clean_up(&server->head);
    fa_pool_clean_up(&server->pool);
    fa_free(server->lines);
    fa_free(server);
}

void fa_server_after_fork(struct fa_server *server)
{
    int inert = fa__socket_inert();
    fa__listeners_after_fork(&server->listeners, inert);
    for (struct fa_list *node = server->conns.next; node != &server->conns; node = node->next) {
        struct fa__conn *conn = FA_CONTAINER_OF(node, struct fa__conn, link);
        if (conn->io.reactor != NULL)
            fa__socket_replace(conn->io.fd, inert);
    }
    fa__socket_close(inert);
}

int fa_server_listen_tcp(struct fa_server *server, const char *host, uint16_t port, unsigned flags)
{
    if (server->draining)
        return FA_ESTATE;
    unsigned how = flags & FA_LISTEN_REUSEPORT ? FA__LISTEN_REUSEPORT : 0;
    return fa__listeners_add_tcp(&server->listeners, host, port, how);
}

int fa_server_listen_unix(struct fa_server *server, const char *path)
{
    return server->draining ? FA_ESTATE : fa__listeners_add_unix(&server->listeners, path);
}

int fa_server_listen_fd(struct fa_server *server, int fd)
{
    return server->draining ? FA_ESTATE : fa__listeners_add_fd(&server->listeners, fd);
}

uint16_t fa_server_port(const struct fa_server *server)
{
    return fa__listeners_port(&server->listeners);
}

int fa_server_adopt(struct fa_server *server, int fd)
{
    struct fa__addr client;
    if (server->draining)
        return FA_ESTATE;
    int err = fa__socket_make_nonblocking(fd);
    if (err < 0)
        return err;
    if (fa__socket_remote(fd, &client) < 0)
        return FA_EINVAL;
    if (client.port >= 0)
        fa__socket_no_delay(fd);
    err = fa__conn_open(server, fd, &client, false);
    if (err == 0)
        server->accepted++;
    return err;
}

/* ---- shutdown
 * -------------------------------------------------------------------------------------- */

static void grace_over(struct fa_timer *timer)
{
    struct fa_server *server = FA_CONTAINER_OF(timer, struct fa_server, grace);
    fa_server_close_connections(server);
}

void fa_server_drain(struct fa_server *server, uint32_t grace_ms)
{
    if (!server->draining) {
        server->draining = true;
        fa_task_post(server->reactor, &server->drain_task, FA_PRIORITY_NORMAL);
    }
    if (grace_ms == 0 || server->stopped_called)
        return;
    uint64_t deadline_ns = fa_now_ns() + grace_ms * UINT64_C(1000000);
    if (server->grace.reactor != NULL && server->grace.deadline_ns <= deadline_ns)
        return;
    if (fa_timer_arm(server->reactor, &server->grace, deadline_ns, grace_over) < 0) {
        /* Without a timer the grace would never end. */
        fa_log(FA_LOG_WARNING, "no memory for the grace period: closing at once");
        fa_server_close_connections(server);
    }
}

void fa_server_retire(struct fa_server *server, uint32_t grace_ms)
{
    server->retiring = server->retiring || !server->draining;
    fa_server_drain(server, grace_ms);
}

void fa_server_close_connections(struct fa_server *server)
{
    for (struct fa_list *node = server->conns.next; node != &server->conns; node = node->next)
        fa__conn_doom(FA_CONTAINER_OF(node, struct fa__conn, link), FA_ECLOSED);
}

void fa__server_conn_gone(struct fa_server *server, bool refused)
{
    server->conn_count--;
    server->refused_count -= refused;
    if (server->draining) {
        if (server->conn_count == 0)
            fa_task_post(server->reactor, &server->stop_task, FA_PRIORITY_NORMAL);
    } else if (server->accept_paused) {
        server->accept_paused = false;
        fa__listeners_resume(&server->listeners);
    }
}

/* ---- what it tells
 * ----------------------------------------------------------------------------------- */

void fa__server_refresh_date(struct fa_server *server)
{
    uint64_t now_ns = fa_reactor_now_ns(server->reactor);
    if (FA_LIKELY(now_ns < server->date_valid_until_ns))
        return;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    char *at = server->lines;
    memcpy(at, "date: ", 6);
    fa__h1_format_date(at + 6, wall.tv_sec);
    memcpy(at + 6 + FA__H1_DATE_LEN, "\r\n", 2);
    server->date_valid_until_ns = fa_now_ns() + NS_PER_S - (uint64_t)wall.tv_nsec;
}

/* For a program that takes no events. Clients decide how many there are, so there is a line a
 * second at most, which says how many it stands for. */
static void log_exceeded(struct fa_server *server, const struct fa_server_event *event)
{
    uint64_t now_ns = fa_reactor_now_ns(server->reactor);
    server->unlogged++;
    if (server->logged_ns != 0 && now_ns - server->logged_ns < NS_PER_S)
        return;
    fa_log(FA_LOG_WARNING, "%.*s:%d: %s, answered %d; %llu since the last line",
           (int)event->client.len, event->client.ptr, event->client_port, fa_strerror(event->error),
           event->status, (unsigned long long)server->unlogged);
    server->logged_ns = now_ns;
    server->unlogged = 0;
}

void fa__server_report(struct fa_server *server, struct fa_server_event *event)
{
    server->rejected++;
    event->limit = fa__limit_of_error(event->error);
    if (event->limit != FA_LIMIT_NONE)
        server->exceeded[event->limit]++;
    if (server->callbacks.on_event != NULL)
        server->callbacks.on_event(event, server->user);
    else if (event->limit != FA_LIMIT_NONE)
        log_exceeded(server, event);
    else
        fa_log(FA_LOG_INFO, "%.*s:%d: %s, answered %d", (int)event->client.len, event->client.ptr,
               event->client_port, fa_strerror(event->error), event->status);
}

void fa_server_get_limits(const struct fa_server *server, struct fa_limits *out)
{
    *out = server->limits;
}

void fa_server_get_stats(const struct fa_server *server, struct fa_server_stats *out)
{
    *out = (struct fa_server_stats){
        .accepted = server->accepted,
        .requests = server->requests,
        .rejected = server->rejected,
        .timeouts = server->timeouts,
        .keep_alive_expired = server->keep_alive_expired,
        .bytes_in = server->bytes_in,
        .bytes_out = server->bytes_out,
        .connections = server->conn_count,
        .requests_in_flight = server->in_flight,
        .accepting = !server->draining && !server->accept_paused,
    };
    memcpy(out->exceeded, server->exceeded, sizeof(out->exceeded));
}

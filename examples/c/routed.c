/* SPDX-License-Identifier: MIT */
/* routed.c - routes with parameters, request bodies, 404 and 405.
 *
 *     cc routed.c -o routed $(pkg-config --cflags --libs fasterapi)
 *     ./routed 8000         (no argument, or 0: the system chooses the port)
 *
 *     curl localhost:8000/                              a line of text
 *     curl localhost:8000/users/42                      a parameter
 *     curl localhost:8000/files/a/b.txt                 a wildcard
 *     curl -d 'some text' localhost:8000/echo           the body comes back
 *     curl -X DELETE localhost:8000/echo                405 with Allow
 *
 * A handler that answers at once does so in its function; one that needs the body sets
 * callbacks and answers when the last byte is here. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <fasterapi/buf.h>
#include <fasterapi/alloc.h>
#include <fasterapi/reactor.h>
#include <fasterapi/router.h>
#include <fasterapi/server.h>

/* What a route's pointer leads to. */
struct route {
    const char *method;
    const char *pattern;
    void (*handle)(struct fa_request *req, const struct fa_route_match *match);
};

struct program {
    struct fa_reactor *reactor;
    struct fa_server *server;
    struct fa_router *router;
    int signals;
};

/* ---- answers ----------------------------------------------------------------------------- */

static void answer(struct fa_request *req, int status, struct fa_span body)
{
    static const struct fa_header fields[] = {
        {FA_SPAN("content-type"), FA_SPAN("text/plain; charset=utf-8")},
    };
    if (fa_response_send(req, status, fields, FA_ARRAY_LEN(fields), body) < 0)
        fa_request_abort(req);
}

static void get_root(struct fa_request *req, const struct fa_route_match *match)
{
    (void)match;
    answer(req, 200, FA_SPAN("Try /users/42, /files/a/b.txt, or post to /echo.\n"));
}

static void get_user(struct fa_request *req, const struct fa_route_match *match)
{
    char text[64];
    int64_t id;
    if (fa_span_to_int64(match->params[0].value, &id) < 0) {
        answer(req, 422, FA_SPAN("A user is a number.\n"));
        return;
    }
    int len = snprintf(text, sizeof(text), "user %lld\n", (long long)id);
    answer(req, 200, fa_span(text, (size_t)len));
}

static void get_file(struct fa_request *req, const struct fa_route_match *match)
{
    /* A parameter is a piece of the path as sent: still percent-encoded, never a file name
     * to open as it is. */
    answer(req, 200, match->params[0].value);
}

/* ---- a handler with a body ------------------------------------------------------------------ */

static void echo_body(struct fa_request *req, struct fa_span data, bool last)
{
    struct fa_buf *body = fa_request_user(req);
    if (fa_buf_append(body, data) < 0)
        fa_request_abort(req);
    else if (last)
        answer(req, 200, fa_buf_span(body));
}

static void echo_done(struct fa_request *req)
{
    struct fa_buf *body = fa_request_user(req);
    fa_buf_clean_up(body);
    fa_free(body);
}

static void post_echo(struct fa_request *req, const struct fa_route_match *match)
{
    static const struct fa_request_callbacks callbacks = {
        .on_body = echo_body,
        .on_done = echo_done,
    };
    (void)match;
    struct fa_buf *body = fa_malloc(sizeof(*body));
    if (body == NULL) {
        answer(req, 500, FA_SPAN("No memory.\n"));
        return;
    }
    fa_buf_init(body, NULL);
    fa_request_set_callbacks(req, &callbacks, body);
}

/* ---- routing ----------------------------------------------------------------------------------
 */

static const struct route routes[] = {
    {"GET", "/", get_root},
    {"GET", "/users/{id}", get_user},
    {"GET", "/files/*path", get_file},
    {"POST", "/echo", post_echo},
};

static int add_routes(struct fa_router *router)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(routes); i++) {
        int err = fa_router_add(router, fa_span_str(routes[i].method),
                                fa_span_str(routes[i].pattern), (void *)&routes[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

static void not_allowed(struct fa_request *req, struct fa_span allowed)
{
    const struct fa_header fields[] = {{FA_SPAN("allow"), allowed}};
    if (fa_response_send(req, 405, fields, FA_ARRAY_LEN(fields), FA_SPAN("")) < 0)
        fa_request_abort(req);
}

static void on_request(struct fa_request *req, void *user)
{
    const struct program *program = user;
    struct fa_route_match match;
    switch (
        fa_router_match(program->router, fa_request_method(req), fa_request_path(req), &match)) {
    case FA_ROUTE_FOUND:
        ((const struct route *)match.handler)->handle(req, &match);
        return;
    case FA_ROUTE_METHOD_NOT_ALLOWED:
        not_allowed(req, match.allowed);
        return;
    case FA_ROUTE_NOT_FOUND:
        answer(req, 404, FA_SPAN("There is nothing here.\n"));
        return;
    }
}

/* ---- the program ------------------------------------------------------------------------------
 */

static void on_signal(int signum, void *user)
{
    struct program *program = user;
    (void)signum;
    if (program->signals++ == 0)
        fa_server_drain(program->server, 30000);
    else
        fa_server_close_connections(program->server);
}

static void on_stopped(struct fa_server *server, void *user)
{
    struct program *program = user;
    (void)server;
    fa_reactor_stop(program->reactor);
}

static int serve(struct program *program, uint16_t port)
{
    struct fa_server_options options;
    fa_server_options_init(&options);
    options.callbacks.on_request = on_request;
    options.callbacks.on_stopped = on_stopped;
    options.user = program;

    int err = fa_router_new(&program->router);
    if (err == 0)
        err = add_routes(program->router);
    if (err == 0)
        err = fa_reactor_new(&program->reactor, NULL);
    if (err == 0)
        err = fa_signal_add(program->reactor, SIGINT, on_signal, program);
    if (err == 0)
        err = fa_signal_add(program->reactor, SIGTERM, on_signal, program);
    if (err == 0)
        err = fa_server_new(&program->server, program->reactor, &options);
    if (err == 0)
        err = fa_server_listen_tcp(program->server, "127.0.0.1", port, 0);
    if (err == 0) {
        printf("listening on http://127.0.0.1:%d\n", fa_server_port(program->server));
        fflush(stdout);
        err = fa_reactor_run(program->reactor);
    }
    fa_server_destroy(program->server);
    fa_reactor_destroy(program->reactor);
    fa_router_destroy(program->router);
    return err;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    int64_t port = 0;
    if (argc > 2 ||
        (argc == 2 && (fa_span_to_int64(fa_span_str(argv[1]), &port) < 0 || port > UINT16_MAX))) {
        fprintf(stderr, "usage: routed [port]\n");
        return 2;
    }
    int err = serve(&program, (uint16_t)port);
    if (err < 0) {
        fprintf(stderr, "routed: %s\n", fa_strerror(err));
        return 1;
    }
    return 0;
}

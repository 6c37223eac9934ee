/* SPDX-License-Identifier: MIT */
/* hello.c - the smallest server: one JSON answer to everything.
 *
 *     cc hello.c -o hello $(pkg-config --cflags --libs fasterapi)
 *     ./hello 8000          (no argument, or 0: the system chooses the port)
 *
 * Ctrl-C or SIGTERM finishes what is in flight and ends; a second one ends at once. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <fasterapi/reactor.h>
#include <fasterapi/server.h>

static void on_request(struct fa_request *req, void *user)
{
    static const struct fa_header fields[] = {
        {FA_SPAN("content-type"), FA_SPAN("application/json")},
    };
    (void)user;
    /* Without memory for the answer there is nothing to say but to hang up. */
    if (fa_response_send(req, 200, fields, FA_ARRAY_LEN(fields),
                         FA_SPAN("{\"message\":\"Hello, World!\"}")) < 0)
        fa_request_abort(req);
}

struct program {
    struct fa_reactor *reactor;
    struct fa_server *server;
    int signals;
};

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

    int err = fa_reactor_new(&program->reactor, NULL);
    if (err < 0)
        return err;
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
    return err;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    int64_t port = 0;
    if (argc > 2 ||
        (argc == 2 && (fa_span_to_int64(fa_span_str(argv[1]), &port) < 0 || port > UINT16_MAX))) {
        fprintf(stderr, "usage: hello [port]\n");
        return 2;
    }
    int err = serve(&program, (uint16_t)port);
    if (err < 0) {
        fprintf(stderr, "hello: %s\n", fa_strerror(err));
        return 1;
    }
    return 0;
}

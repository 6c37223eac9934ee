/* SPDX-License-Identifier: MIT */
/* The server around its connections: listening, the connection limit, draining, closing,
 * statistics, the memory of idle connections. */
#include <fasterapi/log.h>

#include "rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct fa_server_stats stats(void)
{
    struct fa_server_stats out;
    fa_server_get_stats(rig.server, &out);
    return out;
}

static int tcp_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(fa_server_port(rig.server))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void up_tcp(void (*on_request)(struct fa_request *req, void *user), uint32_t connections)
{
    rig_init(on_request);
    rig.options.limits.connections = connections;
    rig_up_without_client();
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    CHECK(fa_server_port(rig.server) != 0);
}

/* Makes `fd` the rig's client. */
static void use(int fd)
{
    rig.client = fd;
    rig.got_eof = false;
    rig_forget();
}

TEST(options_are_checked)
{
    struct fa_reactor *reactor;
    struct fa_server *server;
    struct fa_server_options options;
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    fa_server_options_init(&options);
    CHECK_INT(fa_server_new(&server, reactor, &options), FA_EINVAL); /* no on_request */
    options.callbacks.on_request = rig_wait;
    options.size--;
    CHECK_INT(fa_server_new(&server, reactor, &options), FA_EINVAL);
    fa_server_destroy(NULL);
    fa_reactor_destroy(reactor);
}

TEST(limits_in_force)
{
    struct fa_limits limits;
    rig_init(rig_wait);
    rig.options.limits.connections = 0;
    rig.options.limits.header_fields = 7;
    rig.options.limits.body_bytes = UINT64_C(1) << 40;
    rig_up_without_client();
    fa_server_get_limits(rig.server, &limits);
    CHECK_INT(limits.header_fields, 7);
    CHECK(limits.body_bytes == UINT64_C(1) << 40);
    CHECK(limits.connections > 0); /* what there are descriptors for */
    rig_down();
}

TEST(listen_tcp)
{
    up_tcp(rig_echo_target, 0);
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", fa_server_port(rig.server), 0),
              FA_EADDRINUSE);
    use(tcp_connect());
    rig_send(GET("/tcp"));
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(4) "\r\n/tcp");
    CHECK_INT(stats().accepted, 1);
    CHECK_INT(stats().connections, 1);
    CHECK(stats().accepting);
    rig_down();
}

TEST(listen_unix)
{
    char folder[] = "/tmp/fa-test-XXXXXX";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int port;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/s", folder);
    rig_init(rig_wait);
    rig_up_without_client();
    CHECK_INT(fa_server_listen_unix(rig.server, to.sun_path), 0);
    CHECK_INT(fa_server_port(rig.server), 0);
    use(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(rig.client >= 0);
    CHECK_INT(connect(rig.client, (struct sockaddr *)&to, sizeof(to)), 0);
    rig_send(GET("/"));
    rig_settle();
    CHECK_INT(rig.requests, 1);
    CHECK_SPAN(fa_request_local(rig.req, &port), to.sun_path);
    CHECK_INT(port, -1);
    rig_down();
    CHECK_INT(access(to.sun_path, F_OK), -1);
    rmdir(folder);
}

static int listening_socket(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    CHECK_INT(listen(fd, 16), 0);
    return fd;
}

TEST(listen_fd)
{
    int fd = listening_socket();
    rig_init(rig_echo_target);
    rig_up_without_client();
    CHECK_INT(fa_server_listen_fd(rig.server, fd), 0);
    use(tcp_connect());
    rig_send(GET("/fd"));
    RIG_UNTIL(rig.got_len > 0);
    rig_down();
}

TEST(adopt_refuses_what_is_not_connected)
{
    rig_init(rig_wait);
    rig_up_without_client();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(fa_server_adopt(rig.server, fd), FA_EINVAL);
    CHECK_INT(close(fd), 0);
    rig_down();
}

/* ---- the connection limit ----------------------------------------------------------------------
 */

TEST(a_connection_too_many_is_told)
{
    up_tcp(rig_echo_target, 1);
    int first = tcp_connect();
    rig_settle();
    int second = tcp_connect();
    use(second);
    RIG_UNTIL(rig.got_eof);
    CHECK(rig_got_contains("HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK_INT(rig.last_event.status, 503);
    CHECK_INT(rig.last_event.error, FA_EHTTP_CONNECTIONS);
    CHECK_INT(stats().exceeded[FA_LIMIT_CONNECTIONS], 1);
    close(second);
    use(first);
    rig_send(GET("/"));
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(1) "\r\n/");
    rig_close_client();
    RIG_UNTIL(stats().connections == 0);
    use(tcp_connect()); /* there is room again */
    rig_send(GET("/"));
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(1) "\r\n/");
    rig_down();
}

/* Even the refusals are bounded: then accepting stops, and goes on when one is gone. */
TEST(accepting_stops_when_too_many_are_refused)
{
    enum { CROWD = 100 };
    int fds[CROWD];
    up_tcp(rig_echo_target, 1);
    for (int i = 0; i < CROWD; i++)
        fds[i] = tcp_connect();
    RIG_UNTIL(!stats().accepting);
    rig_settle();
    CHECK_INT(stats().connections, 1 + 64);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    RIG_UNTIL(stats().accepted == CROWD && stats().connections == 0);
    CHECK(stats().accepting);
    rig_down();
}

/* A crowd that is being refused keeps nobody out once there is room. */
TEST(refused_connections_do_not_take_the_room)
{
    enum { ROOM = 4, CROWD = 64 };
    int regular[ROOM], crowd[CROWD];
    up_tcp(rig_echo_target, ROOM);
    for (int i = 0; i < ROOM; i++)
        regular[i] = tcp_connect();
    for (int i = 0; i < CROWD; i++)
        crowd[i] = tcp_connect();
    RIG_UNTIL(stats().connections == ROOM + CROWD && !stats().accepting);
    for (int i = 0; i < ROOM; i++)
        close(regular[i]);
    RIG_UNTIL(stats().connections == CROWD);
    for (int i = 0; i < ROOM; i++) {
        regular[i] = tcp_connect();
        use(regular[i]);
        rig_send(GET("/"));
        RIG_UNTIL(rig.got_len > 0);
        GOT(OK_HEAD(1) "\r\n/");
    }
    CHECK_INT(stats().connections, ROOM + CROWD);
    rig.client = -1;
    for (int i = 0; i < ROOM; i++)
        close(regular[i]);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    rig_down();
}

TEST(adopted_tcp_sends_at_once)
{
    int value = 0;
    socklen_t len = sizeof(value);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof(at);
    CHECK(listener >= 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&at, at_len), 0);
    CHECK_INT(listen(listener, 1), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&at, &at_len), 0);
    rig_init(rig_echo_target);
    rig_up_without_client();
    rig.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(rig.client >= 0);
    CHECK_INT(connect(rig.client, (struct sockaddr *)&at, at_len), 0);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK_INT(fa_server_adopt(rig.server, fd), 0);
    CHECK_INT(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    CHECK(value != 0);
    close(listener);
    rig_down();
}

/* No descriptor is left: the reserve says so to the client, and the server lives on. */
TEST(no_descriptors)
{
    struct rlimit saved, low;
    int held[256], count = 0;
    up_tcp(rig_echo_target, 0);
    use(tcp_connect());
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &saved), 0);
    low = saved;
    low.rlim_cur = 64;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (count < 256 && (held[count] = dup(0)) >= 0)
        count++;
    RIG_UNTIL(rig.got_eof);
    CHECK(rig_got_contains("HTTP/1.1 503 "));
    CHECK_INT(rig.events, 1);
    CHECK_INT(rig.last_event.status, 503);
    CHECK_INT(rig.last_event.limit, FA_LIMIT_DESCRIPTORS);
    CHECK(rig.last_event.client_port > 0);
    CHECK_INT(stats().exceeded[FA_LIMIT_DESCRIPTORS], 1);
    CHECK_INT(stats().rejected, 1);
    while (count > 0)
        close(held[--count]);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &saved), 0);
    rig_close_client();
    use(tcp_connect());
    rig_send(GET("/"));
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(1) "\r\n/");
    rig_down();
}

static void drop_log(enum fa_log_level level, const char *text, void *user)
{
    (void)level;
    (void)text;
    (void)user;
}

static void drain_on_event(const struct fa_server_event *event, void *user)
{
    rig_on_event(event, user);
    fa_server_drain(rig.server, 0);
}

/* An event may come while a listener accepts, and may end the server. */
TEST(drain_from_an_event)
{
    rig_init(rig_wait);
    rig.options.limits.connections = 1;
    rig.options.callbacks.on_event = drain_on_event;
    rig_up_without_client();
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    int first = tcp_connect();
    use(tcp_connect());
    RIG_UNTIL(rig.got_eof);
    CHECK(rig_got_contains("HTTP/1.1 503 "));
    rig_close_client();
    RIG_UNTIL(rig.stopped == 1);
    CHECK_INT(fa_server_port(rig.server), 0);
    close(first);
    rig_down();
}

static char lines[4][256];
static int line_count;

static void keep_line(enum fa_log_level level, const char *text, void *user)
{
    (void)user;
    CHECK_INT(level, FA_LOG_WARNING);
    CHECK(line_count < 4);
    snprintf(lines[line_count++], sizeof(lines[0]), "%s", text);
}

/* Without on_event a flood is a line now and then. */
TEST(a_flood_is_not_a_flood_of_lines)
{
    enum { CROWD = 20 };
    line_count = 0;
    rig_init(rig_wait);
    rig.options.limits.connections = 1;
    rig.options.callbacks.on_event = NULL;
    rig_up();
    fa_log_set_sink(keep_line, NULL);
    uint64_t begin_ns = fa_now_ns();
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    int first = rig.client;
    for (int i = 0; i < CROWD; i++) {
        use(tcp_connect());
        RIG_UNTIL(rig.got_eof);
        rig_close_client();
    }
    fa_log_set_sink(NULL, NULL);
    CHECK_INT(stats().exceeded[FA_LIMIT_CONNECTIONS], CROWD);
    CHECK(line_count >= 1);
    CHECK((uint64_t)line_count <= 1 + (fa_now_ns() - begin_ns) / 1000000000);
    CHECK(strstr(lines[0], ": the limit on connections is reached, answered 503; 1 since the") !=
          NULL);
    close(first);
    rig_down();
}

/* A connection that there is no memory for is closed; the one there is lives on. */
TEST(no_memory_for_a_connection)
{
    up_tcp(rig_echo_target, 0);
    int first = tcp_connect();
    RIG_UNTIL(stats().connections == 1);
    use(tcp_connect());
    fa_log_set_sink(drop_log, NULL);
    fa_alloc_fail_nth(1);
    while (stats().accepted < 2)
        rig_turn(-1);
    fa_alloc_fail_nth(0);
    fa_log_set_sink(NULL, NULL);
    char byte;
    CHECK_INT(recv(rig.client, &byte, 1, 0), 0);
    CHECK_INT(stats().rejected, 1);
    rig_close_client();
    use(first);
    rig_send(GET("/"));
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(1) "\r\n/");
    rig_down();
}

/* ---- shutdown
 * -------------------------------------------------------------------------------------- */

TEST(drain_without_connections)
{
    up_tcp(rig_wait, 0);
    fa_server_drain(rig.server, 0);
    CHECK_INT(rig.stopped, 0); /* never inside */
    rig_settle();
    CHECK_INT(rig.stopped, 1);
    fa_server_drain(rig.server, 10);
    rig_settle();
    CHECK_INT(rig.stopped, 1);
    CHECK(!stats().accepting);
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), FA_ESTATE);
    CHECK_INT(fa_server_adopt(rig.server, 0), FA_ESTATE);
    rig_down();
}

TEST(drain_finishes_what_is_in_flight)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/1"), "");
    fa_server_drain(rig.server, 60000);
    rig_settle();
    CHECK_INT(rig.stopped, 0);
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("ok")), 0);
    rig_settle();
    GOT(OK_HEAD(2) "connection: close\r\n\r\nok");
    CHECK(rig.got_eof);
    rig_close_client();
    rig_settle();
    CHECK_INT(rig.stopped, 1);
    rig_down();
}

TEST(drain_closes_idle_connections)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    fa_server_drain(rig.server, 0);
    rig_settle();
    CHECK(rig.got_eof);
    CHECK_INT(rig.stopped, 1);
    rig_down();
}

/* A connection that has just come is given a moment for its first request, and no more. */
TEST(drain_waits_for_a_first_request)
{
    rig_init(rig_echo_target);
    rig_up();
    rig_turn(0);
    fa_server_drain(rig.server, 0);
    rig_settle();
    CHECK(!rig.got_eof);
    TALK(GET("/first"), OK_HEAD(6) "connection: close\r\n\r\n/first");
    CHECK(rig.got_eof);
    RIG_UNTIL(rig.stopped == 1);
    rig_down();
}

TEST(drain_does_not_wait_long_for_a_first_request)
{
    rig_init(rig_echo_target);
    rig_up();
    uint64_t opened_ns = fa_now_ns();
    fa_server_drain(rig.server, 0);
    RIG_UNTIL(rig.got_eof);
    CHECK(fa_now_ns() - opened_ns < 2000000000);
    CHECK_INT(stats().timeouts, 0);
    RIG_UNTIL(rig.stopped == 1);
    rig_down();
}

/* The request that was on its way when the drain began is answered. */
TEST(drain_answers_the_request_that_crosses)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    rig_send(GET("/crossing"));
    fa_server_drain(rig.server, 0);
    rig_settle();
    GOT(OK_HEAD(9) "connection: close\r\n\r\n/crossing");
    CHECK(rig.got_eof);
    rig_down();
}

/* Nobody has accepted it yet, and closing the listener would reset it. */
TEST(drain_answers_what_waits_in_the_kernels_queue)
{
    up_tcp(rig_echo_target, 0);
    use(tcp_connect());
    rig_send(GET("/queued"));
    fa_server_drain(rig.server, 0);
    RIG_UNTIL(rig.got_eof);
    GOT(OK_HEAD(7) "connection: close\r\n\r\n/queued");
    rig_down();
}

/* Somebody else on the same socket serves it. */
TEST(retiring_leaves_the_kernels_queue_alone)
{
    int fd = listening_socket();
    rig_init(rig_echo_target);
    rig_up_without_client();
    CHECK_INT(fa_server_listen_fd(rig.server, dup(fd)), 0);
    use(tcp_connect());
    rig_send(GET("/queued"));
    fa_server_retire(rig.server, 0);
    RIG_UNTIL(rig.stopped == 1);
    CHECK_INT(rig.requests, 0);
    fa_server_destroy(rig.server);
    CHECK_INT(fa_server_new(&rig.server, rig.reactor, &rig.options), 0);
    CHECK_INT(fa_server_listen_fd(rig.server, fd), 0);
    RIG_UNTIL(rig.got_len > 0);
    GOT(OK_HEAD(7) "\r\n/queued");
    rig_down();
}

static void drain_in_event(const struct fa_server_event *event, void *user)
{
    rig_on_event(event, user);
    fa_server_drain(rig.server, 0);
}

/* The event comes from a connection that was just accepted. */
TEST(drain_inside_an_event)
{
    up_tcp(rig_wait, 1);
    fa_server_destroy(rig.server);
    rig.options.callbacks.on_event = drain_in_event;
    CHECK_INT(fa_server_new(&rig.server, rig.reactor, &rig.options), 0);
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    int first = tcp_connect();
    use(tcp_connect());
    RIG_UNTIL(rig.got_eof);
    CHECK(rig_got_contains("HTTP/1.1 503 "));
    CHECK_INT(rig.events, 1);
    RIG_UNTIL(rig.stopped == 1);
    close(first);
    rig_down();
}

/* A response that began before the drain did not announce the close: the pipelined request
 * behind it is still answered, and that one says so. */
TEST(drain_with_a_pipeline)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/1") GET("/2") GET("/3"), "");
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    fa_server_drain(rig.server, 0);
    rig_settle();
    CHECK_INT(fa_response_end(rig.req), 0);
    rig_settle();
    GOT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    CHECK_INT(rig.requests, 2);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("2")), 0);
    rig_settle();
    GOT(OK_HEAD(1) "connection: close\r\n\r\n2");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 2);
    rig_down();
}

TEST(grace_ends)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    fa_server_drain(rig.server, 60000);
    fa_server_drain(rig.server, 5); /* shortens it */
    fa_server_drain(rig.server, 60000);
    RIG_UNTIL(rig.stopped == 1);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK(rig.got_eof);
    rig_down();
}

static void fork_and_answer(struct fa_request *req, void *user)
{
    int status = -1;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        static char body[256 * 1024]; /* so much that it is written at once */
        memset(body, 'c', sizeof(body));
        fa_reactor_after_fork(rig.reactor);
        fa_server_after_fork(rig.server);
        bool sent = fa_response_send(req, 200, NULL, 0, fa_span(body, sizeof(body))) == 0;
        _exit(sent && fa_response_congested(req) ? 7 : 1);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(WEXITSTATUS(status), 7);
    CHECK_INT(fa_response_send(req, 200, NULL, 0, FA_SPAN("parent")), 0);
}

/* The child of a fork in a handler answers nobody, and keeps no port. */
TEST(a_forked_child_reaches_no_client)
{
    up_tcp(fork_and_answer, 0);
    use(tcp_connect());
    rig_send(GET("/a"));
    rig_settle();
    CHECK(rig_got_contains("parent"));
    CHECK(!rig_got_contains("cccc"));
    rig_down();
}

TEST(close_at_once)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    fa_server_drain(rig.server, 0);
    fa_server_close_connections(rig.server);
    CHECK_INT(rig.disconnects, 0); /* not inside */
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.stopped, 1);
    rig_down();
}

/* ---- numbers
 * ---------------------------------------------------------------------------------------- */

TEST(statistics)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    struct fa_server_stats now = stats();
    CHECK_INT(now.accepted, 1);
    CHECK_INT(now.connections, 1);
    CHECK_INT(now.requests, 1);
    CHECK_INT(now.requests_in_flight, 0);
    CHECK_INT(now.rejected, 0);
    CHECK_INT(now.bytes_in, sizeof(GET("/")) - 1);
    CHECK_INT(now.bytes_out, sizeof(OK_HEAD(1) "\r\n/") - 1);
    rig_down();
}

static size_t allocated;

static void *count_malloc(size_t size)
{
    size_t *block = malloc(size + 16);
    if (block == NULL)
        return NULL;
    *block = size;
    allocated += size;
    return block + 2;
}

static void count_free(void *ptr)
{
    size_t *block = (size_t *)ptr - 2;
    allocated -= *block;
    free(block);
}

static void *count_realloc(void *ptr, size_t size)
{
    size_t *block = (size_t *)ptr - 2, old = *block;
    size_t *grown = realloc(block, size + 16);
    if (grown == NULL)
        return NULL;
    allocated += size - old;
    *grown = size;
    return grown + 2;
}

/* An idle keep-alive connection that has had an exchange holds at most 2 KiB. */
TEST(idle_connections_are_small)
{
    enum { CONNS = 200 };
    static const struct fa_allocator counting = {count_malloc, count_realloc, count_free};
    int fds[CONNS], pair[2];
    fa_set_allocator(&counting);
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    size_t before = allocated;
    for (int i = 0; i < CONNS; i++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        fds[i] = pair[0];
        CHECK_INT(fa_server_adopt(rig.server, pair[1]), 0);
        CHECK_INT(send(fds[i], GET("/"), sizeof(GET("/")) - 1, 0), sizeof(GET("/")) - 1);
    }
    rig_settle();
    CHECK_INT(rig.dones, CONNS + 1);
    size_t each = (allocated - before) / CONNS;
    printf("    %zu bytes for an idle connection\n", each);
    CHECK(each <= 2048);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    rig_down();
    CHECK_INT(allocated, 0);
    fa_set_allocator(NULL);
}

int main(void)
{
    RUN(options_are_checked);
    RUN(limits_in_force);
    RUN(listen_tcp);
    RUN(listen_unix);
    RUN(listen_fd);
    RUN(adopt_refuses_what_is_not_connected);
    RUN(a_connection_too_many_is_told);
    RUN(accepting_stops_when_too_many_are_refused);
    RUN(refused_connections_do_not_take_the_room);
    RUN(adopted_tcp_sends_at_once);
    RUN(no_descriptors);
    RUN(drain_from_an_event);
    RUN(a_flood_is_not_a_flood_of_lines);
    RUN(no_memory_for_a_connection);
    RUN(drain_without_connections);
    RUN(drain_finishes_what_is_in_flight);
    RUN(drain_closes_idle_connections);
    RUN(drain_waits_for_a_first_request);
    RUN(drain_does_not_wait_long_for_a_first_request);
    RUN(drain_answers_the_request_that_crosses);
    RUN(drain_answers_what_waits_in_the_kernels_queue);
    RUN(retiring_leaves_the_kernels_queue_alone);
    RUN(drain_inside_an_event);
    RUN(drain_with_a_pipeline);
    RUN(grace_ends);
    RUN(a_forked_child_reaches_no_client);
    RUN(close_at_once);
    RUN(statistics);
    RUN(idle_connections_are_small);
    return check_report();
}

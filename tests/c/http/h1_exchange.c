/* SPDX-License-Identifier: MIT */
/* From bytes to a request and to the next one: keep-alive, pipelining, fairness, the end of
 * the stream, requests in flight. */
#include "rig.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

/* Counts what the output queue hands to the kernel; found before libc's. */
static int sends;

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    sends++;
    return syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    sends++;
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

static int epoll_changes;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    epoll_changes++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

TEST(one_request)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/hello"), OK_HEAD(6) "\r\n/hello");
    CHECK_INT(rig.requests, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.disconnects, 0);
    CHECK(!rig.got_eof);
    rig_down();
}

TEST(keep_alive)
{
    rig_init(rig_echo_target);
    rig_up();
    for (int i = 0; i < 5; i++)
        TALK(GET("/x"), OK_HEAD(2) "\r\n/x");
    CHECK_INT(rig.dones, 5);
    rig_down();
}

TEST(byte_by_byte)
{
    rig_init(rig_echo_target);
    rig_up();
    const char *text = GET("/slow");
    for (const char *at = text; *at != '\0'; at++) {
        rig_send_bytes(fa_span(at, 1));
        rig_settle();
    }
    GOT(OK_HEAD(5) "\r\n/slow");
    rig_down();
}

TEST(connection_close)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         OK_HEAD(1) "connection: close\r\n\r\n/");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(nothing_is_answered_behind_a_close)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/2"),
         OK_HEAD(2) "connection: close\r\n\r\n/1");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    rig_down();
}

TEST(http_1_0)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         OK_HEAD(1) "connection: keep-alive\r\n\r\n/");
    TALK("GET / HTTP/1.0\r\n\r\n", OK_HEAD(1) "connection: close\r\n\r\n/");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(a_burst_leaves_in_one_call)
{
    char wanted[4096];
    size_t len = 0;
    rig_init(rig_echo_target);
    rig_up();
    for (int i = 0; i < 16; i++) {
        rig_send(GET("/p"));
        len += (size_t)snprintf(wanted + len, sizeof(wanted) - len, "%s", OK_HEAD(2) "\r\n/p");
    }
    sends = 0;
    rig_settle();
    CHECK_INT(sends, 1);
    GOT(wanted);
    CHECK_INT(rig.dones, 16);
    rig_down();
}

/* The budget: one descriptor event, one send, one task for all that a turn answers, no change
 * of what is watched. */
TEST(one_event_per_request)
{
    struct fa_reactor_stats before, after;
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    fa_reactor_get_stats(rig.reactor, &before);
    sends = epoll_changes = 0;
    for (int i = 0; i < 10; i++)
        TALK(GET("/"), OK_HEAD(1) "\r\n/");
    fa_reactor_get_stats(rig.reactor, &after);
    CHECK_INT(after.io_events - before.io_events, 10);
    CHECK_INT(after.tasks - before.tasks, 10);
    CHECK_INT(sends, 10 + 10); /* the client's too */
    CHECK_INT(epoll_changes, 0);
    rig_down();
}

TEST(a_burst_is_bounded_per_turn)
{
    rig_init(rig_echo_target);
    rig.options.limits.pipeline_burst = 3;
    rig_up();
    for (int i = 0; i < 8; i++)
        rig_send(GET("/p"));
    rig_turn(0);
    CHECK_INT(rig.requests, 3);
    rig_send(GET("/q")); /* an event beside the task that goes on */
    rig_turn(0);
    CHECK_INT(rig.requests, 6);
    rig_settle();
    CHECK_INT(rig.requests, 9);
    CHECK_INT(rig.got_len, 9 * (sizeof(OK_HEAD(2) "\r\n/p") - 1));
    rig_down();
}

/* More requests than a read block holds, so that a head is cut at its end. */
TEST(a_long_pipeline)
{
    rig_init(rig_echo_target);
    rig_up();
    for (int i = 0; i < 1000; i++)
        rig_send("GET /0123456789 HTTP/1.1\r\nHost: example.org\r\n\r\n");
    rig_settle();
    CHECK_INT(rig.requests, 1000);
    CHECK_INT(rig.got_len, 1000 * (sizeof(OK_HEAD(11) "\r\n/0123456789") - 1));
    rig_down();
}

TEST(the_next_request_waits_for_the_answer)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/1") GET("/2"), "");
    CHECK_INT(rig.requests, 1);
    CHECK_INT(rig.lasts, 1); /* the empty body */
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("one")), 0);
    rig_settle();
    GOT(OK_HEAD(3) "\r\none");
    CHECK_INT(rig.requests, 2);
    CHECK_SPAN(fa_request_target(rig.req), "/2");
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("two")), 0);
    rig_settle();
    GOT(OK_HEAD(3) "\r\ntwo");
    CHECK_INT(rig.dones, 2);
    rig_down();
}

/* What comes behind the request in progress is held up to a bound, then left unread. */
TEST(pipelined_input_is_bounded)
{
    struct fa_server_stats stats;
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/1"));
    rig_settle();
    for (int i = 0; i < 4000; i++) {
        if (send(rig.client, GET("/more"), sizeof(GET("/more")) - 1, MSG_DONTWAIT) < 0)
            break;
    }
    rig_settle();
    fa_server_get_stats(rig.server, &stats);
    CHECK(stats.bytes_in <= 16384);
    CHECK_INT(rig.disconnects, 0);
    rig_down();
}

/* Requests that are answered more slowly than they come in: a burst is small, the client's
 * flood is not. What waits for its turn is bounded all the same. */
TEST(requests_that_wait_for_their_turn_are_bounded)
{
    struct fa_server_stats stats;
    uint64_t most = 0;
    rig_init(rig_echo_target);
    rig.options.limits.pipeline_burst = 1;
    rig.options.limits.request_line_bytes = rig.options.limits.header_bytes = 1024;
    rig_up();
    for (int turn = 0; turn < 2000; turn++) {
        while (send(rig.client, GET("/"), sizeof(GET("/")) - 1, MSG_DONTWAIT) > 0)
            ;
        rig_turn(0);
        rig_read();
        fa_server_get_stats(rig.server, &stats);
        uint64_t held = stats.bytes_in - stats.requests * (sizeof(GET("/")) - 1);
        most = held > most ? held : most;
    }
    CHECK(stats.requests >= 2000);
    CHECK(most <= 16384);
    rig_down();
}

TEST(head_split_into_growing_buffer)
{
    static char head[60000];
    rig_init(rig_echo_target);
    rig_up();
    size_t len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(head + len, 'v', sizeof(head) - len);
    memcpy(head + sizeof(head) - 4, "\r\n\r\n", 4);
    rig_send_bytes(fa_span(head, sizeof(head)));
    rig_settle();
    GOT(OK_HEAD(1) "\r\n/");
    rig_down();
}

static size_t fields_seen;
static bool fields_right;

static void look_at_fields(struct fa_request *req, void *user)
{
    char name[32];
    const struct fa_header *fields = fa_request_headers(req, &fields_seen);
    fields_right = true;
    for (size_t i = 1; i < fields_seen; i++) {
        snprintf(name, sizeof(name), "X-%zu", i - 1);
        fields_right = fields_right && fa_span_eq(fields[i].name, fa_span_str(name));
    }
    rig_echo_target(req, user);
}

TEST(many_fields)
{
    char head[8192];
    rig_init(look_at_fields);
    rig_up();
    size_t len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 255; i++)
        len += (size_t)snprintf(head + len, sizeof(head) - len, "X-%d: %d\r\n", i, i);
    snprintf(head + len, sizeof(head) - len, "\r\n");
    TALK(head, OK_HEAD(1) "\r\n/");
    CHECK_INT(fields_seen, 256);
    CHECK(fields_right);
    len -= 2;
    snprintf(head + len, sizeof(head) - len, "\r\nX: one too many\r\n\r\n");
    rig_send(head);
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 431 "));
    rig_down();
}

TEST(requests_per_connection)
{
    rig_init(rig_echo_target);
    rig.options.limits.requests_per_connection = 2;
    rig_up();
    TALK(GET("/1"), OK_HEAD(2) "\r\n/1");
    TALK(GET("/2") GET("/3"), OK_HEAD(2) "connection: close\r\n\r\n/2");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 2);
    rig_down();
}

TEST(requests_in_flight)
{
    struct fa_server_stats stats;
    rig_init(rig_wait);
    rig.options.limits.requests_in_flight = 1;
    rig_up();
    TALK(GET("/1"), "");
    int first = rig.client;
    struct fa_request *waiting = rig.req;
    rig_connect();
    rig_send(GET("/2"));
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(rig_got_contains("connection: close\r\n"));
    CHECK(rig.got_eof);
    CHECK_INT(rig.events, 1);
    CHECK_INT(rig.last_event.status, 503);
    CHECK_INT(rig.last_event.limit, FA_LIMIT_IN_FLIGHT);
    CHECK_INT(rig.requests, 1);
    rig_close_client();
    rig.client = first;
    rig.got_eof = false;
    rig_forget();
    CHECK_INT(fa_response_send(waiting, 200, NULL, 0, FA_SPAN("ok")), 0);
    rig_settle();
    GOT(OK_HEAD(2) "\r\nok");
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.requests_in_flight, 0);
    CHECK_INT(stats.requests, 1);
    CHECK_INT(stats.rejected, 1);
    rig_down();
}

/* ---- the end of the stream ----------------------------------------------------------------- */

TEST(end_of_stream_behind_an_answered_request)
{
    rig_init(rig_echo_target);
    rig_up();
    rig_send(GET("/1") GET("/2"));
    shutdown(rig.client, SHUT_WR);
    rig_settle();
    GOT(OK_HEAD(2) "\r\n/1" OK_HEAD(2) "\r\n/2");
    CHECK(rig.got_eof);
    CHECK_INT(rig.disconnects, 0);
    rig_down();
}

TEST(end_of_stream_is_a_disconnect)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/1"));
    rig_settle();
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("begun")), 0);
    shutdown(rig.client, SHUT_WR);
    fa_request_acquire(rig.req);
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK(rig_got_contains("5\r\nbegun\r\n")); /* what was queued has been sent */
    CHECK(rig.got_eof);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("late")), FA_ECLOSED);
    CHECK_INT(fa_response_end(rig.req), FA_ECLOSED);
    fa_request_release(rig.req);
    rig_down();
}

static void answer_later(struct fa_task *task)
{
    (void)task;
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("ok")), 0);
}

/* Work that is ready in the turn that finds the end of the stream comes first. */
TEST(an_answer_in_the_same_turn_is_not_too_late)
{
    struct fa_task task = {.callback = answer_later};
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/1"));
    shutdown(rig.client, SHUT_WR);
    rig_turn(0);
    CHECK_INT(rig.requests, 1);
    fa_task_post(rig.reactor, &task, FA_PRIORITY_LOW);
    rig_settle();
    GOT(OK_HEAD(2) "\r\nok");
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(rig.dones, 1);
    CHECK(rig.got_eof);
    rig_down();
}

TEST(half_close_may_be_alive)
{
    rig_init(rig_wait);
    rig.options.half_close_is_alive = true;
    rig_up();
    rig_send(GET("/1"));
    shutdown(rig.client, SHUT_WR);
    rig_settle();
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("ok")), 0);
    rig_settle();
    GOT(OK_HEAD(2) "\r\nok");
    CHECK(rig.got_eof);
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

static void pause_at_once(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_request_pause_body(req);
}

/* The body is here, whole or not, and nobody has asked for it yet: the end of the stream
 * behind it says nothing. It does when bytes are wanted that cannot come. */
TEST(half_close_behind_a_paused_body)
{
    for (int whole = 0; whole < 2; whole++) {
        rig_init(pause_at_once);
        rig.options.half_close_is_alive = true;
        rig_up();
        rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1234");
        if (whole)
            rig_send("5");
        shutdown(rig.client, SHUT_WR);
        rig_settle();
        CHECK_INT(rig.disconnects, 0);
        fa_request_resume_body(rig.req);
        rig_settle();
        CHECK_INT(rig.body_bytes, 4 + whole);
        CHECK_INT(rig.disconnects, 1 - whole);
        if (whole) {
            CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("ok")), 0);
            rig_settle();
            GOT(OK_HEAD(2) "\r\nok");
        }
        CHECK_INT(rig.dones, 1);
        rig_down();
    }
}

/* Requests that wait behind the one in progress are answered although the stream ended. */
TEST(pipelined_requests_survive_the_end_of_stream)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/1") GET("/2"));
    shutdown(rig.client, SHUT_WR);
    rig_settle();
    CHECK_INT(rig.requests, 1);
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("1")), 0);
    rig_settle();
    GOT(OK_HEAD(1) "\r\n1");
    CHECK_INT(rig.requests, 2);
    CHECK_INT(rig.disconnects, 1); /* the last one: nothing waits behind it */
    rig_down();
}

TEST(stray_line_ends_do_not_hide_a_disconnect)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/1") "\r\n");
    rig_settle();
    rig_close_client();
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

TEST(close_while_idle_and_within_a_head)
{
    struct fa_server_stats stats;
    rig_init(rig_echo_target);
    rig_up();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    rig_close_client();
    rig_settle();
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.connections, 0);
    CHECK_INT(rig.events, 0);
    rig_connect();
    rig_send("GET / HT");
    rig_settle();
    rig_close_client();
    rig_settle();
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.connections, 0);
    CHECK_INT(rig.events, 1); /* a request that never was */
    CHECK_INT(rig.last_event.status, 0);
    rig_down();
}

/* RFC 9112 section 2.2: such a client is idle still. */
TEST(an_empty_line_behind_a_body_begins_nothing)
{
    rig_init(rig_echo_target);
    rig.options.limits.keep_alive_ms = 5;
    rig_up();
    TALK("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n", OK_HEAD(2) "\r\n/p");
    rig_send("\r\n");
    rig_settle();
    TALK(GET("/q"), OK_HEAD(2) "\r\n/q");
    rig_send("\r\n");
    RIG_UNTIL(rig.got_eof);
    CHECK_INT(rig.got_len, 0);
    CHECK_INT(rig.events, 0);
    rig_down();
}

TEST(garbage_behind_answers)
{
    rig_init(rig_echo_target);
    rig_up();
    rig_send(GET("/1") GET("/2") "garbage\r\n\r\n");
    rig_settle();
    CHECK(rig_got_contains(OK_HEAD(2) "\r\n/1" OK_HEAD(2) "\r\n/2HTTP/1.1 400 Bad Request\r\n"));
    CHECK(rig.got_eof);
    CHECK_INT(rig.last_event.status, 400);
    rig_down();
}

/* ---- no memory ---------------------------------------------------------------------------------
 */

static void answer_with_body(struct fa_request *req, void *user)
{
    static const struct fa_header type = {FA_SPAN("content-type"), FA_SPAN("text/plain")};
    rig_wait(req, user);
    if (fa_response_start(req, 200, &type, 1) < 0 || fa_response_write(req, FA_SPAN("hello")) < 0 ||
        fa_response_end(req) < 0)
        fa_request_abort(req);
}

/* Everything from the server to the last answer, with each allocation failing in turn. What
 * survives must be a whole answer or a closed connection. */
static void whole_exchange(void)
{
    char got[1024];
    int pair[2];
    rig_init(answer_with_body);
    if (fa_reactor_new(&rig.reactor, NULL) < 0)
        return;
    if (fa_server_new(&rig.server, rig.reactor, &rig.options) < 0) {
        fa_reactor_destroy(rig.reactor);
        return;
    }
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    rig.client = pair[0];
    if (fa_server_adopt(rig.server, pair[1]) < 0) {
        close(pair[1]);
    } else {
        rig_send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5\r\nhello\r\n0\r\n\r\n" GET("/2") "bad\r\n\r\n");
        for (int i = 0; i < 6; i++)
            rig_turn(0);
        ssize_t count = recv(rig.client, got, sizeof(got), 0);
        CHECK(count >= 0 || errno == EAGAIN || errno == ECONNRESET);
        if (count > 0)
            CHECK(memcmp(got, "HTTP/1.1 ", 9) == 0);
        CHECK_INT(rig.requests, rig.dones);
    }
    rig_down();
}

TEST(no_memory_anywhere)
{
    check_alloc_failures(whole_exchange);
}

int main(void)
{
    RUN(one_request);
    RUN(keep_alive);
    RUN(byte_by_byte);
    RUN(connection_close);
    RUN(nothing_is_answered_behind_a_close);
    RUN(http_1_0);
    RUN(a_burst_leaves_in_one_call);
    RUN(one_event_per_request);
    RUN(a_burst_is_bounded_per_turn);
    RUN(a_long_pipeline);
    RUN(the_next_request_waits_for_the_answer);
    RUN(pipelined_input_is_bounded);
    RUN(requests_that_wait_for_their_turn_are_bounded);
    RUN(head_split_into_growing_buffer);
    RUN(many_fields);
    RUN(requests_per_connection);
    RUN(requests_in_flight);
    RUN(end_of_stream_behind_an_answered_request);
    RUN(end_of_stream_is_a_disconnect);
    RUN(an_answer_in_the_same_turn_is_not_too_late);
    RUN(half_close_may_be_alive);
    RUN(half_close_behind_a_paused_body);
    RUN(pipelined_requests_survive_the_end_of_stream);
    RUN(stray_line_ends_do_not_hide_a_disconnect);
    RUN(close_while_idle_and_within_a_head);
    RUN(an_empty_line_behind_a_body_begins_nothing);
    RUN(garbage_behind_answers);
    RUN(no_memory_anywhere);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* The deadlines, each with a few milliseconds. A wait ends when the timer fires; nothing
 * here sleeps for a guessed time. */
#include "rig.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct fa_server_stats stats(void)
{
    struct fa_server_stats out;
    fa_server_get_stats(rig.server, &out);
    return out;
}

static uint64_t timeouts(void)
{
    return stats().timeouts;
}

/* One event with that answer, and its counter. */
static void check_exceeded(int status, int error, enum fa_limit limit)
{
    CHECK_INT(rig.events, 1);
    CHECK_INT(rig.last_event.status, status);
    CHECK_INT(rig.last_event.error, error);
    CHECK_INT(rig.last_event.limit, limit);
    CHECK_INT(stats().exceeded[limit], 1);
    CHECK_INT(stats().rejected, 1);
    CHECK_INT(stats().timeouts, 1);
}

TEST(keep_alive_before_the_first_request)
{
    rig_init(rig_echo_target);
    rig.options.limits.keep_alive_ms = 5;
    rig_up();
    RIG_UNTIL(rig.got_eof);
    GOT("");
    CHECK_INT(timeouts(), 1);
    CHECK_INT(stats().keep_alive_expired, 1);
    CHECK_INT(rig.events, 0); /* nobody has done anything wrong */
    CHECK_INT(stats().rejected, 0);
    rig_down();
}

TEST(keep_alive_between_requests)
{
    rig_init(rig_echo_target);
    rig.options.limits.keep_alive_ms = 20;
    rig_up();
    uint64_t begin_ns = fa_now_ns();
    TALK(GET("/"), OK_HEAD(1) "\r\n/");
    RIG_UNTIL(rig.got_eof);
    CHECK(fa_now_ns() - begin_ns >= 20000000);
    rig_down();
}

/* No deadline runs while the application works. */
TEST(a_slow_application_is_not_idle)
{
    rig_init(rig_wait);
    rig.options.limits.keep_alive_ms = 2;
    rig.options.limits.header_timeout_ms = 2;
    rig.options.limits.body_timeout_ms = 2;
    rig_up();
    TALK(GET("/"), "");
    uint64_t until_ns = fa_now_ns() + 20000000;
    while (fa_now_ns() < until_ns)
        rig_turn(5000000);
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("ok")), 0);
    rig_settle();
    GOT(OK_HEAD(2) "\r\nok");
    RIG_UNTIL(rig.got_eof);
    rig_down();
}

static void block_and_answer(struct fa_request *req, void *user)
{
    uint64_t until_ns = fa_now_ns() + 60000000;
    while (fa_now_ns() < until_ns) {
    }
    rig_echo_target(req, user);
}

/* Nor is time that the application has blocked the loop taken from the client's. */
TEST(a_blocked_loop_does_not_count_as_idle_time)
{
    rig_init(block_and_answer);
    rig.options.limits.keep_alive_ms = 40;
    rig_up();
    rig_send(GET("/"));
    rig_turn(0);
    uint64_t begin_ns = fa_now_ns();
    RIG_UNTIL(rig.got_eof);
    CHECK(fa_now_ns() - begin_ns >= 30000000); /* less a tick of the coarse clock */
    GOT(OK_HEAD(1) "\r\n/");
    rig_down();
}

/* In all, however many bytes trickle in. */
TEST(header_timeout)
{
    rig_init(rig_echo_target);
    rig.options.limits.header_timeout_ms = 20;
    rig_up();
    rig_send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    rig_settle();
    while (!rig.got_eof) {
        CHECK(rig.client >= 0);
        send(rig.client, "y", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        rig_turn(2000000);
        rig_read();
    }
    CHECK(rig_got_contains("HTTP/1.1 408 Request Timeout\r\n"));
    check_exceeded(408, FA_EHTTP_HEADER_TIMEOUT, FA_LIMIT_HEADER_TIMEOUT);
    rig_down();
}

TEST(body_timeout)
{
    rig_init(rig_wait);
    rig.options.limits.body_timeout_ms = 5;
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    RIG_UNTIL(rig.got_eof);
    CHECK(rig_got_contains("HTTP/1.1 408 "));
    check_exceeded(408, FA_EHTTP_BODY_TIMEOUT, FA_LIMIT_BODY_TIMEOUT);
    CHECK_INT(rig.body_bytes, 5);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

static void pause_at_once(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_request_pause_body(req);
}

/* One wait reports the other connection only, and the timers are due in the same turn. */
TEST(a_body_that_is_here_is_not_late)
{
    static const struct fa_reactor_options one = {.size = sizeof(one), .max_events = 1};
    rig_init(rig_wait);
    rig.options.limits.body_timeout_ms = 5;
    CHECK_INT(fa_reactor_new(&rig.reactor, &one), 0);
    CHECK_INT(fa_server_new(&rig.server, rig.reactor, &rig.options), 0);
    int clients[2];
    for (int i = 0; i < 2; i++) {
        rig_connect();
        clients[i] = rig.client;
        rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        rig_settle();
    }
    uint64_t sent_ns = fa_now_ns();
    for (int i = 0; i < 2; i++)
        CHECK_INT(write(clients[i], "hello", 5), 5);
    while (fa_now_ns() - sent_ns < 20000000)
        ;
    rig_settle();
    CHECK_INT(rig.lasts, 2);
    CHECK_INT(timeouts(), 0);
    close(clients[0]);
    rig_down();
}

TEST(no_body_timeout_while_paused)
{
    rig_init(pause_at_once);
    rig.options.limits.body_timeout_ms = 3;
    rig_up();
    TALK("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", "");
    uint64_t until_ns = fa_now_ns() + 15000000;
    while (fa_now_ns() < until_ns)
        rig_turn(5000000);
    CHECK_INT(rig.disconnects, 0);
    fa_request_resume_body(rig.req);
    rig_settle();
    CHECK_INT(rig.body_bytes, 5);
    RIG_UNTIL(rig.got_eof);
    CHECK_INT(rig.disconnects, 1);
    rig_down();
}

/* A byte now and then resets the one deadline but not the other. */
TEST(body_min_rate)
{
    rig_init(rig_wait);
    rig.options.limits.body_timeout_ms = 30;
    rig.options.limits.body_min_rate = 1000000;
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    uint64_t limit_ns = fa_now_ns() + (uint64_t)RIG_PATIENCE_NS;
    while (!rig.got_eof) {
        CHECK(fa_now_ns() < limit_ns);
        send(rig.client, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        rig_turn(2000000);
        rig_read();
    }
    CHECK(rig_got_contains("HTTP/1.1 408 "));
    CHECK(rig.body_bytes > 1);
    check_exceeded(408, FA_EHTTP_BODY_RATE, FA_LIMIT_BODY_RATE);
    rig_down();
}

TEST(discarding_is_bounded_in_time)
{
    rig_init(pause_at_once);
    rig.options.limits.body_timeout_ms = 5;
    rig_up();
    TALK("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", "");
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("no")), 0);
    RIG_UNTIL(rig.got_eof);
    GOT(OK_HEAD(2) "\r\nno");
    check_exceeded(0, FA_EHTTP_BODY_TIMEOUT, FA_LIMIT_BODY_TIMEOUT);
    rig_down();
}

/* A client that does not read: the connection ends when nothing moved for the time. */
TEST(write_timeout)
{
    static char data[4000000];
    rig_init(rig_wait);
    rig.options.limits.write_timeout_ms = 10;
    rig_up();
    rig_send(GET("/"));
    rig_turn(0);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write(rig.req, fa_span(data, sizeof(data))), 0);
    CHECK(fa_response_congested(rig.req));
    uint64_t limit_ns = fa_now_ns() + (uint64_t)RIG_PATIENCE_NS;
    while (rig.dones == 0) {
        CHECK(fa_now_ns() < limit_ns);
        rig_turn(10000000);
    }
    CHECK_INT(rig.disconnects, 1);
    check_exceeded(0, FA_EHTTP_WRITE_TIMEOUT, FA_LIMIT_WRITE_TIMEOUT);
    rig_down();
}

/* One event, though a part of the next request waits behind the answer. */
TEST(write_timeout_with_half_a_request_behind)
{
    static char data[40000];
    rig_init(rig_wait);
    /* Longer than the loop below takes on a busy machine. */
    rig.options.limits.write_timeout_ms = 500;
    rig.options.limits.write_high_water = 1000000;
    rig_up();
    int size = 1;
    CHECK_INT(setsockopt(rig.client, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    for (int sent = 0; sent < 20; sent++) {
        rig_send(GET("/"));
        rig_turn(0);
        CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, sizeof(data))), 0);
        rig_turn(0);
    }
    rig_send("GET /half HT");
    uint64_t limit_ns = fa_now_ns() + (uint64_t)RIG_PATIENCE_NS;
    while (stats().connections > 0) {
        CHECK(fa_now_ns() < limit_ns);
        rig_turn(10000000);
    }
    CHECK_INT(rig.requests, 20);
    check_exceeded(0, FA_EHTTP_WRITE_TIMEOUT, FA_LIMIT_WRITE_TIMEOUT);
    rig_down();
}

/* Output that waits keeps an answered connection from counting as idle. */
TEST(keep_alive_does_not_cut_an_answer_off)
{
    static char data[4000000];
    rig_init(rig_wait);
    rig.options.limits.keep_alive_ms = 3;
    rig_up();
    rig_send(GET("/"));
    rig_turn(0);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, sizeof(data))), 0);
    uint64_t until_ns = fa_now_ns() + 20000000;
    while (fa_now_ns() < until_ns)
        rig_turn(5000000);
    RIG_UNTIL(rig.got_eof);
    CHECK(rig.got_len > sizeof(data));
    rig_down();
}

/* A timer is armed when a connection comes, not for each request. */
TEST(no_timer_per_request)
{
    struct fa_reactor_stats before, after;
    rig_init(rig_echo_target);
    rig_up();
    rig_settle();
    uint64_t deadline_ns = fa_reactor_next_deadline_ns(rig.reactor);
    fa_reactor_get_stats(rig.reactor, &before);
    for (int i = 0; i < 50; i++)
        TALK(GET("/"), OK_HEAD(1) "\r\n/");
    fa_reactor_get_stats(rig.reactor, &after);
    CHECK_INT(fa_reactor_next_deadline_ns(rig.reactor), deadline_ns);
    CHECK_INT(after.timers, before.timers);
    rig_down();
}

int main(void)
{
    RUN(keep_alive_before_the_first_request);
    RUN(keep_alive_between_requests);
    RUN(a_slow_application_is_not_idle);
    RUN(a_blocked_loop_does_not_count_as_idle_time);
    RUN(header_timeout);
    RUN(body_timeout);
    RUN(a_body_that_is_here_is_not_late);
    RUN(no_body_timeout_while_paused);
    RUN(body_min_rate);
    RUN(discarding_is_bounded_in_time);
    RUN(write_timeout);
    RUN(write_timeout_with_half_a_request_behind);
    RUN(keep_alive_does_not_cut_an_answer_off);
    RUN(no_timer_per_request);
    return check_report();
}

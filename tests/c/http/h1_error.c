/* SPDX-License-Identifier: MIT */
/* What the server answers by itself: the statuses of a bad head, their form, that the client
 * gets to read them, and what is reported. */
#include <fasterapi/log.h>

#include "rig.h"

static char seen_method[16], seen_target[32];

static void keep_event(const struct fa_server_event *event, void *user)
{
    rig_on_event(event, user);
    snprintf(seen_method, sizeof(seen_method), "%.*s", (int)event->method.len,
             event->method.len > 0 ? event->method.ptr : "");
    snprintf(seen_target, sizeof(seen_target), "%.*s", (int)event->target.len,
             event->target.len > 0 ? event->target.ptr : "");
}

static void up(void)
{
    rig_init(rig_echo_target);
    rig.options.callbacks.on_event = keep_event;
    rig_up();
}

static void refused(const char *text, int status, const char *start)
{
    up();
    rig_send(text);
    rig_settle();
    CHECK(rig_got_contains(start));
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 0);
    CHECK_INT(rig.events, 1);
    CHECK_INT(rig.last_event.status, status);
    rig_down();
}

TEST(bad_heads)
{
    refused("nonsense\r\n\r\n", 400, "HTTP/1.1 400 Bad Request\r\n");
    refused("GET / HTTP/1.1\r\n\r\n", 400, "HTTP/1.1 400 ");
    refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1 505 ");
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13, chunked\r\n\r\n", 501,
            "HTTP/1.1 501 ");
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
            "chunked\r\n\r\n0\r\n\r\n",
            400, "HTTP/1.1 400 ");
}

TEST(form_of_the_answer)
{
    up();
    TALK("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"
                             "content-type: text/plain; charset=utf-8\r\n"
                             "content-length: 11\r\n"
                             "connection: close\r\n\r\nBad Request");
    CHECK_SPAN(fa_span_str(seen_method), "");
    rig_down();
}

TEST(known_request_is_reported)
{
    rig_init(rig_echo_target);
    rig.options.callbacks.on_event = keep_event;
    rig.options.limits.body_bytes = 1;
    rig_up();
    rig_send("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    rig_settle();
    CHECK_SPAN(fa_span_str(seen_method), "POST");
    CHECK_SPAN(fa_span_str(seen_target), "/big");
    rig_down();
}

TEST(request_line_too_long)
{
    static char text[5000] = "GET /";
    rig_init(rig_echo_target);
    rig.options.limits.request_line_bytes = 100;
    rig_up();
    memset(text + 5, 'x', sizeof(text) - 6);
    rig_send(text);
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 414 "));
    CHECK(rig.got_eof);
    rig_down();
}

TEST(head_too_large)
{
    static char text[5000] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    rig_init(rig_echo_target);
    rig.options.limits.header_bytes = 200;
    rig_up();
    memset(text + 28, 'x', sizeof(text) - 29);
    rig_send(text);
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 431 "));
    rig_down();
}

/* RFC 9110 section 9.3.2: no body, even then. */
TEST(head_method_gets_no_body)
{
    rig_init(rig_echo_target);
    rig_up();
    rig_send("HEAD / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n");
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 417 "));
    CHECK(memcmp(rig.got + rig.got_len - 4, "\r\n\r\n", 4) == 0);
    rig_down();
}

static void answer_in_report(const struct fa_server_event *event, void *user)
{
    rig_on_event(event, user);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("two")), FA_ECLOSED);
}

/* The request that is reported is over: the application cannot answer it beside the server. */
TEST(no_answer_from_within_the_report)
{
    rig_init(rig_wait);
    rig.options.callbacks.on_event = answer_in_report;
    rig_up();
    TALK("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
         "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
         "content-length: 11\r\nconnection: close\r\n\r\nBad Request");
    CHECK_INT(rig.events, 1);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

/* A client in the middle of a large upload reads the answer; no reset destroys it. */
TEST(answer_reaches_a_client_that_still_sends)
{
    static char data[60000];
    struct fa_server_stats stats;
    up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 600000\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        rig_send_bytes(fa_span(data, sizeof(data)));
        rig_turn(0);
    }
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 400 "));
    CHECK(rig.got_eof);
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.connections, 1); /* lingers until the client closes */
    rig_close_client();
    rig_settle();
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.connections, 0);
    rig_down();
}

static char logged[256];

static void keep_log(enum fa_log_level level, const char *text, void *user)
{
    (void)user;
    if (level == FA_LOG_INFO)
        snprintf(logged, sizeof(logged), "%s", text);
}

/* A program that asks for no events finds them in the log. */
TEST(log_without_an_event_callback)
{
    rig_init(rig_echo_target);
    rig.options.callbacks.on_event = NULL;
    rig_up();
    fa_log_set_sink(keep_log, NULL);
    fa_log_set_level(FA_LOG_INFO);
    rig_send("nonsense\r\n\r\n");
    rig_settle();
    fa_log_set_sink(NULL, NULL);
    fa_log_set_level(FA_LOG_WARNING);
    CHECK_SPAN(fa_span_str(logged), ":-1: malformed request line, answered 400");
    rig_down();
}

int main(void)
{
    RUN(bad_heads);
    RUN(form_of_the_answer);
    RUN(known_request_is_reported);
    RUN(request_line_too_long);
    RUN(head_too_large);
    RUN(head_method_gets_no_body);
    RUN(no_answer_from_within_the_report);
    RUN(answer_reaches_a_client_that_still_sends);
    RUN(log_without_an_event_callback);
    return check_report();
}

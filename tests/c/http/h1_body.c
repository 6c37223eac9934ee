/* SPDX-License-Identifier: MIT */
/* The request body: delivery, both framings, 100-continue, limits, what is done with a body
 * that nobody reads. */
#include "rig.h"

#define CHUNKED "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LENGTH(n) "POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: " #n "\r\n\r\n"
#define EXPECT "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void check_body(const char *expected)
{
    CHECK_SPAN(fa_span(rig.body, rig.body_bytes), expected);
    CHECK_INT(rig.lasts, 1);
}

static void answer(const char *text)
{
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span_str(text)), 0);
    rig_settle();
}

TEST(no_body)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    check_body("");
    CHECK_INT(rig.bodies, 1);
    CHECK_INT(fa_request_content_length(rig.req), FA_BODY_NONE);
    rig_down();
}

TEST(length)
{
    rig_init(rig_wait);
    rig_up();
    TALK(LENGTH(5) "hello" GET("/2"), "");
    check_body("hello");
    CHECK_INT(fa_request_content_length(rig.req), 5);
    answer("1");
    GOT(OK_HEAD(1) "\r\n1");
    CHECK_INT(rig.requests, 2);
    rig_down();
}

TEST(length_in_pieces)
{
    rig_init(rig_wait);
    rig_up();
    TALK(LENGTH(5), "");
    CHECK_INT(rig.bodies, 0);
    TALK("he", "");
    CHECK_INT(rig.bodies, 1);
    CHECK_INT(rig.lasts, 0);
    TALK("llo", "");
    check_body("hello");
    rig_down();
}

TEST(length_zero)
{
    rig_init(rig_wait);
    rig_up();
    TALK(LENGTH(0), "");
    check_body("");
    rig_down();
}

TEST(chunked)
{
    rig_init(rig_wait);
    rig_up();
    TALK(CHUNKED "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: dropped\r\n\r\n" GET("/2"), "");
    check_body("hello world");
    CHECK_INT(fa_request_content_length(rig.req), FA_BODY_LENGTH_UNKNOWN);
    answer("1");
    CHECK_INT(rig.requests, 2);
    CHECK_SPAN(fa_request_target(rig.req), "/2");
    rig_down();
}

TEST(chunked_byte_by_byte)
{
    const char *text = CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    rig_init(rig_wait);
    rig_up();
    for (const char *at = text; *at != '\0'; at++) {
        rig_send_bytes(fa_span(at, 1));
        rig_settle();
    }
    check_body("hello!");
    CHECK_SPAN(fa_request_target(rig.req), "/c"); /* the head did not move */
    rig_down();
}

TEST(bad_chunk)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(CHUNKED "5\r\nhello\r\n0x5\r\nhello\r\n");
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(rig.got_eof);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.lasts, 0);
    CHECK_INT(rig.last_event.error, FA_EH1_CHUNK);
    rig_down();
}

TEST(bad_chunk_after_the_response_began)
{
    rig_init(rig_wait);
    rig_up();
    TALK(CHUNKED, "");
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    rig_settle();
    rig_forget();
    TALK("nonsense\r\n", "");
    CHECK(rig.got_eof);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.last_event.status, 0);
    rig_down();
}

TEST(truncated_body_is_a_disconnect)
{
    rig_init(rig_wait);
    rig.options.half_close_is_alive = true; /* not even then can it be completed */
    rig_up();
    TALK(LENGTH(5) "hel", "");
    shutdown(rig.client, SHUT_WR);
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.lasts, 0);
    rig_down();
}

/* ---- limits -------------------------------------------------------------------------------- */

TEST(announced_body_too_large)
{
    rig_init(rig_wait);
    rig.options.limits.body_bytes = 10;
    rig_up();
    rig_send(LENGTH(11) "12345678901");
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 413 "));
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 0);
    CHECK_INT(rig.last_event.error, FA_EHTTP_BODY_TOO_LARGE);
    rig_down();
}

TEST(chunked_body_too_large)
{
    rig_init(rig_wait);
    rig.options.limits.body_bytes = 10;
    rig_up();
    TALK(CHUNKED "a\r\n1234567890\r\n", "");
    CHECK_INT(rig.body_bytes, 10);
    rig_send("1\r\n1\r\n");
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 413 "));
    CHECK_INT(rig.body_bytes, 10);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

TEST(body_without_limit)
{
    static char data[100000];
    rig_init(rig_wait);
    rig.options.limits.body_bytes = 0;
    rig_up();
    rig_send(LENGTH(100000));
    rig_send_bytes(fa_span(data, sizeof(data)));
    rig_settle();
    CHECK_INT(rig.body_bytes, 100000);
    CHECK_INT(rig.lasts, 1);
    rig_down();
}

/* ---- Expect ---------------------------------------------------------------------------------- */

TEST(continue_when_the_body_is_wanted)
{
    rig_init(rig_wait);
    rig_up();
    TALK(EXPECT, CONTINUE);
    TALK("hello", "");
    check_body("hello");
    answer("1");
    GOT(OK_HEAD(1) "\r\n1");
    CHECK(!rig.got_eof);
    rig_down();
}

static void pause_at_once(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_request_pause_body(req);
}

TEST(continue_waits_for_the_application)
{
    rig_init(pause_at_once);
    rig_up();
    TALK(EXPECT, "");
    fa_request_resume_body(rig.req);
    rig_settle();
    GOT(CONTINUE);
    fa_request_pause_body(rig.req);
    fa_request_resume_body(rig.req);
    rig_settle();
    GOT(""); /* once */
    TALK("hello", "");
    check_body("hello");
    rig_down();
}

TEST(no_continue_when_the_body_is_here)
{
    rig_init(rig_wait);
    rig_up();
    TALK(EXPECT "he", "");
    TALK("llo", "");
    check_body("hello");
    rig_down();
}

/* Whether the client will send the body now cannot be known: the connection ends. */
TEST(final_answer_instead_of_continue)
{
    rig_init(pause_at_once);
    rig_up();
    TALK(EXPECT, "");
    answer("no");
    GOT(OK_HEAD(2) "connection: close\r\n\r\nno");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(unknown_expectation)
{
    rig_init(rig_wait);
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: magic\r\n\r\nhello");
    rig_settle();
    CHECK(rig_got_contains("HTTP/1.1 417 "));
    CHECK_INT(rig.requests, 0);
    rig_down();
}

/* ---- a body that nobody reads ------------------------------------------------------------------
 */

TEST(unread_body_is_discarded)
{
    rig_init(pause_at_once);
    rig_up();
    TALK(LENGTH(10) "hello", "");
    answer("no");
    GOT(OK_HEAD(2) "\r\nno");
    CHECK_INT(rig.dones, 1);
    TALK("world" GET("/2"), "");
    CHECK_INT(rig.requests, 2);
    CHECK_SPAN(fa_request_target(rig.req), "/2");
    CHECK_INT(rig.bodies, 0);
    rig_down();
}

TEST(unread_chunked_body_is_discarded)
{
    rig_init(pause_at_once);
    rig_up();
    TALK(CHUNKED "5\r\nhello\r\n", "");
    answer("no");
    GOT(OK_HEAD(2) "\r\nno");
    TALK("5\r\nworld\r\n0\r\n\r\n" GET("/2"), "");
    CHECK_SPAN(fa_request_target(rig.req), "/2");
    rig_down();
}

TEST(bad_syntax_in_an_unread_body)
{
    rig_init(pause_at_once);
    rig_up();
    TALK(CHUNKED "5\r\nhello\r\n", "");
    answer("no");
    TALK("nonsense\r\n" GET("/2"), OK_HEAD(2) "\r\nno");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    rig_down();
}

/* Too much to read for nothing. The client is told, can read the answer although it is still
 * sending, and the connection is never used again. */
TEST(large_unread_body_closes)
{
    static char data[200000];
    rig_init(pause_at_once);
    rig_up();
    TALK(LENGTH(300000) "begin", "");
    answer("no");
    CHECK(!rig.got_eof || rig.got_len > 0);
    rig_send_bytes(fa_span(data, sizeof(data)));
    rig_settle();
    GOT(OK_HEAD(2) "connection: close\r\n\r\nno");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    rig_down();
}

TEST(endless_unread_chunks_close)
{
    static char chunk[40000];
    rig_init(pause_at_once);
    rig_up();
    TALK(CHUNKED, "");
    answer("no");
    GOT(OK_HEAD(2) "\r\nno");
    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 3; i++) {
        rig_send("9c40\r\n");
        rig_send_bytes(fa_span(chunk, sizeof(chunk)));
        rig_send("\r\n");
    }
    rig_settle();
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    rig_down();
}

static void answer_in_body(struct fa_request *req, struct fa_span data, bool last)
{
    rig_on_body(req, data, last);
    CHECK_INT(fa_response_send(req, 200, NULL, 0, FA_SPAN("early")), 0);
}

static void answer_early(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {.on_body = answer_in_body,
                                                          .on_done = rig_on_done};
    rig_wait(req, user);
    fa_request_set_callbacks(req, &callbacks, NULL);
}

TEST(no_body_after_the_end_of_the_response)
{
    rig_init(answer_early);
    rig_up();
    TALK(CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n", OK_HEAD(5) "\r\nearly");
    CHECK_INT(rig.bodies, 1);
    CHECK_INT(rig.dones, 1);
    TALK(GET("/"), OK_HEAD(5) "\r\nearly");
    rig_down();
}

int main(void)
{
    RUN(no_body);
    RUN(length);
    RUN(length_in_pieces);
    RUN(length_zero);
    RUN(chunked);
    RUN(chunked_byte_by_byte);
    RUN(bad_chunk);
    RUN(bad_chunk_after_the_response_began);
    RUN(truncated_body_is_a_disconnect);
    RUN(announced_body_too_large);
    RUN(chunked_body_too_large);
    RUN(body_without_limit);
    RUN(continue_when_the_body_is_wanted);
    RUN(continue_waits_for_the_application);
    RUN(no_continue_when_the_body_is_here);
    RUN(final_answer_instead_of_continue);
    RUN(unknown_expectation);
    RUN(unread_body_is_discarded);
    RUN(unread_chunked_body_is_discarded);
    RUN(bad_syntax_in_an_unread_body);
    RUN(large_unread_body_closes);
    RUN(endless_unread_chunks_close);
    RUN(no_body_after_the_end_of_the_response);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* What is sent: framing of each kind of response, misuse, files and borrowed bytes. */
#include "rig.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD(target) "HEAD " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OLD "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

#define FIELD(name, value) {FA_SPAN(name), FA_SPAN(value)}

static const struct fa_header length5[] = {FIELD("content-length", "5")};
static const struct fa_header chunked[] = {FIELD("Transfer-Encoding", "chunked")};

static void begin(const char *request)
{
    rig_init(rig_wait);
    rig_up();
    TALK(request, "");
}

static void expect(int line, const char *text)
{
    rig_settle();
    rig_got(line, text);
}

#define EXPECT(text) expect(__LINE__, text)

TEST(length_is_exact)
{
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("he")), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("")), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("llo")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "\r\nhello");
    CHECK(!rig.got_eof);
    rig_down();
}

TEST(too_much)
{
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("hell")), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("o!")), FA_EHTTP_LENGTH);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("o")), FA_ECLOSED);
    EXPECT(OK_HEAD(5) "\r\nhell");
    CHECK(rig.got_eof);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

TEST(too_little)
{
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("hell")), 0);
    CHECK_INT(fa_response_end(rig.req), FA_EHTTP_LENGTH);
    EXPECT(OK_HEAD(5) "\r\nhell");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(chunked_by_default)
{
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("0123456789abcdef!")), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
           "11\r\n0123456789abcdef!\r\n0\r\n\r\n");
    CHECK(!rig.got_eof);
    rig_down();
}

TEST(chunked_on_request_beats_length)
{
    const struct fa_header both[] = {length5[0], chunked[0]};
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 200, both, 2), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("longer than five")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nlonger than five\r\n"
           "0\r\n\r\n");
    rig_down();
}

TEST(http_1_0_ends_with_the_connection)
{
    begin(OLD);
    CHECK_INT(fa_response_start(rig.req, 200, chunked, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("plain")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nplain");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(http_1_0_with_length_stays)
{
    begin(OLD);
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("hello")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "connection: keep-alive\r\n\r\nhello");
    CHECK(!rig.got_eof);
    rig_down();
}

TEST(head_has_no_body)
{
    begin(HEAD("/"));
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("hello")), 0);
    EXPECT(OK_HEAD(5) "\r\n");
    TALK(HEAD("/"), "");
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("dropped, and more than five")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "\r\n");
    TALK(HEAD("/"), "");
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\n\r\n");
    CHECK(!rig.got_eof);
    rig_down();
}

TEST(no_content)
{
    begin(GET("/"));
    CHECK_INT(fa_response_start(rig.req, 204, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("dropped")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 204 No Content\r\n\r\n");
    TALK(GET("/"), "");
    CHECK_INT(fa_response_send(rig.req, 204, NULL, 0, FA_SPAN("")), 0);
    EXPECT("HTTP/1.1 204 No Content\r\n\r\n");
    TALK(GET("/"), "");
    CHECK_INT(fa_response_start(rig.req, 304, length5, 1), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
    CHECK(!rig.got_eof);
    rig_down();
}

/* RFC 9110 section 9.3.6: what follows a 2xx to CONNECT is the tunnel. */
TEST(connect_has_no_framing)
{
    begin("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("raw")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nraw");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(application_closes)
{
    static const struct fa_header fields[] = {FIELD("Connection", "foo, Close")};
    begin(GET("/"));
    CHECK_INT(fa_response_send(rig.req, 200, fields, 1, FA_SPAN("x")), 0);
    EXPECT("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\ncontent-length: 1\r\n\r\nx");
    CHECK(rig.got_eof);
    rig_down();
}

TEST(wrong_order)
{
    begin(GET("/"));
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("x")), FA_ESTATE);
    CHECK_INT(fa_response_end(rig.req), FA_ESTATE);
    CHECK_INT(fa_response_start(rig.req, 199, NULL, 0), FA_EHTTP_STATUS);
    CHECK_INT(fa_response_start(rig.req, 600, NULL, 0), FA_EHTTP_STATUS);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), FA_EHTTP_SENT);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("")), FA_EHTTP_SENT);
    CHECK_INT(fa_response_informational(rig.req, 103, NULL, 0), FA_EHTTP_SENT);
    CHECK_INT(fa_response_end(rig.req), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("x")), FA_ESTATE);
    CHECK_INT(fa_response_end(rig.req), FA_ESTATE);
    EXPECT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    rig_down();
}

/* Response splitting (RFC 9110 section 5.5): refused, and nothing of it was sent. */
TEST(forbidden_fields)
{
    static const struct fa_header bad[][1] = {
        {FIELD("x", "a\r\nevil: 1")},
        {FIELD("x", "a\nb")},
        {{FA_SPAN("x"), {"a\0b", 3}}},
        {FIELD("x y", "a")},
        {FIELD("", "a")},
        {FIELD("x:", "a")},
        {FIELD("x\r\ny", "a")},
        {FIELD("transfer-encoding", "gzip")},
    };
    begin(GET("/"));
    for (size_t i = 0; i < FA_ARRAY_LEN(bad); i++) {
        CHECK_INT(fa_response_start(rig.req, 200, bad[i], 1), FA_EHTTP_HEADER);
        CHECK_INT(fa_response_send(rig.req, 200, bad[i], 1, FA_SPAN("")), FA_EHTTP_HEADER);
    }
    static const struct fa_header lengths[] = {
        FIELD("content-length", "5"),
        FIELD("content-length", "5"),
        FIELD("content-length", "five"),
    };
    CHECK_INT(fa_response_start(rig.req, 200, lengths, 2), FA_EHTTP_LENGTH);
    CHECK_INT(fa_response_start(rig.req, 200, lengths + 2, 1), FA_EHTTP_LENGTH);
    CHECK_INT(fa_response_send(rig.req, 200, length5, 1, FA_SPAN("four")), FA_EHTTP_LENGTH);
    CHECK_INT(fa_response_send(rig.req, 200, chunked, 1, FA_SPAN("")), FA_EHTTP_HEADER);
    EXPECT("");
    CHECK_INT(fa_response_send(rig.req, 500, length5, 1, FA_SPAN("sorry")), 0);
    EXPECT("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\n\r\nsorry");
    rig_down();
}

TEST(informational)
{
    static const struct fa_header link[] = {FIELD("Link", "</a.css>; rel=preload")};
    begin(GET("/"));
    CHECK_INT(fa_response_informational(rig.req, 103, link, 1), 0);
    EXPECT("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    CHECK_INT(fa_response_informational(rig.req, 100, NULL, 0), 0);
    EXPECT("HTTP/1.1 100 Continue\r\n\r\n");
    CHECK_INT(fa_response_informational(rig.req, 101, NULL, 0), FA_EHTTP_STATUS);
    CHECK_INT(fa_response_informational(rig.req, 200, NULL, 0), FA_EHTTP_STATUS);
    CHECK_INT(fa_response_informational(rig.req, 103, length5, 1), FA_EHTTP_HEADER);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("x")), 0);
    EXPECT(OK_HEAD(1) "\r\nx");
    TALK(OLD, "");
    CHECK_INT(fa_response_informational(rig.req, 103, link, 1), 0);
    EXPECT(""); /* HTTP/1.0 clients know no interim responses */
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("x")), 0);
    rig_settle();
    rig_down();
}

/* ---- large bodies ---------------------------------------------------------------------------- */

static char data[300000];

TEST(large_send)
{
    begin(GET("/"));
    memset(data, 'd', sizeof(data));
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, sizeof(data))), 0);
    rig_settle();
    size_t head = sizeof(OK_HEAD(300000) "\r\n") - 1;
    CHECK_INT(rig.got_len, head + sizeof(data));
    CHECK(memcmp(rig.got + head, data, sizeof(data)) == 0);
    rig_down();
}

static int releases;

static void count_release(void *user)
{
    CHECK(user == data);
    releases++;
}

TEST(borrowed)
{
    begin(GET("/"));
    releases = 0;
    CHECK_INT(fa_response_write_borrowed(rig.req, FA_SPAN("x"), count_release, data), FA_ESTATE);
    CHECK_INT(releases, 0);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, FA_SPAN(""), count_release, data), 0);
    CHECK_INT(releases, 1);
    CHECK_INT(fa_response_write_borrowed(rig.req, FA_SPAN("ab"), count_release, data), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, fa_span(data, 5000), count_release, data), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, FA_SPAN("c"), NULL, NULL), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    rig_settle();
    CHECK_INT(releases, 3);
    CHECK(rig_got_contains("\r\n\r\n2\r\nab\r\n1388\r\ndddd"));
    CHECK(rig_got_contains("dddd\r\n1\r\nc\r\n0\r\n\r\n"));
    rig_down();
}

static void write_next(void *user)
{
    (void)user;
    releases++;
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("next")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
}

/* A short piece is released at once, and that may go on with the response: behind the end of
 * the chunk, not in it. */
TEST(release_may_write)
{
    begin(GET("/"));
    releases = 0;
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, FA_SPAN("ab"), write_next, NULL), 0);
    CHECK_INT(releases, 1);
    EXPECT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
           "2\r\nab\r\n4\r\nnext\r\n0\r\n\r\n");
    rig_down();
}

TEST(borrowed_for_head_is_released)
{
    begin(HEAD("/"));
    releases = 0;
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, fa_span(data, 5000), count_release, data), 0);
    CHECK_INT(releases, 1);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "\r\n");
    rig_down();
}

static int open_file(const char *text)
{
    char path[] = "/tmp/fa-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

TEST(file)
{
    begin(GET("/"));
    int fd = open_file("0123456789");
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, -1, 5), FA_EINVAL);
    CHECK_INT(fa_response_write_file(rig.req, fd, 3, 5), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "\r\n34567");
    CHECK_INT(close(fd), -1); /* closed by the server */
    TALK(GET("/"), "");
    fd = open_file("0123456789");
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, 0, 10), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n");
    TALK(HEAD("/"), "");
    fd = open_file("0123456789");
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, 0, 5), 0);
    CHECK_INT(close(fd), -1);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT(OK_HEAD(5) "\r\n");
    rig_down();
}

/* A range that cannot be is refused before a byte of the chunk is queued. */
TEST(impossible_file_range_changes_nothing)
{
    begin(GET("/"));
    int fd = open_file("0123456789");
    CHECK_INT(fa_response_start(rig.req, 200, chunked, 1), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, INT64_MAX, 1), FA_EINVAL);
    CHECK_INT(fa_response_write_file(rig.req, -1, 0, 1), FA_EINVAL);
    CHECK_INT(close(fd), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("still")), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    EXPECT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstill\r\n0\r\n\r\n");
    rig_down();
}

TEST(file_too_long_is_not_taken)
{
    begin(GET("/"));
    int fd = open_file("0123456789");
    CHECK_INT(fa_response_start(rig.req, 200, length5, 1), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, 0, 6), FA_EHTTP_LENGTH);
    CHECK_INT(close(fd), 0);
    EXPECT(OK_HEAD(5) "\r\n");
    CHECK(rig.got_eof);
    rig_down();
}

/* ---- no memory ----------------------------------------------------------------------------------
 */

/* Each way to answer, with every allocation inside it failing in turn: an answer or a closed
 * connection, and each loan given back exactly when it was taken. */
static void answer_without_memory(int kind)
{
    int fd = -1, err = 0;
    releases = 0;
    switch (kind) {
    case 0:
        err = fa_response_send(rig.req, 200, NULL, 0, fa_span(data, 100000));
        break;
    case 1:
        err = fa_response_start(rig.req, 200, NULL, 0);
        if (err == 0)
            err = fa_response_write(rig.req, fa_span(data, 100000));
        break;
    case 2:
        err = fa_response_start(rig.req, 200, NULL, 0);
        if (err == 0) {
            err = fa_response_write_borrowed(rig.req, fa_span(data, 100000), count_release, data);
            CHECK(err == 0 || releases == 0);
        }
        break;
    default:
        fd = open_file("0123456789");
        err = fa_response_start(rig.req, 200, NULL, 0);
        if (err == 0)
            err = fa_response_write_file(rig.req, fd, 0, 10);
        if (err < 0)
            close(fd);
        break;
    }
    if (err < 0 || (kind != 0 && fa_response_end(rig.req) < 0))
        fa_request_abort(rig.req);
}

TEST(no_memory)
{
    for (int kind = 0; kind < 4; kind++) {
        for (uint64_t n = 1;; n++) {
            begin(GET("/"));
            uint64_t before = fa_alloc_count();
            fa_alloc_fail_nth(n);
            answer_without_memory(kind);
            bool met = fa_alloc_count() - before >= n;
            rig_settle();
            fa_alloc_fail_nth(0);
            CHECK_INT(rig.dones, 1);
            CHECK(met ? (rig.got_len > 0 || rig.got_eof) : rig.got_len > 0);
            rig_down();
            if (!met)
                break;
        }
    }
}

int main(void)
{
    RUN(length_is_exact);
    RUN(too_much);
    RUN(too_little);
    RUN(chunked_by_default);
    RUN(chunked_on_request_beats_length);
    RUN(http_1_0_ends_with_the_connection);
    RUN(http_1_0_with_length_stays);
    RUN(head_has_no_body);
    RUN(no_content);
    RUN(connect_has_no_framing);
    RUN(application_closes);
    RUN(wrong_order);
    RUN(forbidden_fields);
    RUN(informational);
    RUN(large_send);
    RUN(borrowed);
    RUN(release_may_write);
    RUN(borrowed_for_head_is_released);
    RUN(file);
    RUN(impossible_file_range_changes_nothing);
    RUN(file_too_long_is_not_taken);
    RUN(no_memory);
    return check_report();
}

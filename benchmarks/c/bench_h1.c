/* SPDX-License-Identifier: MIT */
/* bench_h1.c - what the HTTP/1 codec costs: request heads by size and scanner, heads that
 * arrive in pieces, chunked bodies, response heads. One thread; prints the best of several
 * rounds, in nanoseconds and bytes per second of input (of output for the writer).
 *
 *     bench_h1 [scanner]      one scanner only, for a profiler */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <fasterapi/alloc.h>

#include "proto/h1/h1.h"

#define ROUNDS 7
#define ROUND_NS 30000000.0
#define MAX_FIELDS 64

static const struct fa__h1_limits limits = {65536, 65536, MAX_FIELDS};

struct sample {
    const char *name;
    struct fa_span bytes;
};

static const struct sample heads[] = {
    {"wrk", FA_SPAN("GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n")},
    {"api", FA_SPAN("GET /api/v1/items/42?limit=10&offset=20 HTTP/1.1\r\n"
                    "Host: localhost:8000\r\n"
                    "Accept: */*\r\n"
                    "Accept-Encoding: gzip, deflate\r\n"
                    "Connection: keep-alive\r\n"
                    "User-Agent: python-httpx/0.27.0\r\n"
                    "\r\n")},
    {"post",
     FA_SPAN("POST /api/v1/items HTTP/1.1\r\n"
             "Host: api.example.org\r\n"
             "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
             "Accept: application/json\r\n"
             "Content-Type: application/json\r\n"
             "Content-Length: 1234\r\n"
             "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkw"
             "IiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36P\r\n"
             "\r\n")},
    {"browser",
     FA_SPAN("GET /shop/products?category=books&page=2 HTTP/1.1\r\n"
             "Host: www.example.org\r\n"
             "Connection: keep-alive\r\n"
             "Cache-Control: max-age=0\r\n"
             "sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\"\r\n"
             "sec-ch-ua-mobile: ?0\r\n"
             "sec-ch-ua-platform: \"Linux\"\r\n"
             "Upgrade-Insecure-Requests: 1\r\n"
             "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
             "Chrome/124.0.0.0 Safari/537.36\r\n"
             "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
             "*/*;q=0.8\r\n"
             "Sec-Fetch-Site: same-origin\r\n"
             "Sec-Fetch-Mode: navigate\r\n"
             "Sec-Fetch-User: ?1\r\n"
             "Sec-Fetch-Dest: document\r\n"
             "Referer: https://www.example.org/shop\r\n"
             "Accept-Encoding: gzip, deflate, br, zstd\r\n"
             "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
             "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; _ga=GA1.2.1234.5678\r\n"
             "\r\n")},
};

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_h1: %s failed\n", what);
    exit(1);
}

/* The best round of `work`, in nanoseconds a call. */
static double best_ns(void (*work)(const void *arg), const void *arg)
{
    unsigned calls = 1;
    double best = 0;
    for (int round = 0; round < ROUNDS;) {
        double begin = now_ns();
        for (unsigned i = 0; i < calls; i++)
            work(arg);
        double elapsed = now_ns() - begin;
        if (elapsed < ROUND_NS && calls < 1U << 30) {
            calls *= 2; /* still finding out how many fill a round */
            continue;
        }
        double each = elapsed / calls;
        best = round == 0 || each < best ? each : best;
        round++;
    }
    return best;
}

static void report(const char *what, const char *name, double ns, size_t bytes)
{
    printf("%-8s %-10s %-8s %5zu bytes %9.1f ns %9.2f GB/s\n", what, name, fa__h1_simd_name(),
           bytes, ns, (double)bytes / ns);
}

static void parse_whole(const void *arg)
{
    const struct sample *sample = arg;
    struct fa__h1_parser parser;
    struct fa__h1_head head;
    struct fa_header headers[MAX_FIELDS];
    fa__h1_parser_init(&parser);
    if (fa__h1_parse_head(&parser, sample->bytes, &limits, headers, &head) !=
        (ssize_t)sample->bytes.len)
        fail(sample->name);
}

static void parse_byte_by_byte(const void *arg)
{
    const struct sample *sample = arg;
    struct fa__h1_parser parser;
    struct fa__h1_head head;
    struct fa_header headers[MAX_FIELDS];
    fa__h1_parser_init(&parser);
    ssize_t rc = 0;
    for (size_t len = 1; rc == 0 && len <= sample->bytes.len; len++)
        rc = fa__h1_parse_head(&parser, fa_span(sample->bytes.ptr, len), &limits, headers, &head);
    if (rc != (ssize_t)sample->bytes.len)
        fail(sample->name);
}

static void decode_body(const void *arg)
{
    const struct sample *sample = arg;
    struct fa__h1_chunked dec;
    fa__h1_chunked_init(&dec);
    struct fa_span rest = sample->bytes;
    while (!dec.done) {
        struct fa_span data;
        ssize_t used = fa__h1_chunked_decode(&dec, rest, &data);
        if (used <= 0)
            fail(sample->name);
        rest = fa_span(rest.ptr + used, rest.len - (size_t)used);
    }
}

static void write_response(const void *arg)
{
    struct fa_buf *out = (struct fa_buf *)(uintptr_t)arg;
    static const struct fa_header fields[] = {
        {{"date", 4}, {"Sun, 06 Nov 1994 08:49:37 GMT", 29}},
        {{"server", 6}, {"fasterapi", 9}},
        {{"content-type", 12}, {"application/json", 16}},
    };
    out->len = 0;
    int err = fa__h1_write_status(out, 200);
    for (size_t i = 0; err == 0 && i < FA_ARRAY_LEN(fields); i++)
        err = fa__h1_write_field(out, &fields[i]);
    if (err == 0)
        err = fa__h1_write_content_length(out, 27);
    if (err == 0)
        err = fa__h1_write_head_end(out);
    if (err < 0)
        fail("response");
}

static void bench_bodies(void)
{
    static char wire[40000];
    struct sample sample = {"small", {wire, 0}};
    for (int i = 0; i < 1000; i++)
        sample.bytes.len += (size_t)sprintf(wire + sample.bytes.len, "a\r\n0123456789\r\n");
    sample.bytes.len += (size_t)sprintf(wire + sample.bytes.len, "0\r\n\r\n");
    report("chunked", "10 B each", best_ns(decode_body, &sample), sample.bytes.len);
}

static void bench_scanner(void)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(heads); i++)
        report("head", heads[i].name, best_ns(parse_whole, &heads[i]), heads[i].bytes.len);
    report("by byte", "browser", best_ns(parse_byte_by_byte, &heads[3]), heads[3].bytes.len);
    struct fa_buf out;
    fa_buf_init(&out, NULL);
    double ns = best_ns(write_response, &out);
    report("response", "json", ns, out.len);
    fa_buf_clean_up(&out);
}

int main(int argc, char **argv)
{
    static const char *const scanners[] = {"scalar", "sse4.2", "avx2", "neon"};
    int run = 0;
    for (size_t i = 0; i < FA_ARRAY_LEN(scanners); i++) {
        if (argc > 1 && strcmp(argv[1], scanners[i]) != 0)
            continue;
        if (fa__h1_simd_select(scanners[i]) < 0)
            continue;
        run++;
        bench_scanner();
    }
    if (run == 0) {
        fprintf(stderr, "bench_h1: this machine has no such scanner\n");
        return 1;
    }
    bench_bodies();
    return 0;
}

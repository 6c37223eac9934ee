/* SPDX-License-Identifier: MIT */
/* log.c - levels, the sink, escaping, cutting, and the end of a failed assertion. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <fasterapi/log.h>

static char last_text[2048];
static int last_level;
static void *last_user;
static int calls;

static void keep(enum fa_log_level level, const char *text, void *user)
{
    snprintf(last_text, sizeof(last_text), "%s", text);
    last_level = (int)level;
    last_user = user;
    calls++;
    errno = EIO; /* as a sink that writes somewhere may */
}

static void start(void)
{
    calls = 0;
    last_text[0] = '\0';
    fa_log_set_level(FA_LOG_WARNING);
    fa_log_set_sink(keep, &calls);
}

#define CHECK_LOGGED(text) CHECK_SPAN(fa_span_str(last_text), text)

TEST(levels_filter)
{
    start();
    fa_log(FA_LOG_INFO, "quiet %d", 1);
    CHECK_INT(calls, 0);
    CHECK(!fa_log_enabled(FA_LOG_INFO) && fa_log_enabled(FA_LOG_WARNING));
    fa_log(FA_LOG_WARNING, "loud %d", 2);
    CHECK_LOGGED("loud 2");
    CHECK_INT(last_level, FA_LOG_WARNING);
    CHECK(last_user == &calls);
    fa_log_set_level(FA_LOG_DEBUG);
    fa_log(FA_LOG_DEBUG, "%s", "");
    CHECK_INT(calls, 2);
    CHECK_LOGGED("");
}

TEST(errno_survives)
{
    start();
    errno = ENOENT;
    fa_log(FA_LOG_ERROR, "x");
    CHECK_INT(errno, ENOENT);
}

TEST(controls_are_escaped)
{
    start();
    fa_log(FA_LOG_ERROR, "a%cb", '\n');
    CHECK_LOGGED("a\\x0ab");
    fa_log(FA_LOG_ERROR, "%s", "\r\t\x1b[31m\x7f ~");
    CHECK_LOGGED("\\x0d\\x09\\x1b[31m\\x7f ~");
    fa_log(FA_LOG_ERROR, "%s", "csi \xc2\x9b nel \xc2\x85");
    CHECK_LOGGED("csi \\xc2\\x9b nel \\xc2\\x85");
}

TEST(text_is_always_utf8)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\xa0|\xed\x9f\xbf|\xee\x80\x80|\xf4\x8f\xbf\xbf",
         "\xc2\xa0|\xed\x9f\xbf|\xee\x80\x80|\xf4\x8f\xbf\xbf"},
        {"\x80|\xff|\xc0\xaf|\xc1\xbf", "\\x80|\\xff|\\xc0\\xaf|\\xc1\\xbf"},
        {"\xe0\x80\x80|\xed\xa0\x80", "\\xe0\\x80\\x80|\\xed\\xa0\\x80"},
        {"\xf0\x80\x80\x80|\xf4\x90\x80\x80|\xf5\x80\x80\x80",
         "\\xf0\\x80\\x80\\x80|\\xf4\\x90\\x80\\x80|\\xf5\\x80\\x80\\x80"},
        {"\xc3", "\\xc3"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\xf0\x9f\x98", "\\xf0\\x9f\\x98"},
        {"\xe2(\xac", "\\xe2(\\xac"},
    };
    start();
    for (size_t i = 0; i < FA_ARRAY_LEN(cases); i++) {
        fa_log(FA_LOG_ERROR, "%s", cases[i].in);
        CHECK_LOGGED(cases[i].out);
    }
}

TEST(long_lines_are_cut)
{
    static char text[5000];
    start();
    memset(text, 'x', sizeof(text) - 1);
    fa_log(FA_LOG_ERROR, "%s", text);
    CHECK_INT(strlen(last_text), 1023);
    memset(text, '\n', sizeof(text) - 1);
    fa_log(FA_LOG_ERROR, "%s", text);
    CHECK_INT(strlen(last_text), 1020);
    CHECK_SPAN(fa_span(last_text + 1016, 4), "\\x0a");
    /* A character of each length across the cut, at every offset. */
    static const char *const characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < FA_ARRAY_LEN(characters); c++) {
        size_t len = strlen(characters[c]);
        for (size_t shift = 0; shift < len; shift++) {
            memset(text, 'x', sizeof(text) - 1);
            for (size_t at = shift; at + len < sizeof(text); at += len)
                memcpy(text + at, characters[c], len);
            fa_log(FA_LOG_ERROR, "%s", text);
            CHECK(strchr(last_text, '\\') == NULL);
            CHECK_INT((strlen(last_text) - shift) % len, 0);
            CHECK(strlen(last_text) + len > 1023);
        }
    }
}

/* What a child prints to standard error, and how it ended. */
static int run_child(void (*body)(void), char *out, size_t size)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(ends[0]);
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return status;
}

static void log_by_default(void)
{
    fa_log_set_sink(NULL, &calls);
    fa_log(FA_LOG_ERROR, "first\n");
    fa_log(FA_LOG_WARNING, "second %s", "x");
    fa_log(FA_LOG_INFO, "third");
}

TEST(the_default_writes_to_standard_error)
{
    char out[512];
    start();
    CHECK_INT(run_child(log_by_default, out, sizeof(out)), 0);
    CHECK_SPAN(fa_span_str(out), "fasterapi: ERROR: first\\x0a\nfasterapi: WARNING: second x\n");
}

static void fail_an_assertion(void)
{
    signal(SIGABRT, SIG_DFL);
    FA_ASSERT(1 + 1 == 2);
    FA_ASSERT(1 + 1 == 3);
}

TEST(a_failed_assertion_says_what_and_aborts)
{
    char out[1024];
    int status = run_child(fail_an_assertion, out, sizeof(out));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(out, "assertion failed: 1 + 1 == 3 (") != NULL);
}

int main(void)
{
    RUN(levels_filter);
    RUN(errno_survives);
    RUN(controls_are_escaped);
    RUN(text_is_always_utf8);
    RUN(long_lines_are_cut);
    RUN(the_default_writes_to_standard_error);
    RUN(a_failed_assertion_says_what_and_aborts);
    return check_report();
}

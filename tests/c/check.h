/* SPDX-License-Identifier: MIT */
/* check.h - what a C test program needs: checks that name file and line, a runner that
 * prints each test and the closing line "N passed, N failed", bytes that end at a guard
 * page, and a way to run a case with every allocation failing in turn.
 *
 *     TEST(split_line) { CHECK_INT(parse(...), 0); }
 *     int main(void) { RUN(split_line); return check_report(); }
 *
 * A failed check ends the test, not the program. Every test must free what it allocates:
 * the runner compares fa_alloc_live() before and after. */
#ifndef FA_TESTS_CHECK_H
#define FA_TESTS_CHECK_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fasterapi/alloc.h>
#include <fasterapi/span.h>

static jmp_buf check_jump;
static int check_passed;
static int check_failed;

#define TEST(name) static void test_##name(void)
#define RUN(name) check_run(#name, test_##name)

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr))                                                                               \
            check_fail(__FILE__, __LINE__, #expr);                                                 \
    } while (0)

#define CHECK_INT(actual, expected)                                                                \
    check_int(__FILE__, __LINE__, #actual, (int64_t)(actual), (int64_t)(expected))

#define CHECK_SPAN(actual, text)                                                                   \
    check_span(__FILE__, __LINE__, #actual, (actual), fa_span_str(text))

static inline void check_fail(const char *file, int line, const char *what)
{
    printf("    %s:%d: %s\n", file, line, what);
    longjmp(check_jump, 1);
}

static inline void check_int(const char *file, int line, const char *what, int64_t actual,
                             int64_t expected)
{
    if (actual == expected)
        return;
    printf("    %s:%d: %s is %" PRId64 ", expected %" PRId64 "\n", file, line, what, actual,
           expected);
    longjmp(check_jump, 1);
}

static inline void check_span(const char *file, int line, const char *what, struct fa_span actual,
                              struct fa_span expected)
{
    if (fa_span_eq(actual, expected))
        return;
    printf("    %s:%d: %s is \"%.*s\", expected \"%.*s\"\n", file, line, what, (int)actual.len,
           actual.len != 0 ? actual.ptr : "", (int)expected.len, expected.ptr);
    longjmp(check_jump, 1);
}

static inline void check_run(const char *name, void (*test)(void))
{
    int64_t live_before = fa_alloc_live();
    if (setjmp(check_jump) != 0) {
        fa_alloc_fail_nth(0);
        check_failed++;
        printf("FAIL %s\n", name);
        return;
    }
    test();
    fa_alloc_fail_nth(0);
    if (fa_alloc_live() != live_before)
        check_fail(name, 0, "memory was not freed");
    check_passed++;
    printf("ok   %s\n", name);
}

/* The closing line; the value for main to return. A program that ran nothing fails. */
static inline int check_report(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed == 0 && check_passed > 0 ? 0 : 1;
}

/* A copy of `data` whose last byte is followed by an inaccessible page, so that reading
 * one byte too far is a crash. Free with check_guard_free. */
struct check_guard {
    char *map;
    size_t map_len;
    struct fa_span span;
};

static inline struct check_guard check_guard_copy(struct fa_span data)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (data.len + page - 1) / page * page;
    struct check_guard guard = {.map_len = body + page};
    guard.map =
        mmap(NULL, guard.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard.map == MAP_FAILED || mprotect(guard.map + body, page, PROT_NONE) != 0)
        check_fail(__FILE__, __LINE__, "cannot map a guard page");
    char *copy = guard.map + body - data.len;
    if (data.len > 0)
        memcpy(copy, data.ptr, data.len);
    guard.span = fa_span(copy, data.len);
    return guard;
}

static inline void check_guard_free(struct check_guard *guard)
{
    munmap(guard->map, guard->map_len);
}

/* Calls `body` with the first allocation failing, then the second, and so on until it
 * runs to its end without meeting a failure. It must survive each and free everything. */
static inline void check_alloc_failures(void (*body)(void))
{
    for (uint64_t n = 1;; n++) {
        int64_t live_before = fa_alloc_live();
        uint64_t count_before = fa_alloc_count();
        fa_alloc_fail_nth(n);
        body();
        fa_alloc_fail_nth(0);
        CHECK_INT(fa_alloc_live(), live_before);
        if (fa_alloc_count() - count_before < n)
            return;
    }
}

#endif

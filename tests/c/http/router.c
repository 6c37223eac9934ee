/* SPDX-License-Identifier: MIT */
/* router.c - the router's contract beyond the search: methods and 405, arguments, limits,
 * what is kept of old trees, allocation failure, and matchers on other threads while routes
 * are added (what those prove, they prove under -Db_sanitize=thread). */
#include "http/router_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

TEST(empty_router_finds_nothing)
{
    struct fa_router *router = router_new();
    CHECK_INT(find_get(router, "/"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(find_get(router, ""), -FA_ROUTE_NOT_FOUND);
    struct fa_route_match match;
    CHECK_INT(fa_router_match(router, fa_span(NULL, 0), fa_span(NULL, 0), &match),
              FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
    fa_router_destroy(NULL);
}

TEST(methods_choose_and_405_names_them)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/a", 1), 0);
    CHECK_INT(add(router, "POST", "/a", 2), 0);
    CHECK_INT(add(router, "DELETE", "/{x}", 3), 0);
    CHECK_INT(add(router, "X", "/*all", 4), 0);
    CHECK_INT(add(router, "VERSION-CONTROL", "/a", 5), 0);
    CHECK_INT(add(router, "VERSION-CONTROM", "/b", 6), 0);
    struct fa_route_match match;
    CHECK_INT(find(router, "GET", "/a", &match), 1);
    CHECK_INT(find(router, "POST", "/a", &match), 2);
    CHECK_INT(find(router, "VERSION-CONTROL", "/a", &match), 5);
    CHECK_INT(find(router, "VERSION-CONTROL", "/b", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_INT(find(router, "DELETE", "/a", &match), 3);
    CHECK_SPAN(match.params[0].value, "a");
    CHECK_INT(find(router, "X", "/a", &match), 4);
    CHECK_SPAN(match.params[0].name, "all");
    CHECK_INT(find(router, "PUT", "/a", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_SPAN(match.allowed, "GET, POST, DELETE, X, VERSION-CONTROL");
    CHECK_INT(find(router, "GET", "/c", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_SPAN(match.allowed, "DELETE, X");
    CHECK_INT(find(router, "get", "/c/d", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_SPAN(match.allowed, "X");
    CHECK_INT(find(router, "", "/c/d", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_INT(find(router, "GET", "c", &match), -FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
}

TEST(names_belong_to_the_route)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/u/{id}", 1), 0);
    CHECK_INT(add(router, "PUT", "/u/{name}", 2), 0);
    struct fa_route_match match;
    CHECK_INT(find(router, "GET", "/u/x", &match), 1);
    CHECK_SPAN(match.params[0].name, "id");
    CHECK_INT(find(router, "PUT", "/u/x", &match), 2);
    CHECK_SPAN(match.params[0].name, "name");
    fa_router_destroy(router);
}

TEST(bad_arguments_are_refused)
{
    struct fa_router *router = router_new();
    CHECK_INT(fa_router_add(router, FA_SPAN("GET"), FA_SPAN("/"), NULL), FA_EINVAL);
    static const char *const bad[] = {"", "G T", "GET\r\nX: y", "GET,POST", "G\x80T", "\x7f"};
    for (size_t i = 0; i < FA_ARRAY_LEN(bad); i++)
        CHECK_INT(add(router, bad[i], "/", 0), FA_EINVAL);
    CHECK_INT(fa_router_add(router, FA_SPAN("GE\0T"), FA_SPAN("/"), &handlers[0]), FA_EINVAL);
    CHECK_INT(add(router, "M-SEARCH", "/", 0), 0);
    CHECK_INT(add(router, "get", "/", 0), 0);
    fa_router_destroy(router);
}

TEST(the_same_shape_conflicts)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/a/{x}/*r", 1), 0);
    CHECK_INT(add(router, "GET", "/a/{y}/*s", 2), FA_EROUTE_CONFLICT);
    CHECK_INT(add(router, "GET", "/a/{x}", 3), 0);
    CHECK_INT(add(router, "GET", "/a/{z}", 4), FA_EROUTE_CONFLICT);
    CHECK_INT(add(router, "GET", "/", 5), 0);
    CHECK_INT(add(router, "GET", "/", 5), FA_EROUTE_CONFLICT);
    CHECK_INT(add(router, "PUT", "/a/{y}/*s", 6), 0);
    CHECK_INT(find_get(router, "/a/b/c"), 1);
    CHECK_INT(find_get(router, "/a/b"), 3);
    fa_router_destroy(router);
}

TEST(methods_are_limited)
{
    struct fa_router *router = router_new();
    char method[2048];
    for (int i = 0; i < 64; i++) {
        snprintf(method, sizeof(method), "M%d", i);
        CHECK_INT(add(router, method, "/a", i), 0);
    }
    CHECK_INT(add(router, "M64", "/a", 64), FA_EOVERFLOW);
    struct fa_route_match match;
    for (int i = 0; i < 64; i++) {
        snprintf(method, sizeof(method), "M%d", i);
        CHECK_INT(find(router, method, "/a", &match), i);
    }
    CHECK_INT(find(router, "M64", "/a", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    fa_router_destroy(router);

    router = router_new();
    memset(method, 'M', sizeof(method) - 1);
    method[FA_ROUTER_MAX_METHODS_BYTES + 1] = '\0';
    CHECK_INT(add(router, method, "/a", 1), FA_EOVERFLOW);
    method[FA_ROUTER_MAX_METHODS_BYTES - 10] = '\0';
    CHECK_INT(add(router, method, "/a", 1), 0);
    CHECK_INT(add(router, "LONGER-THAN-10", "/{x}", 2), FA_EOVERFLOW);
    CHECK_INT(add(router, "GET", "/{x}", 3), 0);
    CHECK_INT(find(router, method, "/a", &match), 1);
    CHECK_INT(find(router, "PUT", "/a", &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_INT(match.allowed.len, strlen(method) + sizeof(", GET") - 1);
    fa_router_destroy(router);
}

TEST(matching_allocates_nothing)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/a/{x}/c", 1), 0);
    CHECK_INT(add(router, "PUT", "/a/*rest", 2), 0);
    uint64_t before = fa_alloc_count();
    CHECK_INT(find_get(router, "/a/b/c"), 1);
    CHECK_INT(find_get(router, "/a/b/d"), -FA_ROUTE_METHOD_NOT_ALLOWED);
    CHECK_INT(find_get(router, "/b"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(fa_alloc_count() - before, 0);
    fa_router_destroy(router);
}

/* What is kept for matchers that may still read it: nothing before the first match, and
 * afterwards a number of blocks per route that does not grow with the routes. */
TEST(old_trees_do_not_pile_up)
{
    int64_t start = fa_alloc_live();
    struct fa_router *router = router_new();
    char pattern[64];
    int64_t blocks[2];
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(pattern, sizeof(pattern), "/api/v%d/r%03d/{id}", half, i);
            CHECK_INT(add(router, "GET", pattern, i), 0);
        }
        blocks[half] = fa_alloc_live() - start;
        CHECK_INT(find_get(router, "/api/v0/r500/7"), 500);
    }
    CHECK(blocks[0] < 1000 * 6);
    CHECK(blocks[1] - blocks[0] < 1000 * 20);
    fa_router_destroy(router);
    CHECK_INT(fa_alloc_live(), start);
}

static void add_under_failure(void)
{
    static const char *const patterns[] = {
        "/a/{x}/c", "/a/b", "/abc", "/ab", "/a/{y}/*rest", "/", "/a/{x}/d/{z}", "/*all", "/b/c/d",
    };
    struct fa_router *router;
    if (fa_router_new(&router) < 0)
        return;
    int added = 0;
    for (size_t i = 0; i < FA_ARRAY_LEN(patterns); i++) {
        int err = add(router, i % 2 == 0 ? "GET" : "POST", patterns[i], (int)i);
        CHECK(err == 0 || err == FA_ENOMEM);
        added += err == 0;
        /* A route is there or it is not: the tree of before answers for the others. */
        struct fa_route_match match;
        int found = 0;
        for (size_t j = 0; j <= i; j++) {
            char path[64];
            size_t len = 0;
            for (const char *c = patterns[j]; *c != '\0'; c++) {
                if (*c != '{' && *c != '}' && *c != '*')
                    path[len++] = *c;
            }
            enum fa_route_result result = fa_router_match(
                router, j % 2 == 0 ? FA_SPAN("GET") : FA_SPAN("POST"), fa_span(path, len), &match);
            found += result == FA_ROUTE_FOUND && match.handler == &handlers[j];
        }
        CHECK_INT(found, added);
    }
    fa_router_destroy(router);
}

TEST(every_allocation_may_fail)
{
    check_alloc_failures(add_under_failure);
}

/* As above without a match in between, so that old blocks are freed at once. */
static void add_unread_under_failure(void)
{
    static const char *const patterns[] = {"/a/{x}", "/a/b/c", "/a/d/*rest", "/a", "/a/d/*other"};
    struct fa_router *router;
    if (fa_router_new(&router) < 0)
        return;
    for (size_t i = 0; i < FA_ARRAY_LEN(patterns); i++) {
        int err = add(router, i == 1 ? "PUT" : "GET", patterns[i], (int)i);
        CHECK(err == 0 || err == FA_ENOMEM || (i == 4 && err == FA_EROUTE_CONFLICT));
    }
    fa_router_destroy(router);
}

TEST(every_allocation_may_fail_before_the_first_match)
{
    check_alloc_failures(add_unread_under_failure);
}

/* --- matchers on other threads -------------------------------------------------------- */

#define SHARED_ROUTES 1500
#define READERS 3

struct shared {
    struct fa_router *router;
    atomic_int added; /* routes known to be published */
    atomic_bool done;
    atomic_int wrong;
    atomic_int rounds;
};

static int find_shared(const struct shared *shared, int number)
{
    char path[64];
    int len = snprintf(path, sizeof(path), "/api/%d/items/x", number);
    struct fa_route_match match;
    if (fa_router_match(shared->router, FA_SPAN("GET"), fa_span(path, (size_t)len), &match) !=
        FA_ROUTE_FOUND)
        return -1;
    /* The route itself, or the catch-all that was there from the start. */
    if (match.handler == &handlers[SHARED_ROUTES])
        return 0;
    bool right = match.handler == &handlers[number] && match.param_count == 1 &&
                 fa_span_eq(match.params[0].name, FA_SPAN("item")) &&
                 fa_span_eq(match.params[0].value, FA_SPAN("x"));
    return right ? 1 : -1;
}

static void *read_routes(void *arg)
{
    struct shared *shared = arg;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    while (!atomic_load(&shared->done)) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int number = (int)((state >> 33) % SHARED_ROUTES);
        int known = atomic_load(&shared->added);
        int found = find_shared(shared, number);
        bool wrong = found < 0 || (found == 0 && number < known);
        /* Routes come in order: with this one all before it must be there. */
        if (found == 1 && number > 0)
            wrong = wrong || find_shared(shared, (int)((state >> 13) % (uint64_t)number)) != 1;
        if (wrong)
            atomic_fetch_add(&shared->wrong, 1);
        atomic_fetch_add(&shared->rounds, 1);
    }
    return NULL;
}

TEST(matchers_on_other_threads_see_whole_trees)
{
    struct shared shared = {.router = router_new()};
    pthread_t threads[READERS];
    CHECK_INT(add(shared.router, "GET", "/*all", SHARED_ROUTES), 0);
    for (int i = 0; i < READERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, read_routes, &shared), 0);
    int failed = 0;
    for (int i = 0; i < SHARED_ROUTES; i++) {
        char pattern[64];
        snprintf(pattern, sizeof(pattern), "/api/%d/items/{item}", i);
        failed += add(shared.router, "GET", pattern, i) != 0;
        atomic_store(&shared.added, i + 1);
        /* Let matchers in between, so that additions really meet them. */
        if (i % 100 == 0) {
            int rounds = atomic_load(&shared.rounds);
            while (atomic_load(&shared.rounds) < rounds + READERS)
                sched_yield();
        }
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(failed, 0);
    CHECK_INT(atomic_load(&shared.wrong), 0);
    CHECK(atomic_load(&shared.rounds) > 0);
    fa_router_destroy(shared.router);
}

/* Matchers whose first match races with additions: the hand-over by which old blocks are
 * freed at once, or kept. */
TEST(the_first_match_may_race_with_additions)
{
    for (int round = 0; round < 200; round++) {
        struct shared shared = {.router = router_new()};
        pthread_t thread;
        CHECK_INT(add(shared.router, "GET", "/*all", SHARED_ROUTES), 0);
        CHECK_INT(pthread_create(&thread, NULL, read_routes, &shared), 0);
        for (int i = 0; i < 60; i++) {
            char pattern[64];
            snprintf(pattern, sizeof(pattern), "/api/%d/items/{item}", i);
            if (add(shared.router, "GET", pattern, i) != 0)
                atomic_fetch_add(&shared.wrong, 1);
            atomic_store(&shared.added, i + 1);
        }
        atomic_store(&shared.done, true);
        pthread_join(thread, NULL);
        CHECK_INT(atomic_load(&shared.wrong), 0);
        fa_router_destroy(shared.router);
    }
}

int main(void)
{
    RUN(empty_router_finds_nothing);
    RUN(methods_choose_and_405_names_them);
    RUN(names_belong_to_the_route);
    RUN(bad_arguments_are_refused);
    RUN(the_same_shape_conflicts);
    RUN(methods_are_limited);
    RUN(matching_allocates_nothing);
    RUN(old_trees_do_not_pile_up);
    RUN(every_allocation_may_fail);
    RUN(every_allocation_may_fail_before_the_first_match);
    RUN(matchers_on_other_threads_see_whole_trees);
    RUN(the_first_match_may_race_with_additions);
    return check_report();
}

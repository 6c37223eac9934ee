/* SPDX-License-Identifier: MIT */
/* bench_router.c - what a match costs among the 500 routes of a real public API.
 *
 *     bench_router [--json] [--rounds N] [routes.txt]
 *
 * For each kind of route (static, by number of parameters, wildcard) it makes paths with
 * varying values, shuffles them with a fixed seed so that no branch can be learnt from
 * their order, checks that every path finds its own route with the right values, and
 * then times whole passes. It prints the median of the rounds in nanoseconds a match, and
 * the allocations that the timed matches made, which must be none. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fasterapi/alloc.h>
#include <fasterapi/router.h>

#define MAX_ROUTES 1024
#define PATHS_PER_KIND 4096
#define MAX_PATH 224
#define PASSES 16 /* over the paths, in a round */
#define MAX_ROUNDS 101

struct route {
    char method[16];
    char pattern[160];
    size_t params;
    bool wild;
};

struct request {
    struct fa_span method;
    struct fa_span path;
    const struct route *route;
};

struct kind {
    const char *name;
    bool wild;
    size_t params;    /* exactly, except for wildcards */
    double target_ns; /* 0: none was set */
};

static const struct kind kinds[] = {
    {"static", false, 0, 30},        {"one parameter", false, 1, 45},
    {"two parameters", false, 2, 0}, {"three parameters", false, 3, 0},
    {"wildcard", true, 0, 50},
};

static struct route routes[MAX_ROUTES];
static size_t route_count;
static struct request requests[PATHS_PER_KIND];
static char texts[PATHS_PER_KIND * MAX_PATH]; /* of the paths, one behind the other */
static size_t texts_len;
static uint64_t seed = 1;

static uint32_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

static int load_routes(const char *file)
{
    FILE *in = fopen(file, "r");
    if (in == NULL) {
        fprintf(stderr, "bench_router: %s: %s\n", file, strerror(errno));
        return -1;
    }
    char line[256];
    while (fgets(line, sizeof(line), in) != NULL && route_count < MAX_ROUTES) {
        struct route *route = &routes[route_count];
        if (line[0] == '#' || sscanf(line, "%15s %159s", route->method, route->pattern) != 2)
            continue;
        for (const char *c = route->pattern; *c != '\0'; c++) {
            route->params += *c == '{' || *c == '*';
            route->wild = route->wild || *c == '*';
        }
        route_count++;
    }
    fclose(in);
    return 0;
}

/* A value as clients send them: a word, a number or a hash; for a wildcard a few of them
 * with slashes between. */
static size_t write_value(char *out, bool wild)
{
    static const char *const values[] = {
        "octocat",  "hello-world", "fastapi",
        "tiangolo", "4711",        "1296269",
        "v1.0.0",   "main",        "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "cli",      "linux",       "torvalds",
    };
    size_t len = 0;
    size_t parts = wild ? 1 + next_random() % 4 : 1;
    for (size_t i = 0; i < parts; i++) {
        const char *value = values[next_random() % FA_ARRAY_LEN(values)];
        if (i > 0)
            out[len++] = '/';
        memcpy(out + len, value, strlen(value));
        len += strlen(value);
    }
    return len;
}

static void make_request(struct request *request, const struct route *route)
{
    char *text = texts + texts_len;
    size_t len = 0;
    for (const char *c = route->pattern; *c != '\0'; c++) {
        if (*c == '*') {
            len += write_value(text + len, true);
            break;
        }
        if (*c == '{') {
            len += write_value(text + len, false);
            c = strchr(c, '}');
            continue;
        }
        text[len++] = *c;
    }
    texts_len += len;
    request->route = route;
    request->method = fa_span_str(route->method);
    request->path = fa_span(text, len);
}

/* Fills `requests` for a kind; returns the number of its routes. */
static size_t make_requests(const struct kind *kind)
{
    const struct route *of_kind[MAX_ROUTES];
    size_t count = 0;
    texts_len = 0;
    for (size_t i = 0; i < route_count; i++) {
        if (routes[i].wild == kind->wild && (kind->wild || routes[i].params == kind->params))
            of_kind[count++] = &routes[i];
    }
    for (size_t i = 0; count > 0 && i < PATHS_PER_KIND; i++)
        make_request(&requests[i], of_kind[next_random() % count]);
    return count;
}

/* Every path must find its own route, or the times mean nothing. */
static int verify(const struct fa_router *router)
{
    struct fa_route_match match;
    for (size_t i = 0; i < PATHS_PER_KIND; i++) {
        const struct request *r = &requests[i];
        if (fa_router_match(router, r->method, r->path, &match) != FA_ROUTE_FOUND ||
            match.handler != r->route || match.param_count != r->route->params) {
            fprintf(stderr, "bench_router: %s %.*s does not find %s\n", r->route->method,
                    (int)r->path.len, r->path.ptr, r->route->pattern);
            return -1;
        }
    }
    return 0;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static volatile size_t sink;

static double time_round(const struct fa_router *router)
{
    struct fa_route_match match;
    size_t sum = 0;
    double start = now_ns();
    for (size_t pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < PATHS_PER_KIND; i++) {
            sum += (size_t)fa_router_match(router, requests[i].method, requests[i].path, &match);
            sum += match.param_count;
        }
    }
    double end = now_ns();
    sink = sum;
    return (end - start) / (PASSES * PATHS_PER_KIND);
}

static int run_kind(const struct fa_router *router, const struct kind *kind, size_t rounds,
                    bool json, bool first)
{
    double times[MAX_ROUNDS];
    size_t count = make_requests(kind);
    if (count == 0 || verify(router) < 0)
        return -1;
    uint64_t before = fa_alloc_count();
    for (size_t i = 0; i < rounds; i++)
        times[i] = time_round(router);
    uint64_t allocations = fa_alloc_count() - before;
    qsort(times, rounds, sizeof(times[0]), by_value);
    double median = times[rounds / 2];
    if (json)
        printf("%s{\"name\":\"%s\",\"routes\":%zu,\"ns\":%.2f,\"best_ns\":%.2f,\"target_ns\":%.0f,"
               "\"allocations\":%llu}",
               first ? "" : ",", kind->name, count, median, times[0], kind->target_ns,
               (unsigned long long)allocations);
    else
        printf("%-18s %4zu routes  %6.1f ns  (best %5.1f, target %2.0f)  %llu allocations\n",
               kind->name, count, median, times[0], kind->target_ns,
               (unsigned long long)allocations);
    return allocations == 0 ? 0 : -1;
}

static int run(struct fa_router *router, size_t rounds, bool json)
{
    for (size_t i = 0; i < route_count; i++) {
        int err = fa_router_add(router, fa_span_str(routes[i].method),
                                fa_span_str(routes[i].pattern), &routes[i]);
        if (err < 0) {
            fprintf(stderr, "bench_router: %s: %s\n", routes[i].pattern, fa_strerror(err));
            return 1;
        }
    }
    int failed = 0;
    if (json)
        printf("{\"routes\":%zu,\"rounds\":%zu,\"kinds\":[", route_count, rounds);
    for (size_t i = 0; i < FA_ARRAY_LEN(kinds); i++)
        failed |= run_kind(router, &kinds[i], rounds, json, i == 0) < 0;
    if (json)
        printf("]}\n");
    return failed;
}

int main(int argc, char **argv)
{
    const char *file = FA_BENCH_ROUTES;
    size_t rounds = 21;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (size_t)strtoul(argv[++i], NULL, 10);
        else
            file = argv[i];
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "bench_router: --rounds takes 1 to %d\n", MAX_ROUNDS);
        return 2;
    }
    struct fa_router *router;
    if (load_routes(file) < 0 || fa_router_new(&router) < 0)
        return 1;
    int status = run(router, rounds, json);
    fa_router_destroy(router);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* bench_future.c - what a future costs, from its creation to its continuation.
 *
 *     bench_future [--json] [--rounds N]
 *
 * Each line is the median of the rounds (21 unless told) in nanoseconds per operation, of CPU
 * time of the thread, with the least of them, the target where one was set, and the
 * allocations that the timed operations made, which must be none:
 *
 *   pending          create, register the continuation, resolve, run it from the queue; 64
 *                    per turn
 *   pending, alone   the same, one per turn: the poll of the kernel included
 *   ready            create, resolve, register the continuation, which runs at once
 *   then             create source and result, then, resolve, run: per link
 *   then, chain      a chain of 1 000 links on one pending future: per link
 *   task             post and run a task, 64 per turn: what the reactor takes by itself
 *   when_all ready   of 10, and of 1 000, futures that are resolved: per combination
 *   when_all         of 10, and of 1 000, pending futures resolved in one turn
 *   cancel           a chain of 1 000 links from its end: per link
 *   timeout          armed, the source in time: create, limit, resolve, run */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fasterapi/alloc.h>
#include <fasterapi/future.h>

#define MAX_ROUNDS 101
#define BATCH 64
#define MANY 1000

static struct fa_reactor *reactor;
static struct fa_future futures[MANY];
static struct fa_future *list[MANY];
static uint64_t continuations;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_future: %s failed\n", what);
    exit(1);
}

static void turn(void)
{
    must(fa_reactor_wait(reactor, 0) >= 0, "fa_reactor_wait");
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

static void count_one(struct fa_future *future, void *user)
{
    (void)user;
    continuations += fa_future_take(future).u64;
}

static void add_one(struct fa_future *result, struct fa_value value, void *user)
{
    (void)user;
    continuations++;
    fa_future_resolve(result, fa_value_u64(value.u64 + 1));
}

/* ---- the cases: each does `count` operations ---------------------------------------------- */

static void run_batches(uint64_t count, size_t batch)
{
    for (uint64_t done = 0; done < count; done += batch) {
        for (size_t i = 0; i < batch; i++) {
            fa_future_init(&futures[i], reactor);
            fa_future_on_ready(&futures[i], count_one, NULL);
            fa_future_resolve(&futures[i], fa_value_u64(1));
        }
        turn();
    }
}

static void pending(uint64_t count)
{
    run_batches(count, BATCH);
}

static void pending_alone(uint64_t count)
{
    run_batches(count, 1);
}

static void ready(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct fa_future future;
        fa_future_init(&future, reactor);
        fa_future_resolve(&future, fa_value_u64(1));
        fa_future_on_ready(&future, count_one, NULL);
        fa_future_clean_up(&future);
    }
}

static void then(uint64_t count)
{
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < 2 * BATCH; i += 2) {
            fa_future_init(&futures[i], reactor);
            fa_future_init(&futures[i + 1], reactor);
            fa_future_then(&futures[i], &futures[i + 1], add_one, NULL);
            fa_future_resolve(&futures[i], fa_value_u64(1));
        }
        turn();
    }
}

static void make_chain(void)
{
    fa_future_init(&futures[0], reactor);
    for (size_t i = 1; i < MANY; i++) {
        fa_future_init(&futures[i], reactor);
        fa_future_then(&futures[i - 1], &futures[i], add_one, NULL);
    }
}

static void chain(uint64_t count)
{
    for (uint64_t done = 0; done < count; done += MANY) {
        make_chain();
        fa_future_resolve(&futures[0], fa_value_u64(0));
        turn();
        must(fa_future_take(&futures[MANY - 1]).u64 == MANY - 1, "the chain");
    }
}

static void cancel(uint64_t count)
{
    for (uint64_t done = 0; done < count; done += MANY) {
        make_chain();
        must(fa_future_cancel(&futures[MANY - 1]), "cancelling");
        must(fa_future_is_cancelled(&futures[0]), "cancelling");
    }
    continuations += count;
}

static struct fa_task tasks[BATCH];

static void count_task(struct fa_task *task)
{
    (void)task;
    continuations++;
}

static void task(uint64_t count)
{
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            tasks[i].callback = count_task;
            fa_task_post(reactor, &tasks[i], FA_PRIORITY_NORMAL);
        }
        turn();
    }
}

static void resolve_all(size_t size)
{
    for (size_t i = 0; i < size; i++)
        fa_future_resolve(&futures[i], fa_value_u64(1));
}

static void combine(uint64_t count, size_t size, bool ready_first)
{
    for (uint64_t done = 0; done < count; done++) {
        struct fa_future result;
        struct fa_when when;
        for (size_t i = 0; i < size; i++)
            fa_future_init(&futures[i], reactor);
        fa_future_init(&result, reactor);
        if (ready_first)
            resolve_all(size);
        must(fa_when_all(&when, &result, list, size, NULL) == 0, "fa_when_all");
        if (!ready_first) {
            resolve_all(size);
            turn();
        }
        must(fa_future_error(&result) == 0, "fa_when_all");
        continuations++;
        fa_future_clean_up(&result);
    }
}

static void all_ready_10(uint64_t count)
{
    combine(count, 10, true);
}

static void all_ready_1000(uint64_t count)
{
    combine(count, MANY, true);
}

static void all_10(uint64_t count)
{
    combine(count, 10, false);
}

static void all_1000(uint64_t count)
{
    combine(count, MANY, false);
}

static void timeout(uint64_t count)
{
    static struct fa_timeout limits[BATCH];
    uint64_t deadline_ns = fa_now_ns() + UINT64_C(3600000000000);
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            struct fa_future *source = &futures[2 * i];
            fa_future_init(source, reactor);
            fa_future_init(source + 1, reactor);
            must(fa_future_timeout(source, source + 1, &limits[i], deadline_ns + i, NULL) == 0,
                 "fa_future_timeout");
            fa_future_resolve(source, fa_value_u64(1));
        }
        turn();
        continuations += fa_future_take(&futures[1]).u64;
    }
}

/* ---- measuring ----------------------------------------------------------------------------- */

struct bench {
    const char *name;
    void (*body)(uint64_t count);
    uint64_t count;   /* operations in a round */
    double target_ns; /* 0: none was set */
};

static const struct bench benches[] = {
    {"pending", pending, 640000, 20},
    {"pending, alone in its turn", pending_alone, 50000, 0},
    {"ready", ready, 640000, 20},
    {"then", then, 640000, 0},
    {"then, chain of 1000", chain, 640000, 0},
    {"task (no future)", task, 640000, 0},
    {"when_all, 10 ready", all_ready_10, 100000, 0},
    {"when_all, 1000 ready", all_ready_1000, 1000, 0},
    {"when_all, 10 pending", all_10, 50000, 0},
    {"when_all, 1000 pending", all_1000, 1000, 0},
    {"cancel, chain of 1000", cancel, 640000, 0},
    {"timeout, in time", timeout, 320000, 0},
};

static double cpu_ns(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, "clock_gettime");
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run_bench(const struct bench *bench, size_t rounds, bool json, bool first)
{
    double times[MAX_ROUNDS];
    bench->body(bench->count / 10 + 1); /* warms the caches, grows the heap of timers */
    uint64_t before = fa_alloc_count();
    for (size_t i = 0; i < rounds; i++) {
        double start_ns = cpu_ns();
        bench->body(bench->count);
        times[i] = (cpu_ns() - start_ns) / (double)bench->count;
    }
    uint64_t allocations = fa_alloc_count() - before;
    qsort(times, rounds, sizeof(times[0]), by_value);
    double median = times[rounds / 2];
    if (json)
        printf("%s{\"name\":\"%s\",\"ns\":%.2f,\"best_ns\":%.2f,\"target_ns\":%.0f,"
               "\"allocations\":%llu}",
               first ? "" : ",", bench->name, median, times[0], bench->target_ns,
               (unsigned long long)allocations);
    else
        printf("%-28s %9.1f ns  (best %9.1f, target %2.0f)  %llu allocations\n", bench->name,
               median, times[0], bench->target_ns, (unsigned long long)allocations);
    fflush(stdout);
    return allocations == 0 ? 0 : -1;
}

static int run(size_t rounds, bool json)
{
    int failed = 0;
    for (size_t i = 0; i < MANY; i++)
        list[i] = &futures[i];
    if (json)
        printf("{\"rounds\":%zu,\"future_bytes\":%zu,\"cases\":[", rounds,
               sizeof(struct fa_future));
    for (size_t i = 0; i < FA_ARRAY_LEN(benches); i++)
        failed |= run_bench(&benches[i], rounds, json, i == 0) < 0;
    if (json)
        printf("]}\n");
    must(continuations > 0, "running continuations");
    return failed;
}

int main(int argc, char **argv)
{
    size_t rounds = 21;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (size_t)strtoul(argv[++i], NULL, 10);
        else
            rounds = 0;
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_future [--json] [--rounds N: 1 to %d]\n", MAX_ROUNDS);
        return 2;
    }
    must(fa_reactor_new(&reactor, NULL) == 0, "fa_reactor_new");
    int status = run(rounds, json);
    fa_reactor_destroy(reactor);
    return status;
}

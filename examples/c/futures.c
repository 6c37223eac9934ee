/* SPDX-License-Identifier: MIT */
/* futures.c - fetches three things at once, combines them, and does not wait for the slowest.
 *
 *     cc futures.c -o futures -pthread $(pkg-config --cflags --libs fasterapi)
 *     ./futures
 *
 * The stock is counted by a thread of its own, as blocking code must be; it mails what it found
 * to the loop. The price comes from a timer, as if from a slow line. The rating would take
 * an hour: it has 50 ms, and then a default takes its place. Everything lies in one
 * structure on the stack of main(); no future is allocated. */
#include <pthread.h>
#include <stdio.h>

#include <fasterapi/future.h>
#include <fasterapi/reactor.h>

#define MS ((uint64_t)1000000)

/* Who completes `future`, and how it can be told to stop. */
struct slow_line {
    struct fa_timer timer;
    struct fa_future *future;
    int64_t answer;
};

struct counter {
    pthread_t thread;
    struct fa_task mail;
    struct fa_reactor *reactor;
    struct fa_future *future;
    int64_t counted;
};

enum { STOCK, PRICE, RATING, THINGS };

struct program {
    struct fa_reactor *reactor;
    struct counter counter;
    struct slow_line price_line;
    struct slow_line rating_line;
    struct fa_timeout limit;
    struct fa_future things[THINGS];
    struct fa_future rating_asked;  /* may never be answered */
    struct fa_future rating_capped; /* is answered, or fails in time */
    struct fa_future *list[THINGS];
    struct fa_when when;
    struct fa_future all;
    struct fa_future worth;
    int err;
};

/* ---- a thread ------------------------------------------------------------------------------- */

/* On the loop's thread again. */
static void counter_done(struct fa_task *task)
{
    struct counter *counter = task->user;
    fa_future_resolve(counter->future, fa_value_i64(counter->counted));
}

static void *count_stock(void *user)
{
    struct counter *counter = user;
    for (int shelf = 1; shelf <= 8; shelf++)
        counter->counted += shelf;
    fa_task_mail(counter->reactor, &counter->mail);
    return NULL;
}

static int start_counter(struct counter *counter, struct fa_reactor *reactor,
                         struct fa_future *future)
{
    counter->reactor = reactor;
    counter->future = future;
    counter->mail = (struct fa_task){.callback = counter_done, .user = counter};
    int sys_errno = pthread_create(&counter->thread, NULL, count_stock, counter);
    return sys_errno != 0 ? fa_error_from_errno(sys_errno) : 0;
}

/* ---- a slow line ---------------------------------------------------------------------------- */

static void line_answers(struct fa_timer *timer)
{
    struct slow_line *line = timer->user;
    fa_future_resolve(line->future, fa_value_i64(line->answer));
}

static void line_hangs_up(struct fa_future *future, void *user)
{
    struct slow_line *line = user;
    (void)future;
    printf("hung up\n");
    fa_timer_cancel(&line->timer);
}

static int start_line(struct slow_line *line, struct fa_reactor *reactor, struct fa_future *future,
                      uint64_t takes_ms, int64_t answer)
{
    line->future = future;
    line->answer = answer;
    line->timer.user = line;
    fa_future_on_cancel(future, line_hangs_up, line);
    return fa_timer_arm(reactor, &line->timer, fa_now_ns() + takes_ms * MS, line_answers);
}

/* ---- putting it together -------------------------------------------------------------------- */

static void default_rating(struct fa_future *result, int error, struct fa_value detail, void *user)
{
    (void)user;
    fa_value_drop(detail);
    printf("no rating: %s\n", fa_strerror(error));
    fa_future_resolve(result, fa_value_i64(3));
}

static void work_out(struct fa_future *result, struct fa_value value, void *user)
{
    struct fa_future **things = value.ptr; /* the list, complete */
    int64_t stock = fa_future_take(things[STOCK]).i64;
    int64_t price = fa_future_take(things[PRICE]).i64;
    int64_t rating = fa_future_take(things[RATING]).i64;
    (void)user;
    printf("stock %d, price %d, rating %d\n", (int)stock, (int)price, (int)rating);
    fa_future_resolve(result, fa_value_i64(stock * price));
}

static void finish(struct fa_future *worth, void *user)
{
    struct program *program = user;
    program->err = fa_future_error(worth);
    if (program->err == 0)
        printf("worth %d\n", (int)fa_future_take(worth).i64);
    fa_reactor_stop(program->reactor);
}

static int combine(struct program *p)
{
    int err = fa_future_timeout(&p->rating_asked, &p->rating_capped, &p->limit,
                                fa_now_ns() + 50 * MS, NULL);
    if (err < 0)
        return err;
    fa_future_handle_error(&p->rating_capped, &p->things[RATING], default_rating, p);
    err = fa_when_all(&p->when, &p->all, p->list, THINGS, NULL);
    if (err < 0)
        return err;
    fa_future_then(&p->all, &p->worth, work_out, p);
    fa_future_on_ready(&p->worth, finish, p);
    return 0;
}

static int run(struct program *p)
{
    int err = start_line(&p->price_line, p->reactor, &p->things[PRICE], 10, 25);
    if (err == 0)
        err = start_line(&p->rating_line, p->reactor, &p->rating_asked, 3600000, 5);
    if (err == 0)
        err = combine(p);
    if (err < 0)
        return err;
    err = start_counter(&p->counter, p->reactor, &p->things[STOCK]);
    if (err < 0)
        return err;
    err = fa_reactor_run(p->reactor);
    pthread_join(p->counter.thread, NULL);
    return err < 0 ? err : p->err;
}

/* Last made, first cleaned up: nothing is told of the end of something else. */
static void clean_up(struct program *p)
{
    fa_future_clean_up(&p->worth);
    fa_future_clean_up(&p->all);
    for (int i = 0; i < THINGS; i++)
        fa_future_clean_up(&p->things[i]);
    fa_future_clean_up(&p->rating_capped);
    fa_future_clean_up(&p->rating_asked);
}

int main(void)
{
    struct program program = {0};
    int err = fa_reactor_new(&program.reactor, NULL);
    if (err == 0) {
        struct fa_reactor *reactor = program.reactor;
        for (int i = 0; i < THINGS; i++) {
            fa_future_init(&program.things[i], reactor);
            program.list[i] = &program.things[i];
        }
        fa_future_init(&program.rating_asked, reactor);
        fa_future_init(&program.rating_capped, reactor);
        fa_future_init(&program.all, reactor);
        fa_future_init(&program.worth, reactor);
        err = run(&program);
        clean_up(&program);
        fa_reactor_destroy(reactor);
    }
    if (err < 0) {
        fprintf(stderr, "futures: %s\n", fa_strerror(err));
        return 1;
    }
    return 0;
}

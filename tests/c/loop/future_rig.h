/* SPDX-License-Identifier: MIT */
/* future_rig.h - what the tests of one future share: a reactor that is turned by hand, and
 * callbacks that count. */
#ifndef FA_TESTS_LOOP_FUTURE_RIG_H
#define FA_TESTS_LOOP_FUTURE_RIG_H

#include <fasterapi/future.h>

#include "check.h"

#define DEEP 100000

static struct fa_reactor *reactor;

static inline void set_up(void)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
}

static inline void tear_down(void)
{
    CHECK(!fa_reactor_has_ready(reactor));
    fa_reactor_destroy(reactor);
}

static inline void turn(void)
{
    CHECK(fa_reactor_wait(reactor, 0) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

/* Until nothing is ready; the number of turns. */
static inline int run_out(void)
{
    int turns = 0;
    for (; fa_reactor_has_ready(reactor); turns++)
        turn();
    return turns;
}

static int drops;

static inline void count_drop(void *ptr)
{
    (void)ptr;
    drops++;
}

static inline struct fa_value counted(void)
{
    return fa_value_ptr(&drops, count_drop);
}

static int calls;
static int last_error;
static int64_t last_number;

static inline void note(struct fa_future *future, void *user)
{
    (void)user;
    CHECK(fa_future_is_ready(future));
    calls++;
    last_error = fa_future_error(future);
    last_number = last_error == 0 ? fa_future_peek(future).i64 : 0;
}

static inline void add_one(struct fa_future *result, struct fa_value value, void *user)
{
    (void)user;
    calls++;
    CHECK(fa_future_resolve(result, fa_value_i64(value.i64 + 1)));
}

static inline void recover(struct fa_future *result, int error, struct fa_value detail, void *user)
{
    (void)user;
    calls++;
    last_error = error;
    fa_value_drop(detail);
    CHECK(fa_future_resolve(result, fa_value_i64(1000)));
}

static inline void never(struct fa_future *result, struct fa_value value, void *user)
{
    (void)result;
    (void)value;
    (void)user;
    check_fail(__FILE__, __LINE__, "called");
}

static inline void never_error(struct fa_future *result, int error, struct fa_value detail,
                               void *user)
{
    (void)error;
    never(result, detail, user);
}

static inline void never_ready(struct fa_future *future, void *user)
{
    never(future, fa_value_none(), user);
}

static inline void begin(void)
{
    set_up();
    drops = 0;
    calls = 0;
    last_error = 0;
    last_number = 0;
}

#endif

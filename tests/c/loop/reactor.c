/* SPDX-License-Identifier: MIT */
/* The turn: order, priorities, bounds, turn-end tasks, the wake hook, life cycle, ownership. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fasterapi/reactor.h>

#include "check.h"

#include "loop/reactor_int.h"

#define MS ((uint64_t)1000000)

static char order[256];

static void note(char c)
{
    size_t len = strlen(order);
    CHECK(len + 1 < sizeof(order));
    order[len] = c;
    order[len + 1] = '\0';
}

#define CHECK_ORDER(text)                                                                          \
    do {                                                                                           \
        CHECK_SPAN(fa_span_str(order), text);                                                      \
        order[0] = '\0';                                                                           \
    } while (0)

static struct fa_reactor *new_reactor(void)
{
    struct fa_reactor *reactor = NULL;
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    order[0] = '\0';
    return reactor;
}

/* A task that notes a letter, and may post others from its callback. */
struct step {
    struct fa_task task;
    struct fa_reactor *reactor;
    char letter;
    struct step *then;
    enum fa_priority then_priority;
    int repeat; /* posts itself again so many times */
};

static void run_step(struct fa_task *task)
{
    struct step *step = task->user;
    note(step->letter);
    if (step->then != NULL)
        fa_task_post(step->reactor, &step->then->task, step->then_priority);
    if (step->repeat-- > 0)
        fa_task_post(step->reactor, &step->task, FA_PRIORITY_NORMAL);
}

static void step_init(struct step *step, struct fa_reactor *reactor, char letter)
{
    *step = (struct step){.reactor = reactor, .letter = letter};
    step->task.callback = run_step;
    step->task.user = step;
}

static void turn(struct fa_reactor *reactor)
{
    CHECK(fa_reactor_wait(reactor, 0) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

TEST(first_in_first_out_by_priority)
{
    struct fa_reactor *r = new_reactor();
    struct step s[6];
    const enum fa_priority priority[6] = {FA_PRIORITY_LOW,    FA_PRIORITY_NORMAL, FA_PRIORITY_HIGH,
                                          FA_PRIORITY_NORMAL, FA_PRIORITY_HIGH,   FA_PRIORITY_LOW};
    for (int i = 0; i < 6; i++) {
        step_init(&s[i], r, (char)('a' + i));
        fa_task_post(r, &s[i].task, priority[i]);
        fa_task_post(r, &s[i].task, FA_PRIORITY_HIGH); /* stays where it is */
    }
    CHECK(fa_reactor_has_ready(r));
    turn(r);
    CHECK_ORDER("cebdaf");
    CHECK(!fa_reactor_has_ready(r));
    fa_reactor_destroy(r);
}

TEST(what_a_callback_posts_waits_for_the_next_dispatch)
{
    struct fa_reactor *r = new_reactor();
    struct step a;
    struct step b;
    step_init(&a, r, 'a');
    step_init(&b, r, 'b');
    a.then = &b;
    a.then_priority = FA_PRIORITY_HIGH;
    a.repeat = 2;
    fa_task_post(r, &a.task, FA_PRIORITY_NORMAL);
    CHECK_INT(fa_reactor_dispatch(r, 0), 2);
    CHECK_ORDER("a");
    CHECK_INT(fa_reactor_dispatch(r, 0), 2);
    CHECK_ORDER("ba");
    turn(r);
    CHECK_ORDER("ba");
    turn(r);
    CHECK_ORDER("b");
    fa_reactor_destroy(r);
}

TEST(bounded_dispatch_keeps_order_and_serves_low)
{
    struct fa_reactor *r = new_reactor();
    struct step s[6];
    for (int i = 0; i < 6; i++) {
        step_init(&s[i], r, (char)('a' + i));
        fa_task_post(r, &s[i].task, i == 0 ? FA_PRIORITY_LOW : FA_PRIORITY_NORMAL);
    }
    CHECK_INT(fa_reactor_dispatch(r, 3), 3);
    CHECK_ORDER("bca");
    CHECK_INT(fa_reactor_dispatch(r, 2), 1);
    CHECK_ORDER("de");
    CHECK_INT(fa_reactor_dispatch(r, 2), 0);
    CHECK_ORDER("f");
    fa_reactor_destroy(r);
}

TEST(dispatches_of_one_alternate_with_low)
{
    struct fa_reactor *r = new_reactor();
    struct step s[6];
    for (int i = 0; i < 6; i++) {
        step_init(&s[i], r, (char)('a' + i));
        fa_task_post(r, &s[i].task, i < 2 ? FA_PRIORITY_LOW : FA_PRIORITY_NORMAL);
    }
    while (fa_reactor_dispatch(r, 1) > 0)
        ;
    CHECK_ORDER("cadbef");
    fa_reactor_destroy(r);
}

TEST(dispatch_one_serves_low_among_many)
{
    struct fa_reactor *r = new_reactor();
    struct step s[40];
    for (int i = 0; i < 40; i++) {
        step_init(&s[i], r, i == 0 ? 'L' : '.');
        fa_task_post(r, &s[i].task, i == 0 ? FA_PRIORITY_LOW : FA_PRIORITY_HIGH);
    }
    CHECK(!fa_reactor_dispatch_one(r)); /* not collected yet */
    CHECK_INT(fa_reactor_wait(r, -1), 0);
    fa_reactor_collect(r);
    s[39].repeat = 3;
    while (fa_reactor_dispatch_one(r))
        ;
    fa_reactor_end_turn(r);
    char *low = strchr(order, 'L');
    CHECK(low != NULL && low - order <= 16);
    CHECK_INT(strlen(order), 40);
    CHECK(fa_reactor_has_ready(r)); /* the repetition */
    fa_reactor_destroy(r);
}

TEST(cancelled_tasks_do_not_run)
{
    struct fa_reactor *r = new_reactor();
    struct step a;
    struct step b;
    step_init(&a, r, 'a');
    step_init(&b, r, 'b');
    fa_task_cancel(&a.task);
    fa_task_post(r, &a.task, FA_PRIORITY_HIGH);
    fa_task_post(r, &b.task, FA_PRIORITY_LOW);
    fa_task_cancel(&a.task);
    fa_task_cancel(&a.task);
    turn(r);
    CHECK_ORDER("b");
    fa_reactor_at_turn_end(r, &a.task);
    fa_task_cancel(&a.task);
    CHECK(!fa_reactor_has_ready(r));
    turn(r);
    CHECK_ORDER("");
    fa_reactor_destroy(r);
}

static void run_again_at_turn_end(struct fa_task *task)
{
    struct step *step = task->user;
    note(step->letter);
    if (step->then != NULL)
        fa_task_cancel(&step->then->task);
    if (step->repeat-- > 0)
        fa_reactor_at_turn_end(step->reactor, task);
}

TEST(turn_end_tasks_run_last_and_once_per_turn)
{
    struct fa_reactor *r = new_reactor();
    struct step end;
    struct step other;
    struct step work;
    step_init(&end, r, 'e');
    step_init(&other, r, 'o');
    step_init(&work, r, 'w');
    end.task.callback = run_again_at_turn_end;
    end.repeat = 1;
    end.then = &other; /* cancels it */
    fa_reactor_at_turn_end(r, &end.task);
    fa_reactor_at_turn_end(r, &end.task);
    fa_reactor_at_turn_end(r, &other.task);
    fa_task_post(r, &work.task, FA_PRIORITY_LOW);
    CHECK(fa_reactor_has_ready(r));
    turn(r);
    CHECK_ORDER("we");
    CHECK(fa_reactor_has_ready(r));
    CHECK_INT(fa_reactor_wait(r, -1), 0); /* does not sleep */
    fa_reactor_collect(r);
    CHECK_INT(fa_reactor_dispatch(r, 0), 0);
    CHECK_ORDER("e");
    fa_reactor_destroy(r);
}

static void free_own_task(struct fa_task *task)
{
    note('f');
    fa_free(task);
}

TEST(a_callback_may_free_its_task)
{
    struct fa_reactor *r = new_reactor();
    for (int i = 0; i < 2; i++) {
        struct fa_task *task = fa_calloc(1, sizeof(*task));
        CHECK(task != NULL);
        task->callback = free_own_task;
        if (i == 0)
            fa_task_post(r, task, FA_PRIORITY_NORMAL);
        else
            fa_reactor_at_turn_end(r, task);
    }
    turn(r);
    CHECK_ORDER("ff");
    fa_reactor_destroy(r);
}

static int hook_calls;

static void count_hook(void *user)
{
    (void)user;
    hook_calls++;
}

static void ignore_timer(struct fa_timer *timer)
{
    (void)timer;
}

TEST(wake_hook_outside_the_turn_only)
{
    struct fa_reactor *r = new_reactor();
    struct step a;
    struct step b;
    struct step c;
    struct fa_timer timer = {0};
    step_init(&a, r, 'a');
    step_init(&b, r, 'b');
    step_init(&c, r, 'c');
    hook_calls = 0;
    fa_reactor_set_wake_hook(r, count_hook, NULL);
    fa_task_post(r, &a.task, FA_PRIORITY_NORMAL);
    fa_reactor_at_turn_end(r, &b.task);
    CHECK_INT(hook_calls, 1);
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 1000 * MS, ignore_timer), 0);
    CHECK_INT(hook_calls, 2);
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 500 * MS, ignore_timer), 0);
    CHECK_INT(hook_calls, 2);
    a.then = &c; /* posted inside the turn: not announced */
    turn(r);
    CHECK_INT(hook_calls, 2);
    turn(r);
    CHECK_ORDER("abc");
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 900 * MS, ignore_timer), 0);
    CHECK_INT(hook_calls, 2); /* later is no news */
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 100 * MS, ignore_timer), 0);
    CHECK_INT(hook_calls, 3);
    fa_reactor_at_turn_end(r, &b.task);
    CHECK_INT(hook_calls, 4);
    turn(r);
    fa_reactor_set_wake_hook(r, NULL, NULL);
    fa_task_post(r, &a.task, FA_PRIORITY_NORMAL);
    CHECK_INT(hook_calls, 4);
    fa_reactor_destroy(r);
}

static void stop_reactor(struct fa_task *task)
{
    note('s');
    fa_reactor_stop(task->user);
}

TEST(run_until_stopped)
{
    struct fa_reactor *r = new_reactor();
    struct step a;
    struct fa_task stop = {.callback = stop_reactor, .user = r};
    step_init(&a, r, 'a');
    fa_task_post(r, &stop, FA_PRIORITY_NORMAL);
    fa_task_post(r, &a.task, FA_PRIORITY_NORMAL);
    CHECK_INT(fa_reactor_run(r), 0);
    CHECK_ORDER("sa");
    fa_reactor_stop(r);
    turn(r); /* eats the wake-up, not the request */
    CHECK_INT(fa_reactor_run(r), 0);
    fa_reactor_destroy(r);
}

static void *use_from_elsewhere(void *user)
{
    struct fa_reactor *r = user;
    struct fa_io io = {0};
    struct fa_timer timer = {0};
    bool refused = !fa_reactor_on_owner(r) && fa_reactor_wait(r, 0) == FA_EWRONGTHREAD &&
                   fa_reactor_run(r) == FA_EWRONGTHREAD &&
                   fa_io_add(r, &io, 0, FA_IO_READ, 0, NULL) == FA_EWRONGTHREAD &&
                   fa_timer_arm(r, &timer, 0, ignore_timer) == FA_EWRONGTHREAD &&
                   fa_signal_add(r, 10, NULL, NULL) == FA_EWRONGTHREAD;
    if (!refused)
        return NULL;
    fa_reactor_adopt(r);
    return fa_reactor_on_owner(r) && fa_reactor_wait(r, 0) == 0 ? r : NULL;
}

TEST(wrong_thread_is_refused_and_ownership_moves)
{
    struct fa_reactor *r = new_reactor();
    CHECK(fa_reactor_on_owner(r));
    pthread_t thread;
    void *result = NULL;
    CHECK_INT(pthread_create(&thread, NULL, use_from_elsewhere, r), 0);
    CHECK_INT(pthread_join(thread, &result), 0);
    CHECK(result == r);
    CHECK(!fa_reactor_on_owner(r));
    fa_reactor_destroy(r);
}

TEST(options_are_checked)
{
    struct fa_reactor *r = NULL;
    struct fa_reactor_options options = {.size = sizeof(options) + 1};
    CHECK_INT(fa_reactor_new(&r, &options), FA_EINVAL);
    options.size = sizeof(options);
    options.max_events = 1u << 20;
    CHECK_INT(fa_reactor_new(&r, &options), FA_EINVAL);
    options.max_events = 1;
    CHECK_INT(fa_reactor_new(&r, &options), 0);
    CHECK((fcntl(fa_reactor_fd(r), F_GETFD) & FD_CLOEXEC) != 0);
    fa_reactor_destroy(r);
    fa_reactor_destroy(NULL);
}

TEST(spin_finds_mail_and_keeps_deadlines)
{
    struct fa_reactor *r = NULL;
    struct fa_reactor_options options = {.size = sizeof(options), .spin_ns = MS};
    CHECK_INT(fa_reactor_new(&r, &options), 0);
    order[0] = '\0';
    uint64_t start_ns = fa_now_ns();
    CHECK_INT(fa_reactor_wait(r, (int64_t)(5 * MS)), 0);
    CHECK(fa_now_ns() - start_ns >= 5 * MS);
    struct step a;
    step_init(&a, r, 'a');
    fa_task_mail(r, &a.task);
    CHECK_INT(fa_reactor_wait(r, -1), 1);
    fa_reactor_collect(r);
    CHECK_INT(fa_reactor_dispatch(r, 0), 0);
    CHECK_ORDER("a");
    fa_reactor_destroy(r);
}

static void stay_busy(struct fa_io *io, unsigned events)
{
    (void)io;
    (void)events;
}

TEST(a_spin_ends_at_the_deadline_and_revives)
{
    struct fa_reactor *r = NULL;
    struct fa_reactor_options options = {.size = sizeof(options), .spin_ns = 20 * MS};
    struct fa_timer timer = {0};
    CHECK_INT(fa_reactor_new(&r, &options), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t deadline_ns = fa_now_ns() + 2 * MS;
        CHECK_INT(fa_timer_arm(r, &timer, deadline_ns, ignore_timer), 0);
        while (timer.reactor != NULL) {
            CHECK_INT(fa_reactor_wait(r, -1), 0);
            fa_reactor_collect(r);
            CHECK_INT(fa_reactor_dispatch(r, 0), 0);
        }
        CHECK(fa_now_ns() >= deadline_ns);
    }
    /* A loaded machine lends the processor to others during a spin or a sleep, so each is
     * tried more than once. First a long and fruitless wait: the next spin is shorter. */
    for (int i = 0; i < 50 && r->spin_next_ns == r->spin_ns; i++)
        CHECK_INT(fa_reactor_wait(r, (int64_t)(50 * MS)), 0);
    CHECK_INT(r->spin_next_ns, r->spin_ns / 2);
    /* Then a sleep of less than a spin restores it. */
    for (int i = 0; i < 50 && r->spin_next_ns < r->spin_ns; i++)
        CHECK_INT(fa_reactor_wait(r, (int64_t)(r->spin_next_ns + MS)), 0);
    CHECK_INT(r->spin_next_ns, r->spin_ns);
    fa_reactor_destroy(r);
}

static void stop_at(struct fa_timer *timer)
{
    fa_reactor_stop(timer->user);
}

/* While events come without a sleep the kernel is asked without a time limit first: timers
 * must still end a wait that finds nothing. */
TEST(a_busy_reactor_keeps_its_deadlines)
{
    struct fa_reactor *r = new_reactor();
    struct fa_timer timer = {.user = r};
    struct fa_io io = {0};
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 50 * MS, stop_at), 0);
    CHECK_INT(fa_io_add(r, &io, fds[1], FA_IO_WRITE, 0, stay_busy), 0);
    CHECK_INT(fa_io_set(&io, 0), 0);
    r->busy = true;
    uint64_t start_ns = fa_now_ns();
    CHECK_INT(fa_reactor_wait(r, (int64_t)(3 * MS)), 0);
    CHECK(fa_now_ns() - start_ns >= 3 * MS);
    CHECK(!r->busy);
    CHECK_INT(fa_io_set(&io, FA_IO_WRITE), 0);
    r->busy = true;
    CHECK_INT(fa_reactor_run(r), 0); /* the timer stops it, busy as it is */
    fa_reactor_destroy(r);
    close(fds[0]);
    close(fds[1]);
}

TEST(stats_count)
{
    struct fa_reactor *r = new_reactor();
    struct step a;
    struct step b;
    struct fa_timer timer = {0};
    step_init(&a, r, 'a');
    step_init(&b, r, 'b');
    fa_task_post(r, &a.task, FA_PRIORITY_NORMAL);
    fa_task_mail(r, &b.task);
    CHECK_INT(fa_timer_arm(r, &timer, 0, ignore_timer), 0);
    turn(r);
    struct fa_reactor_stats stats;
    fa_reactor_get_stats(r, &stats);
    CHECK_INT(stats.polls, 1);
    CHECK_INT(stats.tasks, 2);
    CHECK_INT(stats.mailbox, 1);
    CHECK_INT(stats.timers, 1);
    CHECK_INT(stats.io_events, 0);
    CHECK(stats.lag_ns > 0 && stats.lag_max_ns >= stats.lag_ns);
    fa_reactor_destroy(r);
}

static void note_io(struct fa_io *io, unsigned events)
{
    (void)events;
    note('i');
    fa_io_remove(io);
}

TEST(destroy_unlinks_everything)
{
    struct fa_reactor *r = new_reactor();
    struct step s[3];
    struct fa_timer due = {0};
    struct fa_timer later = {0};
    struct fa_io io = {0};
    int pipe_fds[2];
    CHECK_INT(pipe(pipe_fds), 0);
    for (int i = 0; i < 3; i++)
        step_init(&s[i], r, 'x');
    fa_task_post(r, &s[0].task, FA_PRIORITY_LOW);
    fa_reactor_at_turn_end(r, &s[1].task);
    CHECK_INT(fa_io_add(r, &io, pipe_fds[1], FA_IO_WRITE, 0, note_io), 0);
    CHECK_INT(fa_timer_arm(r, &due, 0, ignore_timer), 0);
    CHECK_INT(fa_timer_arm(r, &later, UINT64_MAX - 1, ignore_timer), 0);
    CHECK_INT(fa_reactor_wait(r, 0), 1);
    fa_reactor_collect(r);
    fa_task_mail(r, &s[2].task);
    fa_reactor_destroy(r);
    CHECK_ORDER("");
    fa_task_cancel(&s[0].task);
    fa_task_cancel(&s[1].task);
    fa_timer_cancel(&due);
    fa_timer_cancel(&later);
    CHECK(io.reactor == NULL);
    fa_io_remove(&io);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void new_and_destroy(void)
{
    struct fa_reactor *r = NULL;
    int err = fa_reactor_new(&r, NULL);
    CHECK(err == 0 || err == FA_ENOMEM);
    if (err == 0)
        fa_reactor_destroy(r);
}

TEST(new_survives_allocation_failure)
{
    check_alloc_failures(new_and_destroy);
}

/* Runs in a child: its descriptors are its own. */
static int new_without_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int lowest = dup(0);
    close(lowest);
    for (rlim_t spare = 0; spare < 2; spare++) {
        limit.rlim_cur = (rlim_t)lowest + spare;
        setrlimit(RLIMIT_NOFILE, &limit);
        struct fa_reactor *r = NULL;
        if (fa_reactor_new(&r, NULL) != FA_EMFILE)
            return 1;
        int again = dup(0);
        if (spare == 1 && again != lowest)
            return 2; /* a descriptor was leaked */
        close(again);
    }
    return 0;
}

TEST(new_without_descriptors_leaks_none)
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(new_without_descriptors());
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(a_forked_child_leaves_the_parents_registrations)
{
    struct fa_reactor *r = new_reactor();
    struct fa_io io = {0};
    struct fa_timer timer = {0};
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(fa_io_add(r, &io, fds[0], FA_IO_READ, 0, note_io), 0);
    CHECK_INT(fa_timer_arm(r, &timer, fa_now_ns() + 1000 * MS, ignore_timer), 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fa_reactor_after_fork(r);
        bool closed = fa_reactor_fd(r) == -1;
        fa_io_remove(&io);
        fa_timer_cancel(&timer);
        fa_reactor_destroy(r);
        _exit(closed ? 0 : 1);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(fa_reactor_wait(r, -1), 1);
    fa_reactor_collect(r);
    CHECK_INT(fa_reactor_dispatch(r, 0), 0);
    CHECK_ORDER("i");
    fa_reactor_destroy(r);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    RUN(first_in_first_out_by_priority);
    RUN(what_a_callback_posts_waits_for_the_next_dispatch);
    RUN(bounded_dispatch_keeps_order_and_serves_low);
    RUN(dispatches_of_one_alternate_with_low);
    RUN(dispatch_one_serves_low_among_many);
    RUN(cancelled_tasks_do_not_run);
    RUN(turn_end_tasks_run_last_and_once_per_turn);
    RUN(a_callback_may_free_its_task);
    RUN(wake_hook_outside_the_turn_only);
    RUN(run_until_stopped);
    RUN(wrong_thread_is_refused_and_ownership_moves);
    RUN(options_are_checked);
    RUN(spin_finds_mail_and_keeps_deadlines);
    RUN(a_spin_ends_at_the_deadline_and_revives);
    RUN(a_busy_reactor_keeps_its_deadlines);
    RUN(stats_count);
    RUN(destroy_unlinks_everything);
    RUN(new_survives_allocation_failure);
    RUN(new_without_descriptors_leaks_none);
    RUN(a_forked_child_leaves_the_parents_registrations);
    return check_report();
}

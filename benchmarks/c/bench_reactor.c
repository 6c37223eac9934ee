/* SPDX-License-Identifier: MIT */
/* bench_reactor.c - what the reactor costs above the kernel.
 *
 *     bench_reactor [rounds]
 *
 * Each line is the median of the rounds (9 unless told) in nanoseconds per operation, of
 * CPU time of the thread except for the hops between threads, which are by the wall clock:
 *
 *   task           post and run a task, 64 per turn
 *   task, alone    one task per turn, the poll of the kernel included
 *   timer          arm and cancel, among 1 000 and among 100 000 armed ones
 *   timer, fired   arm and fire
 *   mailbox        send to and run on the same thread, 64 per turn
 *   mailbox hop    to another thread's reactor and back, half of it
 *   event          one ready descriptor: wait, collect, dispatch, one read; the same with
 *                  epoll_wait and read by hand; the difference is the reactor's own cost
 *   ping-pong      a byte over a socket pair between two watchers of one reactor, per hop;
 *                  and by hand */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fasterapi/alloc.h>
#include <fasterapi/reactor.h>

#define MAX_ROUNDS 101
#define BATCH 64

static unsigned rounds = 9;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_reactor: %s failed\n", what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void body_fn(uint64_t count, void *user);

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    must(clock_gettime(clock, &now) == 0, "clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double per_operation_ns(clockid_t clock, body_fn *body, uint64_t count, void *user)
{
    uint64_t start_ns = clock_ns(clock);
    body(count, user);
    return (double)(clock_ns(clock) - start_ns) / (double)count;
}

static double median(double *values)
{
    qsort(values, rounds, sizeof(values[0]), compare);
    return values[rounds / 2];
}

static double median_by_ns(clockid_t clock, body_fn *body, uint64_t count, void *user)
{
    double per_op[MAX_ROUNDS];
    body(count / 10 + 1, user); /* warms the caches */
    for (unsigned i = 0; i < rounds; i++)
        per_op[i] = per_operation_ns(clock, body, count, user);
    return median(per_op);
}

/* Runs `body`, which does `count` operations, `rounds` times; the median per operation. */
static double median_ns(body_fn *body, uint64_t count, void *user)
{
    return median_by_ns(CLOCK_THREAD_CPUTIME_ID, body, count, user);
}

static void report(const char *what, double ns)
{
    printf("%-38s %9.1f ns\n", what, ns);
    fflush(stdout);
}

/* The two ways in turn, round by round, and the median of the differences. */
static void report_against_hand(const char *what, body_fn *body, void *user, body_fn *by_hand,
                                void *by_hand_user, uint64_t count)
{
    double ours[MAX_ROUNDS];
    double theirs[MAX_ROUNDS];
    double differences[MAX_ROUNDS];
    for (unsigned i = 0; i < rounds; i++) {
        ours[i] = per_operation_ns(CLOCK_THREAD_CPUTIME_ID, body, count, user);
        theirs[i] = per_operation_ns(CLOCK_THREAD_CPUTIME_ID, by_hand, count, by_hand_user);
        differences[i] = ours[i] - theirs[i];
    }
    report(what, median(ours));
    report("  by hand", median(theirs));
    report("  the reactor's own", median(differences));
}

static struct fa_reactor *new_reactor(void)
{
    struct fa_reactor *reactor = NULL;
    must(fa_reactor_new(&reactor, NULL) == 0, "fa_reactor_new");
    return reactor;
}

static void turn(struct fa_reactor *reactor)
{
    must(fa_reactor_wait(reactor, -1) >= 0, "fa_reactor_wait");
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

/* ---- tasks ----------------------------------------------------------------------- */

static uint64_t tasks_run;

static void count_task(struct fa_task *task)
{
    (void)task;
    tasks_run++;
}

struct tasks {
    struct fa_reactor *reactor;
    struct fa_task tasks[BATCH];
    bool mailed;
};

static void run_batches(uint64_t count, void *user)
{
    struct tasks *t = user;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            if (t->mailed)
                fa_task_mail(t->reactor, &t->tasks[i]);
            else
                fa_task_post(t->reactor, &t->tasks[i], FA_PRIORITY_NORMAL);
        }
        turn(t->reactor);
    }
}

static void run_singly(uint64_t count, void *user)
{
    struct tasks *t = user;
    for (uint64_t i = 0; i < count; i++) {
        fa_task_post(t->reactor, &t->tasks[0], FA_PRIORITY_NORMAL);
        turn(t->reactor);
    }
}

static void bench_tasks(void)
{
    struct tasks t = {.reactor = new_reactor()};
    for (size_t i = 0; i < BATCH; i++)
        t.tasks[i].callback = count_task;
    report("task", median_ns(run_batches, 2000000, &t));
    report("task, alone in its turn", median_ns(run_singly, 200000, &t));
    t.mailed = true;
    report("mailbox, same thread", median_ns(run_batches, 2000000, &t));
    must(tasks_run > 0, "running tasks");
    fa_reactor_destroy(t.reactor);
}

/* ---- timers ----------------------------------------------------------------------- */

static void count_timer(struct fa_timer *timer)
{
    (void)timer;
}

struct crowd {
    struct fa_reactor *reactor;
    struct fa_timer *timers;
    size_t size;
};

/* As a server does it: each connection's time-out is put off again and again. */
static void arm_and_cancel(uint64_t count, void *user)
{
    struct crowd *c = user;
    struct fa_timer timer = {0};
    uint64_t now_ns = fa_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t deadline_ns = now_ns + 15000000000u + i;
        must(fa_timer_arm(c->reactor, &timer, deadline_ns, count_timer) == 0, "arming");
        fa_timer_cancel(&timer);
    }
}

static void put_off(uint64_t count, void *user)
{
    struct crowd *c = user;
    uint64_t now_ns = fa_now_ns();
    size_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        at = (at + 7919) % c->size;
        uint64_t deadline_ns = now_ns + 15000000000u + i;
        must(fa_timer_arm(c->reactor, &c->timers[at], deadline_ns, count_timer) == 0, "arming");
    }
}

static void arm_and_fire(uint64_t count, void *user)
{
    struct crowd *c = user;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            must(fa_timer_arm(c->reactor, &c->timers[i], i, count_timer) == 0, "arming");
        turn(c->reactor);
    }
}

static void bench_timers(size_t size)
{
    struct crowd c = {.reactor = new_reactor(), .size = size};
    char name[64];
    c.timers = fa_calloc(size, sizeof(*c.timers));
    must(c.timers != NULL, "memory");
    put_off(size * 2, &c);
    snprintf(name, sizeof(name), "timer, arm and cancel, %zu armed", size);
    report(name, median_ns(arm_and_cancel, 2000000, &c));
    snprintf(name, sizeof(name), "timer, put off, %zu armed", size);
    report(name, median_ns(put_off, 2000000, &c));
    fa_reactor_destroy(c.reactor);
    c.reactor = new_reactor();
    report("timer, armed and fired", median_ns(arm_and_fire, 1000000, &c));
    fa_reactor_destroy(c.reactor);
    fa_free(c.timers);
}

/* ---- between threads -------------------------------------------------------------- */

struct player {
    struct fa_reactor *reactor;
    struct player *other;
    uint64_t *hops_left;
};

static void hop(struct fa_task *task)
{
    struct player *player = task->user;
    if (--*player->hops_left == 0) {
        fa_reactor_stop(player->reactor);
        fa_reactor_stop(player->other->reactor);
        return;
    }
    task->user = player->other;
    fa_task_mail(player->other->reactor, task);
}

static void *run_player(void *user)
{
    struct player *player = user;
    fa_reactor_adopt(player->reactor);
    must(fa_reactor_run(player->reactor) == 0, "fa_reactor_run");
    return NULL;
}

static void play(uint64_t count, void *user)
{
    uint64_t hops = count;
    uint64_t spin_ns = *(uint64_t *)user;
    struct fa_reactor_options options = {.size = sizeof(options), .spin_ns = spin_ns};
    struct player a = {.hops_left = &hops};
    struct player b = {.hops_left = &hops, .other = &a};
    a.other = &b;
    must(fa_reactor_new(&a.reactor, &options) == 0, "fa_reactor_new");
    must(fa_reactor_new(&b.reactor, &options) == 0, "fa_reactor_new");
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_player, &b) == 0, "pthread_create");
    struct fa_task ball = {.callback = hop, .user = &a};
    fa_task_mail(a.reactor, &ball);
    must(fa_reactor_run(a.reactor) == 0, "fa_reactor_run");
    pthread_join(thread, NULL);
    fa_reactor_destroy(a.reactor);
    fa_reactor_destroy(b.reactor);
}

/* ---- descriptors ------------------------------------------------------------------- */

static void read_count(int fd)
{
    uint64_t value;
    must(read(fd, &value, sizeof(value)) == sizeof(value), "read");
}

static void on_count(struct fa_io *io, unsigned events)
{
    (void)events;
    read_count(io->fd);
}

struct event_case {
    struct fa_reactor *reactor; /* NULL: by hand */
    int epoll_fd;
    int fd;
};

static void one_event_at_a_time(uint64_t count, void *user)
{
    struct event_case *c = user;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t one = 1;
        must(write(c->fd, &one, sizeof(one)) == sizeof(one), "write");
        if (c->reactor != NULL) {
            turn(c->reactor);
            continue;
        }
        struct epoll_event event;
        must(epoll_wait(c->epoll_fd, &event, 1, -1) == 1, "epoll_wait");
        read_count(event.data.fd);
    }
}

static void bench_event(bool with_timer)
{
    struct event_case by_hand = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    struct event_case ours = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = by_hand.fd};
    by_hand.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(epoll_ctl(by_hand.epoll_fd, EPOLL_CTL_ADD, by_hand.fd, &event) == 0, "epoll_ctl");
    struct fa_io io = {0};
    struct fa_timer timer = {0};
    ours.reactor = new_reactor();
    must(fa_io_add(ours.reactor, &io, ours.fd, FA_IO_READ, 0, on_count) == 0, "fa_io_add");
    if (with_timer)
        must(fa_timer_arm(ours.reactor, &timer, UINT64_MAX - 1, count_timer) == 0, "arming");
    report_against_hand(with_timer ? "event, with a timer armed" : "event", one_event_at_a_time,
                        &ours, one_event_at_a_time, &by_hand, 200000);
    fa_reactor_destroy(ours.reactor);
    close(by_hand.epoll_fd);
    close(by_hand.fd);
    close(ours.fd);
}

static uint64_t hops_left;

static void pass_on(struct fa_io *io, unsigned events)
{
    (void)events;
    char byte;
    must(recv(io->fd, &byte, 1, 0) == 1, "recv");
    if (--hops_left == 0)
        fa_reactor_stop(io->reactor);
    else
        must(send(io->fd, &byte, 1, 0) == 1, "send");
}

static void ping_pong(uint64_t count, void *user)
{
    (void)user;
    int fds[2];
    struct fa_io ends[2] = {{0}, {0}};
    struct fa_reactor *reactor = new_reactor();
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
         "socketpair");
    for (int i = 0; i < 2; i++)
        must(fa_io_add(reactor, &ends[i], fds[i], FA_IO_READ, 0, pass_on) == 0, "fa_io_add");
    hops_left = count;
    must(send(fds[0], "x", 1, 0) == 1, "send");
    must(fa_reactor_run(reactor) == 0, "fa_reactor_run");
    fa_reactor_destroy(reactor);
    close(fds[0]);
    close(fds[1]);
}

static void ping_pong_by_hand(uint64_t count, void *user)
{
    (void)user;
    int fds[2];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
         "socketpair");
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
    }
    must(send(fds[0], "x", 1, 0) == 1, "send");
    while (count > 0) {
        struct epoll_event event;
        char byte;
        must(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait");
        must(recv(event.data.fd, &byte, 1, 0) == 1, "recv");
        if (--count > 0)
            must(send(event.data.fd, &byte, 1, 0) == 1, "send");
    }
    close(epoll_fd);
    close(fds[0]);
    close(fds[1]);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        long asked = strtol(argv[1], NULL, 10);
        if (asked < 1 || asked > MAX_ROUNDS) {
            fprintf(stderr, "usage: bench_reactor [rounds: 1 to %d]\n", MAX_ROUNDS);
            return 2;
        }
        rounds = (unsigned)asked;
    }
    uint64_t spin_ns = 0;
    bench_tasks();
    bench_timers(1000);
    bench_timers(100000);
    report("mailbox hop between threads", median_by_ns(CLOCK_MONOTONIC, play, 20000, &spin_ns));
    spin_ns = 50000;
    report("mailbox hop, spinning 50 us", median_by_ns(CLOCK_MONOTONIC, play, 20000, &spin_ns));
    bench_event(false);
    bench_event(true);
    report_against_hand("ping-pong, per hop", ping_pong, NULL, ping_pong_by_hand, NULL, 100000);
    return 0;
}

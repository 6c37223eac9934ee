/* SPDX-License-Identifier: MIT */
/* Watched descriptors: what is reported, what is dropped, and callbacks that change or free
 * watchers of the same batch. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fasterapi/reactor.h>

#include "check.h"
#include "loop/watchers.h"

static struct fa_reactor *reactor;

/* A watcher over one end of a socket pair, and what it has seen. */
struct probe {
    struct fa_io io;
    int fd;   /* watched */
    int peer; /* the test's */
    int calls;
    unsigned events; /* of the last call */
    void (*act)(struct probe *self);
    struct probe *other;
};

static void on_event(struct fa_io *io, unsigned events)
{
    struct probe *probe = io->user;
    probe->calls++;
    probe->events = events;
    if (probe->act != NULL)
        probe->act(probe);
}

static void probe_open(struct probe *probe, unsigned interest, unsigned flags)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *probe = (struct probe){.fd = fds[0], .peer = fds[1]};
    probe->io.user = probe;
    CHECK_INT(fa_io_add(reactor, &probe->io, fds[0], interest, flags, on_event), 0);
}

static void probe_close(struct probe *probe)
{
    fa_io_remove(&probe->io);
    close(probe->fd);
    close(probe->peer);
}

static void poke(struct probe *probe)
{
    CHECK_INT(send(probe->peer, "x", 1, MSG_NOSIGNAL), 1);
}

static void eat(struct probe *probe)
{
    char bytes[64];
    CHECK(recv(probe->fd, bytes, sizeof(bytes), 0) >= 0);
}

static void set_up(void)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
}

static void collect(void)
{
    CHECK(fa_reactor_wait(reactor, 0) >= 0);
    fa_reactor_collect(reactor);
}

static void turn(void)
{
    collect();
    (void)fa_reactor_dispatch(reactor, 0);
}

TEST(level_triggered_until_read)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    turn();
    CHECK_INT(a.calls, 0);
    poke(&a);
    turn();
    turn();
    CHECK_INT(a.calls, 2);
    CHECK_INT(a.events, FA_IO_READ);
    eat(&a);
    turn();
    CHECK_INT(a.calls, 2);
    probe_close(&a);
    fa_reactor_destroy(reactor);
}

TEST(interest_is_obeyed)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_READ | FA_IO_WRITE, 0);
    poke(&a);
    turn();
    CHECK_INT(a.events, FA_IO_READ | FA_IO_WRITE);
    CHECK_INT(fa_io_set(&a.io, FA_IO_WRITE), 0);
    turn();
    CHECK_INT(a.events, FA_IO_WRITE);
    CHECK_INT(fa_io_set(&a.io, 0), 0);
    turn();
    CHECK_INT(a.calls, 2);
    CHECK_INT(fa_io_set(&a.io, FA_IO_READ), 0);
    turn();
    CHECK_INT(a.calls, 3);
    CHECK_INT(a.events, FA_IO_READ);
    CHECK_INT(fa_io_set(&a.io, 64), FA_EINVAL);
    probe_close(&a);
    CHECK_INT(fa_io_set(&a.io, FA_IO_READ), FA_EINVAL);
    fa_reactor_destroy(reactor);
}

TEST(half_close_and_hang_up)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_HUP, 0);
    CHECK_INT(shutdown(a.peer, SHUT_WR), 0);
    turn();
    CHECK_INT(a.events, FA_IO_HUP);
    CHECK_INT(fa_io_set(&a.io, FA_IO_READ), 0);
    turn();
    CHECK_INT(a.events, FA_IO_READ);
    close(a.peer);
    a.peer = -1;
    turn();
    CHECK_INT(a.events, FA_IO_READ | FA_IO_ERROR);
    /* Silent means silent, although the kernel would report this one regardless. */
    CHECK_INT(fa_io_set(&a.io, 0), 0);
    int calls = a.calls;
    turn();
    CHECK_INT(a.calls, calls);
    probe_close(&a);
    fa_reactor_destroy(reactor);
}

TEST(a_pipe_whose_writer_is_gone_is_readable)
{
    set_up();
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    struct probe a = {.fd = fds[0], .peer = -1};
    a.io.user = &a;
    CHECK_INT(fa_io_add(reactor, &a.io, fds[0], FA_IO_READ, 0, on_event), 0);
    close(fds[1]);
    turn();
    CHECK_INT(a.events, FA_IO_READ | FA_IO_ERROR);
    probe_close(&a);
    fa_reactor_destroy(reactor);
}

TEST(arguments_are_checked)
{
    set_up();
    struct probe a;
    struct fa_io io = {0};
    probe_open(&a, FA_IO_READ, 0);
    CHECK_INT(fa_io_add(reactor, &io, a.fd, FA_IO_READ, 0, on_event), FA_EEXIST);
    CHECK_INT(fa_io_add(reactor, &a.io, a.peer, FA_IO_READ, 0, on_event), FA_EEXIST);
    CHECK_INT(fa_io_add(reactor, &io, -1, FA_IO_READ, 0, on_event), FA_EINVAL);
    CHECK_INT(fa_io_add(reactor, &io, a.peer, FA_IO_ERROR, 0, on_event), FA_EINVAL);
    CHECK_INT(fa_io_add(reactor, &io, a.peer, FA_IO_READ, 8, on_event), FA_EINVAL);
    CHECK_INT(fa_io_add(reactor, &io, a.peer, FA_IO_READ, 0, NULL), FA_EINVAL);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_INT(fa_io_add(reactor, &io, file, FA_IO_READ, 0, on_event), FA_ENOTSUP);
    close(file);
    CHECK_INT(fa_io_add(reactor, &io, file, FA_IO_READ, 0, on_event), FA_EINVAL);
    CHECK(io.reactor == NULL);
    fa_io_remove(&io);
    probe_close(&a);
    fa_reactor_destroy(reactor);
}

/* ---- callbacks that change the batch they are in ------------------------------------ */

static void remove_other(struct probe *self)
{
    fa_io_remove(&self->other->io);
}

static void remove_self(struct probe *self)
{
    fa_io_remove(&self->io);
}

static void silence_other(struct probe *self)
{
    CHECK_INT(fa_io_set(&self->other->io, 0), 0);
}

static void make_other_write_only(struct probe *self)
{
    CHECK_INT(fa_io_set(&self->other->io, FA_IO_WRITE), 0);
}

/* Two ready watchers of which the first to be called acts on the other. Returns how often
 * the second was called. */
static int calls_of_second(void (*act)(struct probe *self), unsigned flags, struct probe *a,
                           struct probe *b)
{
    set_up();
    probe_open(a, FA_IO_READ, flags);
    probe_open(b, FA_IO_READ, flags);
    a->other = b;
    b->other = a;
    a->act = act;
    b->act = act;
    poke(a);
    poke(b);
    turn();
    CHECK(a->calls == 1 || b->calls == 1);
    int calls = a->calls + b->calls - 1;
    probe_close(a);
    probe_close(b);
    fa_reactor_destroy(reactor);
    return calls;
}

TEST(removed_in_the_same_batch)
{
    struct probe a;
    struct probe b;
    CHECK_INT(calls_of_second(remove_other, 0, &a, &b), 0);
    CHECK_INT(calls_of_second(remove_other, FA_IO_IMMEDIATE, &a, &b), 0);
    CHECK_INT(calls_of_second(remove_self, 0, &a, &b), 1);
    CHECK_INT(calls_of_second(remove_self, FA_IO_IMMEDIATE, &a, &b), 1);
}

TEST(changed_in_the_same_batch)
{
    struct probe a;
    struct probe b;
    CHECK_INT(calls_of_second(silence_other, 0, &a, &b), 0);
    CHECK_INT(calls_of_second(silence_other, FA_IO_IMMEDIATE, &a, &b), 0);
    CHECK_INT(calls_of_second(make_other_write_only, 0, &a, &b), 0);
    CHECK_INT(calls_of_second(make_other_write_only, FA_IO_IMMEDIATE, &a, &b), 0);
}

/* The other watcher's descriptor is closed and its number given to a new pair, which is
 * watched at once: the event in flight must not reach the newcomer. */
static struct probe newcomer;

static void replace_other(struct probe *self)
{
    struct probe *other = self->other;
    if (newcomer.io.reactor != NULL)
        return;
    int number = other->fd;
    fa_io_remove(&other->io);
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_INT(dup2(fds[0], number), number);
    close(fds[0]);
    other->fd = -1;
    newcomer = (struct probe){.fd = number, .peer = fds[1]};
    newcomer.io.user = &newcomer;
    CHECK_INT(fa_io_add(reactor, &newcomer.io, number, FA_IO_READ, 0, on_event), 0);
}

TEST(a_reused_number_does_not_inherit_events)
{
    struct probe a;
    struct probe b;
    const unsigned flags[] = {0, FA_IO_IMMEDIATE};
    for (size_t i = 0; i < FA_ARRAY_LEN(flags); i++) {
        newcomer = (struct probe){0};
        set_up();
        probe_open(&a, FA_IO_READ, flags[i]);
        probe_open(&b, FA_IO_READ, flags[i]);
        a.other = &b;
        b.other = &a;
        a.act = replace_other;
        b.act = replace_other;
        poke(&a);
        poke(&b);
        turn();
        CHECK_INT(a.calls + b.calls, 1);
        CHECK_INT(newcomer.calls, 0);
        poke(&newcomer);
        turn();
        CHECK_INT(newcomer.calls, 1);
        probe_close(&newcomer);
        probe_close(&a);
        probe_close(&b);
        fa_reactor_destroy(reactor);
    }
}

static void free_self(struct fa_io *io, unsigned events)
{
    (void)events;
    int fd = io->fd;
    fa_io_remove(io);
    close(fd);
    fa_free(io);
}

TEST(a_callback_may_free_its_watcher)
{
    set_up();
    for (int i = 0; i < 10; i++) {
        int fds[2];
        CHECK_INT(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
        struct fa_io *io = fa_calloc(1, sizeof(*io));
        CHECK(io != NULL);
        CHECK_INT(
            fa_io_add(reactor, io, fds[0], FA_IO_READ, i % 2 ? FA_IO_IMMEDIATE : 0, free_self), 0);
        CHECK_INT(write(fds[1], "x", 1), 1);
        close(fds[1]);
    }
    turn();
    struct fa_reactor_stats stats;
    fa_reactor_get_stats(reactor, &stats);
    CHECK_INT(stats.io_events, 10);
    turn();
    fa_reactor_get_stats(reactor, &stats);
    CHECK_INT(stats.io_events, 10);
    fa_reactor_destroy(reactor);
}

/* ---- descriptors that a child holds ------------------------------------------------- */

TEST(removed_before_close_never_fires_although_a_copy_lives)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    int copy = dup(a.fd); /* as a forked child would hold it */
    fa_io_remove(&a.io);
    close(a.fd);
    poke(&a);
    CHECK_INT(fa_reactor_wait(reactor, 0), 0);
    close(copy);
    close(a.peer);
    fa_reactor_destroy(reactor);
}

/* Against the contract, but it happens: the old registration lives on under a number that
 * means another file. Its events must not be taken for the new file's. */
TEST(closed_before_removal_fires_for_nobody)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    int copy = dup(a.fd);
    int number = a.fd;
    close(a.fd);
    fa_io_remove(&a.io);
    struct probe b;
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    int watched = fds[0];
    if (watched != number) {
        CHECK_INT(dup2(fds[0], number), number);
        close(fds[0]);
    }
    b = (struct probe){.fd = number, .peer = fds[1]};
    b.io.user = &b;
    CHECK_INT(fa_io_add(reactor, &b.io, number, FA_IO_READ, 0, on_event), 0);
    poke(&a);
    CHECK_INT(fa_reactor_wait(reactor, 0), 1); /* the kernel does report it */
    fa_reactor_collect(reactor);
    CHECK_INT(fa_reactor_dispatch(reactor, 0), 0);
    CHECK_INT(a.calls, 0);
    CHECK_INT(b.calls, 0);
    poke(&b);
    turn();
    CHECK_INT(b.calls, 1);
    close(copy);
    close(a.peer);
    probe_close(&b);
    fa_reactor_destroy(reactor);
}

/* Against the contract too: the number is given to a new connection, and its old watcher still is
 * registered, with an event that was collected and not yet delivered. */
TEST(a_number_that_the_kernel_gave_away_is_taken_from_its_old_watcher)
{
    set_up();
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    poke(&a);
    collect();
    int number = a.fd;
    int copy = dup(a.fd);
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_INT(dup2(fds[0], number), number);
    close(fds[0]);
    struct probe b = {.fd = number, .peer = fds[1]};
    b.io.user = &b;
    CHECK_INT(fa_io_add(reactor, &b.io, number, FA_IO_READ, 0, on_event), FA_EEXIST);
    fa__watchers_evict(reactor, number);
    CHECK(a.io.reactor == NULL);
    CHECK_INT(a.io.fd, -1);
    CHECK_INT(fa_io_add(reactor, &b.io, number, FA_IO_READ, 0, on_event), 0);
    CHECK_INT(fa_reactor_dispatch(reactor, 0), 0);
    turn(); /* the kernel still reports the old file, which `copy` keeps open */
    CHECK_INT(a.calls + b.calls, 0);
    CHECK_INT(fa_io_set(&a.io, FA_IO_WRITE), FA_EINVAL);
    fa_io_remove(&a.io); /* does not touch its successor */
    poke(&b);
    turn();
    CHECK_INT(b.calls, 1);
    fa__watchers_evict(reactor, 999999); /* numbers without a watcher */
    fa__watchers_evict(reactor, a.peer);
    close(copy);
    close(a.peer);
    probe_close(&b);
    fa_reactor_destroy(reactor);
}

/* ---- bounds ------------------------------------------------------------------------- */

TEST(events_wait_their_turn_in_order)
{
    set_up();
    struct probe p[20];
    for (size_t i = 0; i < FA_ARRAY_LEN(p); i++) {
        probe_open(&p[i], FA_IO_READ, 0);
        p[i].act = eat;
        poke(&p[i]);
        collect(); /* one event becomes ready work after the other */
    }
    for (size_t i = 0; i < FA_ARRAY_LEN(p); i += 5) {
        CHECK_INT(fa_reactor_dispatch(reactor, 5), FA_ARRAY_LEN(p) - i - 5);
        for (size_t k = 0; k < FA_ARRAY_LEN(p); k++)
            CHECK_INT(p[k].calls, k < i + 5 ? 1 : 0);
    }
    turn();
    for (size_t i = 0; i < FA_ARRAY_LEN(p); i++) {
        CHECK_INT(p[i].calls, 1);
        probe_close(&p[i]);
    }
    fa_reactor_destroy(reactor);
}

TEST(a_wait_takes_at_most_max_events_and_loses_none)
{
    struct fa_reactor_options options = {.size = sizeof(options), .max_events = 2};
    CHECK_INT(fa_reactor_new(&reactor, &options), 0);
    struct probe p[7];
    for (size_t i = 0; i < FA_ARRAY_LEN(p); i++) {
        probe_open(&p[i], FA_IO_READ, 0);
        p[i].act = eat;
        poke(&p[i]);
    }
    CHECK_INT(fa_reactor_wait(reactor, -1), 2);
    CHECK_INT(fa_reactor_wait(reactor, -1), 2); /* not collected: kept */
    for (int i = 0; i < 4; i++)
        turn();
    for (size_t i = 0; i < FA_ARRAY_LEN(p); i++) {
        CHECK_INT(p[i].calls, 1);
        probe_close(&p[i]);
    }
    fa_reactor_destroy(reactor);
}

TEST(a_huge_descriptor_number)
{
    set_up();
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int number = limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur - 1;
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    CHECK_INT(dup2(a.fd, number), number);
    struct probe b = {.fd = number, .peer = -1};
    b.io.user = &b;
    CHECK_INT(fa_io_add(reactor, &b.io, number, FA_IO_READ, 0, on_event), 0);
    poke(&a);
    turn();
    CHECK_INT(a.calls, 1);
    CHECK_INT(b.calls, 1);
    fa_io_remove(&b.io);
    close(number);
    probe_close(&a);
    limit.rlim_cur = soft;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fa_reactor_destroy(reactor);
}

/* ---- a host with a loop of its own -------------------------------------------------- */

TEST(the_reactors_descriptor_is_readable_when_a_turn_would_find_something)
{
    set_up();
    struct fa_reactor *inner = reactor;
    struct fa_task task = {.callback = NULL};
    struct probe a;
    probe_open(&a, FA_IO_READ, 0);
    struct fa_reactor *outer = NULL;
    CHECK_INT(fa_reactor_new(&outer, NULL), 0);
    struct probe host = {.fd = fa_reactor_fd(inner)};
    host.io.user = &host;
    CHECK_INT(fa_io_add(outer, &host.io, host.fd, FA_IO_READ, 0, on_event), 0);
    CHECK_INT(fa_reactor_wait(outer, 0), 0);
    poke(&a);
    CHECK_INT(fa_reactor_wait(outer, 0), 1);
    fa_reactor_collect(outer);
    a.act = eat;
    turn();
    CHECK_INT(a.calls, 1);
    CHECK_INT(fa_reactor_dispatch(outer, 0), 0);
    CHECK_INT(host.calls, 1);
    CHECK_INT(fa_reactor_wait(outer, 0), 0);
    fa_task_mail(inner, &task);
    CHECK_INT(fa_reactor_wait(outer, -1), 1);
    fa_reactor_collect(outer);
    CHECK_INT(fa_reactor_wait(inner, 0), 1);
    fa_reactor_collect(inner);
    fa_task_cancel(&task);
    CHECK_INT(fa_reactor_dispatch(outer, 0), 0);
    CHECK_INT(fa_reactor_wait(outer, 0), 0); /* consumed, though nobody read the eventfd */
    fa_reactor_destroy(outer);
    probe_close(&a);
    fa_reactor_destroy(inner);
}

/* ---- allocation failure ------------------------------------------------------------- */

static void add_two_watchers(void)
{
    struct fa_reactor *r = NULL;
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    int fds[2];
    CHECK_INT(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    int number = dup2(fds[0], 1000); /* in another chunk of the table */
    CHECK_INT(number, 1000);
    struct fa_io a = {0};
    struct fa_io b = {0};
    int err = fa_io_add(r, &a, fds[0], FA_IO_READ, 0, on_event);
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK((a.reactor == r) == (err == 0));
    err = fa_io_add(r, &b, number, FA_IO_READ, 0, on_event);
    CHECK(err == 0 || err == FA_ENOMEM);
    fa_io_remove(&a);
    fa_io_remove(&b);
    close(number);
    close(fds[0]);
    close(fds[1]);
    fa_reactor_destroy(r);
}

TEST(adding_survives_allocation_failure)
{
    check_alloc_failures(add_two_watchers);
}

int main(void)
{
    RUN(level_triggered_until_read);
    RUN(interest_is_obeyed);
    RUN(half_close_and_hang_up);
    RUN(a_pipe_whose_writer_is_gone_is_readable);
    RUN(arguments_are_checked);
    RUN(removed_in_the_same_batch);
    RUN(changed_in_the_same_batch);
    RUN(a_reused_number_does_not_inherit_events);
    RUN(a_callback_may_free_its_watcher);
    RUN(removed_before_close_never_fires_although_a_copy_lives);
    RUN(closed_before_removal_fires_for_nobody);
    RUN(a_number_that_the_kernel_gave_away_is_taken_from_its_old_watcher);
    RUN(events_wait_their_turn_in_order);
    RUN(a_wait_takes_at_most_max_events_and_loses_none);
    RUN(a_huge_descriptor_number);
    RUN(the_reactors_descriptor_is_readable_when_a_turn_would_find_something);
    RUN(adding_survives_allocation_failure);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* Signals as ready work: delivery, refusal, removal, the mask, allocation failure. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <fasterapi/reactor.h>

#include "check.h"

static struct fa_reactor *reactor;
static int calls;
static int last_signum;
static int removes;

static void on_signal(int signum, void *user)
{
    CHECK(user == &calls);
    calls++;
    last_signum = signum;
    if (removes != 0)
        fa_signal_remove(reactor, removes);
}

static void set_up(void)
{
    calls = 0;
    removes = 0;
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
}

static void turn(void)
{
    CHECK(fa_reactor_wait(reactor, 0) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

static bool blocked(int signum)
{
    sigset_t mask;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    return sigismember(&mask, signum) == 1;
}

TEST(delivered_as_ready_work)
{
    set_up();
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), 0);
    CHECK_INT(fa_signal_add(reactor, SIGTERM, on_signal, &calls), 0);
    CHECK(blocked(SIGUSR1) && blocked(SIGTERM));
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    CHECK_INT(kill(getpid(), SIGUSR1), 0); /* joins the first */
    CHECK_INT(fa_reactor_wait(reactor, -1), 1);
    CHECK_INT(calls, 0);
    fa_reactor_collect(reactor);
    CHECK_INT(calls, 0);
    CHECK_INT(fa_reactor_dispatch(reactor, 0), 0);
    CHECK_INT(calls, 1);
    CHECK_INT(last_signum, SIGUSR1);
    CHECK_INT(kill(getpid(), SIGTERM), 0);
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    turn();
    CHECK_INT(calls, 3);
    turn();
    CHECK_INT(calls, 3);
    fa_reactor_destroy(reactor);
    CHECK(!blocked(SIGUSR1) && !blocked(SIGTERM));
}

TEST(one_reactor_per_signal)
{
    set_up();
    struct fa_reactor *other = NULL;
    CHECK_INT(fa_reactor_new(&other, NULL), 0);
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), 0);
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), FA_EEXIST);
    CHECK_INT(fa_signal_add(other, SIGUSR1, on_signal, &calls), FA_EEXIST);
    CHECK_INT(fa_signal_add(other, SIGUSR2, on_signal, &calls), 0);
    fa_signal_remove(other, SIGUSR1); /* not its own: nothing happens */
    CHECK(blocked(SIGUSR1));
    fa_signal_remove(reactor, SIGUSR1);
    CHECK(!blocked(SIGUSR1));
    CHECK_INT(fa_signal_add(other, SIGUSR1, on_signal, &calls), 0);
    fa_reactor_destroy(other);
    fa_reactor_destroy(reactor);
}

TEST(arguments_are_checked)
{
    set_up();
    const int refused[] = {0, -1, NSIG, SIGKILL, SIGSTOP};
    for (size_t i = 0; i < FA_ARRAY_LEN(refused); i++) {
        CHECK_INT(fa_signal_add(reactor, refused[i], on_signal, &calls), FA_EINVAL);
        fa_signal_remove(reactor, refused[i]);
    }
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, NULL, &calls), FA_EINVAL);
    CHECK(!blocked(SIGUSR1));
    fa_reactor_destroy(reactor);
}

TEST(a_callback_may_remove_signals_of_its_batch)
{
    set_up();
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), 0);
    CHECK_INT(fa_signal_add(reactor, SIGUSR2, on_signal, &calls), 0);
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    CHECK_INT(kill(getpid(), SIGUSR2), 0);
    removes = SIGUSR2; /* the lower number is read first */
    turn();
    CHECK_INT(calls, 1);
    removes = SIGUSR1;
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    turn();
    CHECK_INT(calls, 2);
    CHECK(!blocked(SIGUSR1));
    fa_reactor_destroy(reactor);
}

TEST(a_signal_that_was_blocked_stays_blocked)
{
    set_up();
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    CHECK_INT(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), 0);
    fa_signal_remove(reactor, SIGUSR1);
    CHECK(blocked(SIGUSR1));
    CHECK_INT(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
    fa_reactor_destroy(reactor);
}

TEST(a_forked_child_does_not_steal_signals)
{
    set_up();
    CHECK_INT(fa_signal_add(reactor, SIGUSR1, on_signal, &calls), 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fa_reactor_after_fork(reactor);
        fa_reactor_destroy(reactor);
        _exit(blocked(SIGUSR1) ? 1 : 0);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    turn();
    CHECK_INT(calls, 1);
    fa_reactor_destroy(reactor);
}

static void add_and_remove(void)
{
    struct fa_reactor *r = NULL;
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    int err = fa_signal_add(r, SIGUSR1, on_signal, &calls);
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK(blocked(SIGUSR1) == (err == 0));
    fa_reactor_destroy(r);
    CHECK(!blocked(SIGUSR1));
}

TEST(adding_survives_allocation_failure)
{
    check_alloc_failures(add_and_remove);
}

int main(void)
{
    RUN(delivered_as_ready_work);
    RUN(one_reactor_per_signal);
    RUN(arguments_are_checked);
    RUN(a_callback_may_remove_signals_of_its_batch);
    RUN(a_signal_that_was_blocked_stays_blocked);
    RUN(a_forked_child_does_not_steal_signals);
    RUN(adding_survives_allocation_failure);
    return check_report();
}

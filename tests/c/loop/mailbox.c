/* SPDX-License-Identifier: MIT */
/* The mailbox: order per sender, nothing lost or doubled with many senders, one wake-up per
 * batch, stop from another thread and from a signal handler. Also run under TSan. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include <fasterapi/reactor.h>

#include "check.h"

#include "loop/mailbox.h"

#define SENDERS 4
#define LETTERS 5000

struct letter {
    struct fa_task task;
    struct sender *sender;
    int number;
    int payload; /* written by the sender, read by the receiver: TSan watches */
};

struct sender {
    pthread_t thread;
    struct fa_reactor *reactor;
    struct letter *letters;
    int received;
    bool in_order;
    int *total;
};

static void on_letter(struct fa_task *task)
{
    struct letter *letter = task->user;
    struct sender *sender = letter->sender;
    if (letter->number != sender->received || letter->payload != letter->number * 3)
        sender->in_order = false;
    sender->received++;
    if (++*sender->total == SENDERS * LETTERS)
        fa_reactor_stop(sender->reactor);
}

static void *send_letters(void *user)
{
    struct sender *sender = user;
    for (int i = 0; i < LETTERS; i++) {
        struct letter *letter = &sender->letters[i];
        letter->payload = i * 3;
        fa_task_mail(sender->reactor, &letter->task);
    }
    return NULL;
}

TEST(many_senders_lose_nothing)
{
    struct fa_reactor *r = NULL;
    CHECK_INT(fa_reactor_new(&r, NULL), 0);
    struct sender senders[SENDERS];
    int total = 0;
    for (int s = 0; s < SENDERS; s++) {
        senders[s] = (struct sender){.reactor = r, .in_order = true, .total = &total};
        senders[s].letters = calloc(LETTERS, sizeof(struct letter));
        CHECK(senders[s].letters != NULL);
        for (int i = 0; i < LETTERS; i++) {
            struct letter *letter = &senders[s].letters[i];
            letter->task.callback = on_letter;
            letter->task.user = letter;
            letter->sender = &senders[s];
            letter->number = i;
        }
    }
    for (int s = 0; s < SENDERS; s++)
        CHECK_INT(pthread_create(&senders[s].thread, NULL, send_letters, &senders[s]), 0);
    CHECK_INT(fa_reactor_run(r), 0);
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(senders[s].thread, NULL);
        CHECK_INT(senders[s].received, LETTERS);
        CHECK(senders[s].in_order);
        free(senders[s].letters);
    }
    struct fa_reactor_stats stats;
    fa_reactor_get_stats(r, &stats);
    CHECK_INT(stats.mailbox, SENDERS * LETTERS);
    CHECK_INT(stats.tasks, SENDERS * LETTERS);
    fa_reactor_destroy(r);
}

/* Two reactors on two threads hand one task to and fro. */
struct player {
    struct fa_reactor *reactor;
    struct player *other;
    int *hops;
};

#define HOPS 2000

static void hop(struct fa_task *task)
{
    struct player *player = task->user;
    if (++*player->hops >= HOPS) {
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
    int err = fa_reactor_run(player->reactor);
    return err == 0 ? player : NULL;
}

TEST(two_reactors_play_ping_pong)
{
    struct player left = {0};
    struct player right = {0};
    int hops = 0;
    CHECK_INT(fa_reactor_new(&left.reactor, NULL), 0);
    CHECK_INT(fa_reactor_new(&right.reactor, NULL), 0);
    left.other = &right;
    right.other = &left;
    left.hops = &hops;
    right.hops = &hops;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, run_player, &right), 0);
    struct fa_task ball = {.callback = hop, .user = &left};
    fa_task_mail(left.reactor, &ball);
    CHECK_INT(fa_reactor_run(left.reactor), 0);
    void *result = NULL;
    pthread_join(thread, &result);
    CHECK(result == &right);
    CHECK_INT(hops, HOPS);
    fa_reactor_destroy(left.reactor);
    fa_reactor_destroy(right.reactor);
}

static void nothing(struct fa_task *task)
{
    (void)task;
}

TEST(one_wake_up_per_batch)
{
    struct fa__mailbox mailbox;
    struct fa_task tasks[3] = {{.callback = nothing}, {.callback = nothing}, {.callback = nothing}};
    uint64_t wakes = 0;
    CHECK_INT(fa__mailbox_init(&mailbox), 0);
    for (int i = 0; i < 3; i++)
        fa__mailbox_send(&mailbox, &tasks[i]);
    CHECK_INT(read(mailbox.fd, &wakes, sizeof(wakes)), sizeof(wakes));
    CHECK_INT(wakes, 1);
    struct fa_task *first = fa__mailbox_take(&mailbox);
    CHECK(first == &tasks[0] && first->mail_next == &tasks[1]);
    CHECK(tasks[1].mail_next == &tasks[2] && tasks[2].mail_next == NULL);
    CHECK(fa__mailbox_take(&mailbox) == NULL);
    fa__mailbox_send(&mailbox, &tasks[0]);
    CHECK_INT(read(mailbox.fd, &wakes, sizeof(wakes)), sizeof(wakes));
    CHECK_INT(wakes, 1);
    fa__mailbox_clean_up(&mailbox);
}

static void *stop_it(void *user)
{
    fa_reactor_stop(user);
    return NULL;
}

TEST(stopped_from_another_thread)
{
    struct fa_reactor *r = NULL;
    CHECK_INT(fa_reactor_new(&r, NULL), 0);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, stop_it, r), 0);
    CHECK_INT(fa_reactor_run(r), 0);
    pthread_join(thread, NULL);
    fa_reactor_destroy(r);
}

static struct fa_reactor *signalled;

static void handler(int signum)
{
    (void)signum;
    fa_reactor_stop(signalled);
}

TEST(stopped_from_a_signal_handler)
{
    struct fa_reactor *r = NULL;
    CHECK_INT(fa_reactor_new(&r, NULL), 0);
    signalled = r;
    struct sigaction action = {.sa_handler = handler};
    struct sigaction before;
    CHECK_INT(sigaction(SIGALRM, &action, &before), 0);
    struct itimerval soon = {.it_value.tv_usec = 5000};
    CHECK_INT(setitimer(ITIMER_REAL, &soon, NULL), 0);
    CHECK_INT(fa_reactor_run(r), 0);
    CHECK_INT(sigaction(SIGALRM, &before, NULL), 0);
    fa_reactor_destroy(r);
}

TEST(undelivered_mail_is_forgotten)
{
    struct fa_reactor *r = NULL;
    struct fa_task tasks[2] = {{.callback = nothing}, {.callback = nothing}};
    CHECK_INT(fa_reactor_new(&r, NULL), 0);
    fa_task_mail(r, &tasks[0]);
    fa_task_mail(r, &tasks[1]);
    fa_reactor_destroy(r);
    CHECK(tasks[0].mail_next == NULL && tasks[1].mail_next == NULL);
    CHECK_INT(fa_reactor_new(&r, NULL), 0);
    fa_task_mail(r, &tasks[0]); /* fit for use again */
    CHECK_INT(fa_reactor_wait(r, -1), 1);
    fa_reactor_collect(r);
    CHECK_INT(fa_reactor_dispatch(r, 0), 0);
    fa_reactor_destroy(r);
}

int main(void)
{
    RUN(many_senders_lose_nothing);
    RUN(two_reactors_play_ping_pong);
    RUN(one_wake_up_per_batch);
    RUN(stopped_from_another_thread);
    RUN(stopped_from_a_signal_handler);
    RUN(undelivered_mail_is_forgotten);
    return check_report();
}

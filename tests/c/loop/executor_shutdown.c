/* SPDX-License-Identifier: MIT */
/* How an executor ends, with work in flight or without, and how it gets along where threads are
 * refused, or come from elsewhere. */
#include <errno.h>
#include <sys/wait.h>

#include "deny_syscall.h"
#include "executor_jobs.h"

#define MS ((uint64_t)1000000)

static int shut_down(struct fa_executor_shutdown_options options, struct fa_executor_left *left)
{
    options.size = sizeof(options);
    return fa_executor_shutdown(executor, &options, left);
}

#define SHUT_DOWN(left, ...) shut_down((struct fa_executor_shutdown_options){__VA_ARGS__}, (left))

/* ---- shutdown ---------------------------------------------------------------------------- */

TEST(what_is_queued_still_runs)
{
    struct work works[20];
    struct work late;
    struct fa_executor_left left = {.threads = 9};
    BEGIN(.max_threads = 2, .queue_size = 4, .max_waiting = 100);
    for (int i = 0; i < 20; i++)
        start(&works[i], run_once);
    CHECK_INT(SHUT_DOWN(&left, 0), 0);
    CHECK_INT(left.threads + left.running + left.queued, 0);
    prepare_work(&late, run_once);
    CHECK_INT(submit(&late), FA_ECLOSED);
    CHECK_INT(done_count, 0);
    turn_until(20);
    for (int i = 0; i < 20; i++)
        CHECK_INT(works[i].runs, 1);
    CHECK_INT(stats().completed, 20);
    CHECK_INT(stats().threads, 0);
    end();
}

TEST(or_is_cancelled)
{
    struct work blocker;
    struct work works[6];
    struct fa_executor_left left;
    BEGIN(.max_threads = 1, .queue_size = 4, .max_waiting = 2);
    block_thread(&blocker);
    for (int i = 0; i < 6; i++)
        start(&works[i], run_once);
    CHECK_INT(SHUT_DOWN(&left, .cancel_queued = true, .deadline_ns = 1), FA_ETIMEDOUT);
    CHECK_INT(left.threads, 1);
    CHECK_INT(left.running, 1);
    CHECK_INT(left.queued, 0);
    CHECK(!fa_job_cancel(&works[0].job)); /* its outcome is on the way */
    turn_until(6);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(works[i].done, 1);
        CHECK_INT(works[i].runs, 0);
    }
    sem_post(&blocker.leave);
    CHECK_INT(SHUT_DOWN(&left, 0), 0);
    turn_until(7);
    CHECK_INT(last_error, 0);
    end();
}

TEST(a_deadline_reports_what_is_left)
{
    struct work blocker;
    struct work works[2];
    struct fa_executor_left left;
    BEGIN(.max_threads = 1);
    block_thread(&blocker);
    start(&works[0], run_once);
    start(&works[1], run_once);
    uint64_t before_ns = fa_now_ns();
    CHECK_INT(SHUT_DOWN(&left, .deadline_ns = before_ns + 5 * MS), FA_ETIMEDOUT);
    CHECK(fa_now_ns() >= before_ns + 5 * MS);
    CHECK_INT(left.threads, 1);
    CHECK_INT(left.running, 1);
    CHECK_INT(left.queued, 2);
    sem_post(&blocker.leave);
    CHECK_INT(SHUT_DOWN(&left, .deadline_ns = UINT64_MAX / 2), 0);
    CHECK_INT(left.threads + left.running + left.queued, 0);
    turn_until(3);
    end();
}

TEST(a_running_job_can_be_told)
{
    struct work blocker;
    BEGIN(0);
    block_thread(&blocker);
    CHECK_INT(SHUT_DOWN(NULL, .cancel_running = true, .deadline_ns = 1), FA_ETIMEDOUT);
    sem_post(&blocker.leave);
    CHECK_INT(SHUT_DOWN(NULL, 0), 0);
    turn_until(1);
    CHECK(blocker.told);
    end();
}

static int result_inside;

static void shut_down_inside(struct fa_job *job)
{
    run_once(job);
    result_inside = fa_executor_shutdown(job->executor, NULL, NULL);
}

TEST(not_from_a_thread_of_its_own)
{
    struct work work;
    BEGIN(0);
    start(&work, shut_down_inside);
    turn_until(1);
    CHECK_INT(result_inside, FA_EWRONGTHREAD);
    end();
}

TEST(destroy_does_it_all)
{
    struct work blocker;
    struct work works[2];
    BEGIN(.max_threads = 1);
    block_thread(&blocker);
    start(&works[0], run_once);
    start(&works[1], run_once);
    sem_post(&blocker.leave);
    fa_executor_destroy(executor);
    turn_until(3);
    CHECK_INT(works[0].done, 1);
    CHECK_INT(works[1].done, 1);
    fa_reactor_destroy(reactor);
}

TEST(a_forked_child_frees_it)
{
    struct work work;
    BEGIN(0);
    block_thread(&work);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fa_executor_after_fork(executor);
        fa_reactor_after_fork(reactor);
        fa_reactor_destroy(reactor);
        _exit(fa_alloc_live() == 0 ? 0 : 1);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    sem_post(&work.leave);
    turn_until(1);
    end();
}

/* ---- refused threads ------------------------------------------------------------------------ */

static int deny_threads(void)
{
    int failed = deny_syscall(SYS_clone3, EAGAIN);
    return failed != 0 ? failed : deny_syscall(SYS_clone, EAGAIN);
}

/* In a child: the filter is for life. */
static void without_any_thread(void)
{
    struct work work;
    BEGIN(0);
    prepare_work(&work, run_once);
    CHECK_INT(deny_threads(), 0);
    CHECK_INT(submit(&work), FA_EAGAIN);
    CHECK(work.job.executor == NULL);
    CHECK_INT(stats().start_failures, 1);
    CHECK_INT(stats().threads, 0);
    end();
}

static void with_the_one_there_is(void)
{
    struct work blocker;
    struct work works[5];
    BEGIN(.max_threads = 4);
    block_thread(&blocker);
    CHECK_INT(deny_threads(), 0);
    for (int i = 0; i < 5; i++)
        start(&works[i], run_once);
    CHECK(stats().start_failures >= 1);
    CHECK_INT(stats().threads, 1);
    CHECK_INT(stats().queued, 5);
    sem_post(&blocker.leave);
    turn_until(6);
    end();
}

static void in_a_child(void (*body)(void))
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int failed = setjmp(check_jump);
        if (failed == 0)
            body();
        fflush(stdout);
        _exit(failed);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(no_thread_is_to_be_had)
{
    in_a_child(without_any_thread);
}

TEST(no_second_thread_is_to_be_had)
{
    in_a_child(with_the_one_there_is);
}

/* ---- threads from elsewhere --------------------------------------------------------------------
 */

struct guest {
    pthread_t thread;
    struct fa_executor *executor;
    unsigned index;
};

static struct guest guests[4];
static int spawned;
static int spawn_limit;
static int spawn_error;

static void *be_guest(void *user)
{
    struct guest *guest = user;
    fa_executor_serve(guest->executor, guest->index);
    return NULL;
}

static int spawn(struct fa_executor *where, unsigned index, void *user)
{
    (void)user;
    if (spawned == spawn_limit)
        return spawn_error;
    struct guest *guest = &guests[spawned++];
    guest->executor = where;
    guest->index = index;
    return pthread_create(&guest->thread, NULL, be_guest, guest) == 0 ? 0 : FA_ESYS;
}

TEST(threads_may_come_from_elsewhere)
{
    struct work works[3];
    spawned = 0;
    spawn_limit = 2;
    spawn_error = FA_EUSER;
    BEGIN(.max_threads = 4, .spawn = spawn);
    block_thread(&works[0]);
    block_thread(&works[1]);
    start(&works[2], run_once); /* the third does not come */
    CHECK_INT(stats().threads, 2);
    CHECK_INT(stats().start_failures, 1);
    CHECK_INT(guests[0].index, 0);
    CHECK_INT(guests[1].index, 1);
    sem_post(&works[0].leave);
    sem_post(&works[1].leave);
    turn_until(3);
    CHECK_INT(SHUT_DOWN(NULL, 0), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(guests[i].thread, NULL), 0);
    end();
}

TEST(an_error_of_the_spawner_is_the_answer)
{
    struct work work;
    spawned = 0;
    spawn_limit = 0;
    spawn_error = FA_ENOMEM;
    BEGIN(.spawn = spawn);
    prepare_work(&work, run_once);
    CHECK_INT(submit(&work), FA_ENOMEM);
    spawn_limit = 1; /* it may be asked again at once: there is no other thread */
    CHECK_INT(submit(&work), 0);
    turn_until(1);
    CHECK_INT(SHUT_DOWN(NULL, 0), 0);
    CHECK_INT(pthread_join(guests[0].thread, NULL), 0);
    end();
}

int main(void)
{
    RUN(what_is_queued_still_runs);
    RUN(or_is_cancelled);
    RUN(a_deadline_reports_what_is_left);
    RUN(a_running_job_can_be_told);
    RUN(not_from_a_thread_of_its_own);
    RUN(destroy_does_it_all);
    RUN(a_forked_child_frees_it);
    RUN(no_thread_is_to_be_had);
    RUN(no_second_thread_is_to_be_had);
    RUN(threads_may_come_from_elsewhere);
    RUN(an_error_of_the_spawner_is_the_answer);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* The output queue: order, partial writes, accounting, files, releases, failures. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"

#include "net/outq.h"
#include "net/socket.h"

static struct fa_pool pool;
static struct fa__outq queue;
static int ends[2]; /* 0: the queue writes, 1: the test reads */
static int releases;

static void open_ends(int send_buffer)
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    if (send_buffer > 0)
        CHECK_INT(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)), 0);
    fa_pool_init(&pool, 8);
    fa__outq_init(&queue, &pool);
    releases = 0;
}

static void close_ends(void)
{
    fa__outq_clean_up(&queue);
    CHECK(fa__outq_empty(&queue));
    CHECK_INT(queue.queued, 0);
    CHECK_INT(queue.file_queued, 0);
    fa_pool_clean_up(&pool);
    close(ends[0]);
    close(ends[1]);
}

static void count_release(void *user)
{
    (*(int *)user)++;
}

/* Byte `i` of the stream that the tests send: a pattern that shows gaps and repeats. */
static char pattern(size_t i)
{
    return (char)((i * 7 + i / 251) & 0xff);
}

static char *pattern_block(size_t from, size_t len)
{
    char *block = malloc(len);
    CHECK(block != NULL);
    for (size_t i = 0; i < len; i++)
        block[i] = pattern(from + i);
    return block;
}

/* An unlinked file that holds the pattern from `from`. */
static int pattern_file(size_t from, size_t len)
{
    char name[] = "/tmp/fa-outq-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    unlink(name);
    char *block = pattern_block(from, len);
    CHECK_INT(write(fd, block, len), (ssize_t)len);
    free(block);
    return fd;
}

/* Reads what is there and compares it with the pattern. */
static size_t drain(size_t from)
{
    char bytes[65536];
    size_t total = 0;
    ssize_t count;
    while ((count = recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < count; i++)
            CHECK_INT(bytes[i], pattern(from + total + (size_t)i));
        total += (size_t)count;
    }
    return total;
}

/* Flushes and reads in turn until the queue is empty. Returns the number of flushes. */
static int pump(size_t from, size_t expected)
{
    size_t got = 0;
    for (int flushes = 1; flushes < 100000; flushes++) {
        uint64_t before = queue.queued + queue.file_queued;
        uint64_t sent_before = queue.sent;
        int err = fa__outq_flush(&queue, ends[0]);
        CHECK(err == 0 || err == FA_EAGAIN);
        CHECK((err == 0) == fa__outq_empty(&queue));
        CHECK_INT(before - (queue.queued + queue.file_queued), queue.sent - sent_before);
        got += drain(from + got);
        if (err == 0) {
            CHECK_INT(got, expected);
            return flushes;
        }
    }
    check_fail(__FILE__, __LINE__, "the queue never ran empty");
    return 0;
}

TEST(copies_are_coalesced)
{
    open_ends(0);
    char *block = pattern_block(0, 5000);
    for (size_t i = 0; i < 5000; i += 10)
        CHECK_INT(fa__outq_write(&queue, fa_span(block + i, 10)), 0);
    CHECK_INT(queue.queued, 5000);
    CHECK_INT(fa__outq_write(&queue, fa_span(NULL, 0)), 0);
    CHECK_INT(pump(0, 5000), 1);
    CHECK_INT(queue.sent, 5000);
    free(block);
    close_ends();
}

TEST(reserve_and_commit)
{
    open_ends(0);
    char *block = pattern_block(0, 4000);
    size_t done = 0;
    for (size_t step = 1; done + step <= 4000; step = step * 2 + 1) {
        char *into = fa__outq_reserve(&queue, step + 100);
        CHECK(into != NULL);
        memcpy(into, block + done, step);
        fa__outq_commit(&queue, step);
        done += step;
        CHECK_INT(queue.queued, done);
    }
    CHECK(fa__outq_reserve(&queue, 60000) != NULL);
    fa__outq_commit(&queue, 0);
    CHECK_INT(queue.queued, done);
    pump(0, done);
    CHECK(fa__outq_reserve(&queue, 10) != NULL);
    fa__outq_commit(&queue, 0);
    CHECK(fa__outq_empty(&queue));
    CHECK(fa__outq_reserve(&queue, 10) != NULL); /* abandoned */
    free(block);
    close_ends();
}

TEST(borrowed_spans_are_released_once_when_sent)
{
    open_ends(0);
    char *block = pattern_block(0, 3 * 4096);
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(
            fa__outq_borrow(&queue, fa_span(block + i * 4096, 4096), count_release, &releases), 0);
    CHECK_INT(releases, 0);
    CHECK_INT(pump(0, 3 * 4096), 1);
    CHECK_INT(releases, 3);
    free(block);
    close_ends();
    CHECK_INT(releases, 3);
}

TEST(short_borrowed_spans_are_copied_and_released_at_once)
{
    open_ends(0);
    char *block = pattern_block(0, 100);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(block, 100), count_release, &releases), 0);
    CHECK_INT(releases, 1);
    memset(block, 0, 100);
    free(block);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(NULL, 0), NULL, NULL), 0);
    pump(0, 100);
    close_ends();
    CHECK_INT(releases, 1);
}

TEST(clean_up_releases_what_was_not_sent)
{
    open_ends(4096);
    char *block = pattern_block(0, 1000000);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(block, 500000), count_release, &releases), 0);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(block + 500000, 500000), count_release, &releases),
              0);
    int file = pattern_file(0, 10);
    CHECK_INT(fa__outq_file(&queue, file, 0, 10), 0);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), FA_EAGAIN);
    CHECK_INT(releases, 0);
    close_ends();
    CHECK_INT(releases, 2);
    CHECK(fcntl(file, F_GETFD) < 0 && errno == EBADF);
    free(block);
}

TEST(everything_in_order_through_a_tiny_buffer)
{
    open_ends(1);
    size_t at = 0;
    char *block = pattern_block(0, 300000);
    const size_t copied[] = {1, 1023, 5000, 17, 70000, 3};
    for (size_t i = 0; i < FA_ARRAY_LEN(copied); i++) {
        CHECK_INT(fa__outq_write(&queue, fa_span(block + at, copied[i])), 0);
        at += copied[i];
        CHECK_INT(fa__outq_borrow(&queue, fa_span(block + at, 3000), count_release, &releases), 0);
        at += 3000;
        CHECK_INT(fa__outq_file(&queue, pattern_file(at - 7, 4007), 7, 4000), 0);
        at += 4000;
    }
    CHECK_INT(queue.queued + queue.file_queued, at);
    CHECK(pump(0, at) > 10);
    CHECK_INT(releases, (int)FA_ARRAY_LEN(copied));
    free(block);
    close_ends();
}

TEST(more_pieces_than_one_call_takes)
{
    open_ends(0);
    size_t piece = FA__OUTQ_COPY_BYTES;
    char *block = pattern_block(0, 300 * piece);
    for (size_t i = 0; i < 300; i++)
        CHECK_INT(
            fa__outq_borrow(&queue, fa_span(block + i * piece, piece), count_release, &releases),
            0);
    pump(0, 300 * piece);
    CHECK_INT(releases, 300);
    free(block);
    close_ends();
}

TEST(a_large_file_arrives_whole_and_shares_the_loop)
{
    open_ends(0);
    size_t len = 3000000;
    int file = pattern_file(0, len);
    CHECK_INT(fa__outq_file(&queue, file, 0, (int64_t)len), 0);
    CHECK_INT(queue.file_queued, len);
    CHECK_INT(queue.queued, 0);
    CHECK(pump(0, len) > 2);
    CHECK(fcntl(file, F_GETFD) < 0);
    close_ends();
}

TEST(a_file_that_shrinks_is_reported)
{
    open_ends(0);
    int file = pattern_file(0, 100000);
    int other = dup(file);
    CHECK_INT(fa__outq_file(&queue, file, 0, 100000), 0);
    CHECK_INT(ftruncate(other, 50000), 0);
    size_t got = 0;
    int err;
    while ((err = fa__outq_flush(&queue, ends[0])) == FA_EAGAIN)
        got += drain(got);
    got += drain(got);
    CHECK_INT(err, FA_ETRUNCATED);
    CHECK_INT(got, 50000);
    CHECK_INT(queue.file_queued, 50000);
    close(other);
    close_ends();
}

TEST(a_file_that_sendfile_refuses_is_read)
{
    open_ends(0);
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_INT(fa__outq_file(&queue, file, 0, 20), 0);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), 0);
    char bytes[64] = "";
    CHECK_INT(recv(ends[1], bytes, sizeof(bytes), 0), 20);
    CHECK(memcmp(bytes, "Name:", 5) == 0);
    int pipe_fds[2];
    CHECK_INT(pipe(pipe_fds), 0);
    CHECK_INT(fa__outq_file(&queue, pipe_fds[0], 0, 20), 0);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), FA_ESYS);
    close(pipe_fds[1]);
    close_ends();
}

TEST(file_arguments_are_checked)
{
    open_ends(0);
    int file = pattern_file(0, 10);
    CHECK_INT(fa__outq_file(&queue, -1, 0, 1), FA_EINVAL);
    CHECK_INT(fa__outq_file(&queue, file, -1, 1), FA_EINVAL);
    CHECK_INT(fa__outq_file(&queue, file, 0, -1), FA_EINVAL);
    CHECK_INT(fa__outq_file(&queue, file, INT64_MAX, 1), FA_EINVAL);
    CHECK(fcntl(file, F_GETFD) >= 0);
    CHECK_INT(fa__outq_file(&queue, file, 5, 0), 0);
    CHECK(fcntl(file, F_GETFD) < 0);
    CHECK(fa__outq_empty(&queue));
    close_ends();
}

/* In a child where SIGPIPE kills: a process's disposition is not ours to change. */
static int write_to_the_dead(void)
{
    signal(SIGPIPE, SIG_DFL);
    open_ends(0);
    close(ends[1]);
    if (fa__socket_send(ends[0], FA_SPAN("x")) != FA_EPIPE)
        return 1;
    if (fa__outq_write(&queue, FA_SPAN("x")) < 0 || fa__outq_flush(&queue, ends[0]) != FA_EPIPE)
        return 2;
    fa__outq_clean_up(&queue);
    if (fa__outq_file(&queue, pattern_file(0, 10), 0, 10) < 0 ||
        fa__outq_flush(&queue, ends[0]) != FA_EPIPE)
        return 3;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (sigismember(&mask, SIGPIPE))
        return 4;
    /* One that was pending before is still there afterwards. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    raise(SIGPIPE);
    if (fa__outq_flush(&queue, ends[0]) != FA_EPIPE)
        return 5;
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) ? 0 : 6;
}

TEST(a_dead_peer_is_an_error_and_no_signal)
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(write_to_the_dead());
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

/* Releases that use the queue they are called from. */
static void append_again(void *user)
{
    releases++;
    CHECK_INT(fa__outq_write(user, FA_SPAN("again")), 0);
}

static void clean_up_queue(void *user)
{
    releases++;
    fa__outq_clean_up(user);
}

TEST(a_release_may_use_the_queue)
{
    open_ends(0);
    static const char zeros[4096];
    CHECK_INT(fa__outq_borrow(&queue, fa_span(zeros, 4096), append_again, &queue), 0);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), 0);
    CHECK_INT(queue.queued, 5);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), 0);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(zeros, 4096), clean_up_queue, &queue), 0);
    CHECK_INT(fa__outq_borrow(&queue, fa_span(zeros, 4096), clean_up_queue, &queue), 0);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), 0);
    CHECK_INT(releases, 3);
    close_ends();
}

static void append_each_kind(void)
{
    static const char zeros[8192];
    int released = 0;
    int accepted = 0;
    open_ends(0);
    int file = pattern_file(0, 10);
    uint64_t queued = 0;
    if (fa__outq_write(&queue, fa_span(zeros, 3000)) == 0)
        queued += 3000;
    CHECK_INT(queue.queued, queued);
    if (fa__outq_borrow(&queue, fa_span(zeros, 8192), count_release, &released) == 0) {
        accepted++;
        queued += 8192;
    }
    CHECK_INT(released, 0);
    if (fa__outq_borrow(&queue, fa_span(zeros, 10), count_release, &released) == 0) {
        accepted++;
        queued += 10;
    }
    if (fa__outq_reserve(&queue, 5000) != NULL) {
        fa__outq_commit(&queue, 50);
        queued += 50;
    }
    CHECK_INT(queue.queued, queued);
    if (fa__outq_file(&queue, file, 0, 10) < 0)
        close(file);
    CHECK_INT(fa__outq_flush(&queue, ends[0]), 0);
    close_ends();
    CHECK_INT(released, accepted);
}

TEST(appends_survive_allocation_failure)
{
    check_alloc_failures(append_each_kind);
}

TEST(an_idle_queue_holds_no_memory)
{
    open_ends(0);
    int64_t live = fa_alloc_live();
    char *block = pattern_block(0, 200000);
    CHECK_INT(fa__outq_write(&queue, fa_span(block, 200000)), 0); /* past the pool's classes */
    pump(0, 200000);
    CHECK_INT(fa_alloc_live(), live);
    free(block);
    close_ends();
}

int main(void)
{
    RUN(copies_are_coalesced);
    RUN(reserve_and_commit);
    RUN(borrowed_spans_are_released_once_when_sent);
    RUN(short_borrowed_spans_are_copied_and_released_at_once);
    RUN(clean_up_releases_what_was_not_sent);
    RUN(everything_in_order_through_a_tiny_buffer);
    RUN(more_pieces_than_one_call_takes);
    RUN(a_large_file_arrives_whole_and_shares_the_loop);
    RUN(a_file_that_shrinks_is_reported);
    RUN(a_file_that_sendfile_refuses_is_read);
    RUN(file_arguments_are_checked);
    RUN(a_dead_peer_is_an_error_and_no_signal);
    RUN(a_release_may_use_the_queue);
    RUN(appends_survive_allocation_failure);
    RUN(an_idle_queue_holds_no_memory);
    return check_report();
}

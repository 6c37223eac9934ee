/* SPDX-License-Identifier: MIT */
/* Accepting: both ends of a connection, batches, pause, closing inside a callback, running
 * out of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fasterapi/log.h>

#include "deny_syscall.h"
#include "net/listener_fixture.h"

TEST(tcp_accepts_and_knows_both_ends)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    uint16_t port = fa__listeners_port(&group);
    CHECK(port > 0);
    int client = connect_tcp(port);
    CHECK_INT(turn(-1), 1);
    CHECK_INT(accepted, 1);
    struct fa__addr expected;
    CHECK_INT(fa__socket_local(client, &expected), 0);
    CHECK_SPAN(fa__addr_span(&last_client), "127.0.0.1");
    CHECK_INT(last_client.port, expected.port);
    CHECK_SPAN(fa__addr_span(fa__listener_addr(last_listener)), "127.0.0.1");
    CHECK_INT(fa__listener_addr(last_listener)->port, port);
    CHECK(!fa__listener_is_wildcard(last_listener));
    CHECK_INT(fa__socket_remote(client, &expected), 0);
    CHECK_INT(expected.port, port);
    int no_delay = 0;
    socklen_t len = sizeof(no_delay);
    CHECK_INT(getsockopt(last_fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    CHECK(no_delay != 0);
    CHECK((fcntl(last_fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(last_fd, F_GETFD) & FD_CLOEXEC) != 0);
    close(client);
    tear_down();
}

/* ---- batches, pause, closing -------------------------------------------------------- */

TEST(a_burst_takes_several_turns)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int clients[50];
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        clients[i] = connect_tcp(fa__listeners_port(&group));
    int turns = 0;
    while (accepted < 50) {
        turn(-1);
        turns++;
    }
    CHECK(turns > 1 && turns < 50);
    CHECK_INT(turn(0), 0);
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        close(clients[i]);
    tear_down();
}

static void pause_group(void)
{
    fa__listeners_pause(&group);
}

TEST(pause_in_the_middle_of_a_batch_and_resume)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int clients[3];
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        clients[i] = connect_tcp(fa__listeners_port(&group));
    in_accept = pause_group;
    turn(-1);
    CHECK_INT(accepted, 1);
    CHECK_INT(turn(0), 0);
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0); /* starts paused */
    in_accept = NULL;
    fa__listeners_resume(&group);
    turn(-1);
    CHECK_INT(accepted, 3);
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        close(clients[i]);
    tear_down();
}

static void close_group(void)
{
    fa__listeners_close(&group);
}

TEST(close_in_the_middle_of_a_batch)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int clients[3];
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        clients[i] = connect_tcp(fa__listeners_port(&group));
    in_accept = close_group;
    turn(-1);
    CHECK_INT(accepted, 1);
    CHECK_INT(fa__listeners_count(&group), 0);
    CHECK_INT(turn(0), 0);
    /* The group is still good for a new listener. */
    in_accept = NULL;
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int late = connect_tcp(fa__listeners_port(&group));
    turn(-1);
    CHECK_INT(accepted, 2);
    close(late);
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        close(clients[i]);
    tear_down();
}

/* ---- running out of descriptors (in a child with a low limit) ----------------------- */

static void drop_log(enum fa_log_level level, const char *text, void *user)
{
    (void)level;
    (void)text;
    (*(int *)user)++;
}

static void keep_fd(void)
{
    last_fd = -1; /* the connection stays open */
}

/* Lowers the limit so that exactly `spare` descriptors can still be opened. */
static void leave_descriptors(int spare)
{
    int lowest = dup(0);
    CHECK(lowest >= 0);
    close(lowest);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)lowest + (rlim_t)spare;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(child_refuses_and_recovers)
{
    set_up();
    int logged = 0;
    fa_log_set_sink(drop_log, &logged);
    in_accept = keep_fd;
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int clients[5];
    for (size_t i = 0; i < FA_ARRAY_LEN(clients); i++)
        clients[i] = connect_tcp(fa__listeners_port(&group));
    leave_descriptors(2);
    for (int i = 0; i < 10; i++)
        turn(0);
    CHECK_INT(accepted, 2);
    CHECK_INT(refused, 3);
    CHECK_INT(logged, 1); /* and not three times */
    char answer[8];
    for (size_t i = 2; i < 5; i++) {
        CHECK_INT(recv(clients[i], answer, sizeof(answer), 0), 4);
        close(clients[i]);
    }
    CHECK(group.reserve_fd >= 0);
    /* Three descriptors are free again: one serves the client, one the connection. */
    clients[2] = connect_tcp(fa__listeners_port(&group));
    turn(-1);
    CHECK_INT(accepted, 3);
    CHECK_INT(refused, 3);
}

TEST(child_backs_off_without_a_reserve)
{
    set_up();
    int logged = 0;
    fa_log_set_sink(drop_log, &logged);
    in_accept = keep_fd;
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int client = connect_tcp(fa__listeners_port(&group));
    /* As when another thread has snatched the reserve. */
    close(group.reserve_fd);
    group.reserve_fd = -1;
    int spare = dup(0);
    leave_descriptors(0);
    turn(-1);
    CHECK_INT(accepted + refused, 0);
    int turns = 0;
    uint64_t start_ns = fa_now_ns();
    while (fa_now_ns() - start_ns < 250 * MS) {
        turn((int64_t)(20 * MS));
        turns++;
    }
    CHECK(turns < 40); /* it sleeps */
    close(spare);
    start_ns = fa_now_ns();
    while (accepted + refused == 0 && fa_now_ns() - start_ns < 2000 * MS)
        turn((int64_t)(200 * MS));
    CHECK_INT(accepted + refused, 1);
    close(client);
}

/* accept fails in the same way for ever, and leaves the connection in the queue. */
static void accept_fails_with(int sys_errno)
{
    set_up();
    int logged = 0;
    fa_log_set_sink(drop_log, &logged);
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int client = connect_tcp(fa__listeners_port(&group));
    CHECK_INT(deny_syscall(SYS_accept4, sys_errno), 0);
    int turns = 0;
    uint64_t start_ns = fa_now_ns();
    while (fa_now_ns() - start_ns < 250 * MS || turns < 3) {
        turn((int64_t)(20 * MS));
        turns++;
    }
    CHECK(turns < 40); /* it sleeps */
    CHECK_INT(logged, 1);
    CHECK_INT(accepted + refused, 0);
    close(client);
}

TEST(child_no_buffers)
{
    accept_fails_with(ENOBUFS);
}

TEST(child_forbidden)
{
    accept_fails_with(EPERM);
}

TEST(child_unknown_error)
{
    accept_fails_with(EOPNOTSUPP);
}

TEST(child_nobody_there)
{
    set_up();
    int logged = 0;
    fa_log_set_sink(drop_log, &logged);
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    int client = connect_tcp(fa__listeners_port(&group));
    CHECK_INT(deny_syscall(SYS_accept4, EAGAIN), 0); /* another process was quicker */
    turn(-1);
    CHECK_INT(logged + accepted + refused, 0);
    CHECK(!group.backing_off);
    close(client);
}

/* Runs one of those above in a child, whose limits are its own. */
static void in_child(const char *name, void (*test)(void))
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(30);
        check_failed = 0;
        if (setjmp(check_jump) == 0)
            test();
        else
            check_failed = 1;
        fflush(stdout);
        _exit(check_failed);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    if (status != 0)
        check_fail(name, 0, "failed in the child");
}

TEST(out_of_descriptors_is_answered_and_recovered_from)
{
    in_child("child_refuses_and_recovers", test_child_refuses_and_recovers);
}

TEST(errors_that_stay_do_not_make_it_spin)
{
    in_child("child_no_buffers", test_child_no_buffers);
    in_child("child_forbidden", test_child_forbidden);
    in_child("child_unknown_error", test_child_unknown_error);
    in_child("child_nobody_there", test_child_nobody_there);
}

TEST(without_a_reserve_it_backs_off_and_does_not_spin)
{
    in_child("child_backs_off_without_a_reserve", test_child_backs_off_without_a_reserve);
}

int main(void)
{
    RUN(tcp_accepts_and_knows_both_ends);
    RUN(a_burst_takes_several_turns);
    RUN(pause_in_the_middle_of_a_batch_and_resume);
    RUN(close_in_the_middle_of_a_batch);
    RUN(out_of_descriptors_is_answered_and_recovered_from);
    RUN(errors_that_stay_do_not_make_it_spin);
    RUN(without_a_reserve_it_backs_off_and_does_not_spin);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* The epoll back end by itself: time-outs with both system calls, generations, wake-ups. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "check.h"
#include "deny_syscall.h"

#include "loop/poller.h"

#define MS ((int64_t)1000000)

static struct fa__poller poller;

static void waits_at_least(int64_t timeout_ns)
{
    uint64_t start_ns = fa_now_ns();
    CHECK_INT(fa__poller_wait(&poller, timeout_ns), 0);
    CHECK(fa_now_ns() - start_ns >= (uint64_t)timeout_ns);
}

TEST(never_awake_early)
{
    const int64_t timeouts_ns[] = {0, 1, 999999, MS, MS + 1, 5 * MS - 1};
    CHECK_INT(fa__poller_init(&poller, 4), 0);
    for (int coarse = 0; coarse < 2; coarse++) {
        poller.coarse = coarse != 0;
        for (size_t i = 0; i < FA_ARRAY_LEN(timeouts_ns); i++)
            waits_at_least(timeouts_ns[i]);
    }
    fa__poller_clean_up(&poller);
}

TEST(fine_time_outs_are_finer_than_a_millisecond)
{
    CHECK_INT(fa__poller_init(&poller, 4), 0);
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < 50; i++) {
        uint64_t start_ns = fa_now_ns();
        CHECK_INT(fa__poller_wait(&poller, 50000), 0);
        uint64_t took_ns = fa_now_ns() - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    CHECK(poller.coarse || best_ns < (uint64_t)MS);
    fa__poller_clean_up(&poller);
}

/* In a child: the filter is for life. */
static int wait_without_pwait2(int sys_errno)
{
    if (fa__poller_init(&poller, 4) < 0 || deny_syscall(SYS_epoll_pwait2, sys_errno) < 0)
        return 1;
    for (int i = 0; i < 3; i++) {
        uint64_t start_ns = fa_now_ns();
        if (fa__poller_wait(&poller, MS + 1) != 0 || fa_now_ns() - start_ns <= (uint64_t)MS)
            return 2;
    }
    return poller.coarse ? 0 : 3;
}

TEST(a_kernel_without_epoll_pwait2)
{
    const int refusals[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < FA_ARRAY_LEN(refusals); i++) {
        fflush(stdout);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(wait_without_pwait2(refusals[i]));
        int status = 0;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
}

TEST(events_carry_the_generation_they_were_registered_with)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(fa__poller_init(&poller, 4), 0);
    CHECK_INT(fa__poller_add(&poller, fd, 0xfedcba98u, FA_IO_READ), 0);
    CHECK_INT(fa__poller_add(&poller, fd, 1, FA_IO_READ), FA_EEXIST);
    CHECK_INT(fa__poller_wait(&poller, -1), 1);
    struct fa__event event = fa__poller_event(&poller, 0);
    CHECK_INT(event.fd, fd);
    CHECK_INT(event.generation, 0xfedcba98u);
    CHECK_INT(event.events, FA_IO_READ);
    CHECK_INT(fa__poller_modify(&poller, fd, 7, FA_IO_READ | FA_IO_WRITE), 0);
    CHECK_INT(fa__poller_wait(&poller, -1), 1);
    event = fa__poller_event(&poller, 0);
    CHECK_INT(event.generation, 7);
    CHECK_INT(event.events, FA_IO_READ | FA_IO_WRITE);
    errno = 77;
    fa__poller_remove(&poller, fd);
    fa__poller_remove(&poller, fd);
    CHECK_INT(errno, 77);
    CHECK_INT(fa__poller_wait(&poller, 0), 0);
    close(fd);
    fa__poller_clean_up(&poller);
}

TEST(a_wake_up_is_reported_once_per_write)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(fa__poller_init(&poller, 4), 0);
    CHECK_INT(fa__poller_add_wakeup(&poller, fd), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t one = 1;
        CHECK_INT(write(fd, &one, sizeof(one)), sizeof(one));
        CHECK_INT(fa__poller_wait(&poller, -1), 1);
        CHECK_INT(fa__poller_event(&poller, 0).fd, FA__POLLER_WAKEUP_FD);
        CHECK_INT(fa__poller_wait(&poller, 0), 0);
    }
    close(fd);
    fa__poller_clean_up(&poller);
}

TEST(closed_it_fails_and_harms_nothing)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_INT(fa__poller_init(&poller, 4), 0);
    CHECK((fcntl(poller.fd, F_GETFD) & FD_CLOEXEC) != 0);
    fa__poller_close(&poller);
    CHECK_INT(fa__poller_add(&poller, fd, 1, FA_IO_READ), FA_EINVAL);
    CHECK_INT(fa__poller_wait(&poller, 0), FA_ESYS);
    fa__poller_remove(&poller, fd);
    fa__poller_close(&poller);
    fa__poller_clean_up(&poller);
    close(fd);
}

int main(void)
{
    RUN(never_awake_early);
    RUN(fine_time_outs_are_finer_than_a_millisecond);
    RUN(a_kernel_without_epoll_pwait2);
    RUN(events_carry_the_generation_they_were_registered_with);
    RUN(a_wake_up_is_reported_once_per_write);
    RUN(closed_it_fails_and_harms_nothing);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* limit_epoll.c - the least a server on this machine can do: one thread, one epoll, a
 * read, a scan for the end of each request head, a write of a constant answer. What it
 * costs per request is the floor every other contender is compared with.
 *
 * Standalone on purpose: it must not get faster or slower with the library. It answers
 * each head, whatever it says, and knows no bodies; the harness sends it plain GETs.
 *
 *   usage: limit_epoll PORT        (127.0.0.1; 0 lets the system choose, printed)
 *
 * A connection is its descriptor's slot in `conns`: how far the four bytes CR LF CR LF
 * have been matched, and the answers that could not be written yet. While some are
 * left the connection waits for room and is not read, so nothing grows. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER                                                                                     \
    "HTTP/1.1 200 OK\r\n"                                                                          \
    "content-type: application/json\r\n"                                                           \
    "content-length: 27\r\n"                                                                       \
    "\r\n"                                                                                         \
    "{\"message\":\"Hello, World!\"}"

enum {
    ANSWER_LEN = sizeof(ANSWER) - 1,
    READ_BYTES = 64 * 1024,
    BATCH = 256,            /* answers that one write may carry */
    MAX_FD = 64 * 1024,     /* a descriptor above is refused */
    EVENTS_PER_TURN = 1024, /* more than the largest scenario has busy at once */
};

struct conn {
    uint8_t matched;  /* bytes of the final CR LF CR LF seen so far, 0..3 */
    bool waiting;     /* registered for EPOLLOUT instead of EPOLLIN */
    uint32_t pending; /* answers still to be written */
    uint32_t written; /* bytes of the first of them already sent, < ANSWER_LEN */
};

static struct conn conns[MAX_FD];
static char answers[BATCH * ANSWER_LEN];
static char input[READ_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "limit_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Number of heads that end in `data`; `*matched` carries a split end over to the next
 * call. */
static uint32_t count_heads(const char *data, size_t len, uint8_t *matched)
{
    static const char end[] = "\r\n\r\n";
    uint32_t heads = 0;
    uint8_t m = *matched;
    const char *p = data, *stop = data + len;

    while (p < stop) {
        if (m == 0) { /* CR is rare in a head: let memchr find it */
            p = memchr(p, '\r', (size_t)(stop - p));
            if (p == NULL)
                break;
        }
        if (*p == end[m])
            m++;
        else
            m = *p == '\r';
        if (m == 4) {
            heads++;
            m = 0;
        }
        p++;
    }
    *matched = m;
    return heads;
}

static void watch(int epfd, int fd, bool for_room)
{
    struct epoll_event ev = {.events = for_room ? EPOLLOUT : EPOLLIN, .data.fd = fd};

    if (conns[fd].waiting == for_room)
        return;
    conns[fd].waiting = for_room;
    if (epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) < 0)
        die("epoll_ctl");
}

/* Writes what is pending as far as the socket takes it. Returns false when the
 * connection is broken. */
static bool flush_answers(int epfd, int fd)
{
    struct conn *c = &conns[fd];

    while (c->pending > 0) {
        size_t whole = c->pending < BATCH ? c->pending : BATCH;
        ssize_t n = send(fd, answers + c->written, whole * ANSWER_LEN - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        size_t done = c->written + (size_t)n;
        c->pending -= (uint32_t)(done / ANSWER_LEN);
        c->written = (uint32_t)(done % ANSWER_LEN);
    }
    watch(epfd, fd, c->pending > 0);
    return true;
}

static bool on_readable(int epfd, int fd)
{
    ssize_t n = recv(fd, input, sizeof(input), 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    conns[fd].pending += count_heads(input, (size_t)n, &conns[fd].matched);
    return flush_answers(epfd, fd);
}

static void on_acceptable(int epfd, int listener)
{
    for (;;) {
        int one = 1;
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* nothing left, or out of descriptors: epoll asks again */
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        memset(&conns[fd], 0, sizeof(conns[fd]));
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
            close(fd);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(addr);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        die("bind");
    if (listen(fd, 4096) < 0)
        die("listen");
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("getsockname");
    printf("listening on 127.0.0.1:%u\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void serve(int epfd, int listener)
{
    static struct epoll_event events[EVENTS_PER_TURN];

    for (;;) {
        int n = epoll_wait(epfd, events, EVENTS_PER_TURN, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            bool alive = true;
            if (fd == listener)
                on_acceptable(epfd, listener);
            else if (events[i].events & EPOLLOUT)
                alive = flush_answers(epfd, fd);
            else
                alive = on_readable(epfd, fd);
            if (!alive)
                close(fd); /* the only reference, so epoll forgets it as well */
        }
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : 0;

    if (argc != 2 || end == argv[1] || *end != '\0' || port > UINT16_MAX) {
        fprintf(stderr, "usage: limit_epoll PORT\n");
        return 2;
    }
    for (size_t i = 0; i < BATCH; i++)
        memcpy(answers + i * ANSWER_LEN, ANSWER, ANSWER_LEN);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        die("epoll_create1");
    int listener = listen_on((uint16_t)port);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) < 0)
        die("epoll_ctl");
    serve(epfd, listener);
    return 0;
}

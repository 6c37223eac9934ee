/* SPDX-License-Identifier: MIT */
/* limit_sendfile.c - the least a server on this machine can do to hand out a large file:
 * blocking, one client after the other, a constant head and sendfile() until the end.
 * The floor for `http.response.pathsend`.
 *
 * Standalone on purpose, like limit_epoll.c. Every request head gets the file; there are
 * no bodies, no pipelining.
 *
 *   usage: limit_sendfile PORT FILE     (127.0.0.1; 0 lets the system choose, printed) */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "limit_sendfile: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Reads one request head. False at the end of the connection, or when no head fits. */
static bool read_head(int client)
{
    char head[16 * 1024];
    size_t len = 0;

    while (len < sizeof(head)) {
        ssize_t n = recv(client, head + len, sizeof(head) - len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        len += (size_t)n;
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool send_file(int client, int file, off_t size)
{
    char head[160];
    off_t offset = 0;
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
                     "content-length: %lld\r\n\r\n",
                     (long long)size);

    if (send(client, head, (size_t)n, MSG_MORE | MSG_NOSIGNAL) != n)
        return false;
    while (offset < size) {
        ssize_t sent = sendfile(client, file, &offset, (size_t)(size - offset));
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
    }
    return true;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(addr);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        die("bind");
    if (listen(fd, 128) < 0)
        die("listen");
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        die("getsockname");
    printf("listening on 127.0.0.1:%u\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void serve(int listener, int file, off_t size)
{
    for (;;) {
        int one = 1;
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (client < 0)
            die("accept");
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        while (read_head(client) && send_file(client, file, size))
            continue;
        close(client);
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long port = argc == 3 ? strtoul(argv[1], &end, 10) : 0;
    struct stat st;

    if (argc != 3 || end == argv[1] || *end != '\0' || port > UINT16_MAX) {
        fprintf(stderr, "usage: limit_sendfile PORT FILE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int file = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        die(argv[2]);
    if (fstat(file, &st) < 0)
        die("fstat");
    serve(listen_on((uint16_t)port), file, st.st_size);
    return 0;
}

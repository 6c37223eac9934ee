/* SPDX-License-Identifier: MIT */
/* listener_open.c - making listening sockets: TCP by name or literal, Unix paths, inherited
 * descriptors (see listener.h). On the reactor's thread; only name resolution blocks.
 *
 * Each function builds its sockets apart and puts them into the group at the end, so that a
 * failure leaves the group as it was. */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fasterapi/alloc.h>

#include "net/listener_int.h"

/* The kernel cuts it down to net.core.somaxconn. */
#define BACKLOG 4096
#define PORT_ATTEMPTS 16 /* to find a port that is free on every address */

/* ---- common ------------------------------------------------------------------------- */

static void describe(struct fa__listener *listener)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (getsockname(listener->fd, (struct sockaddr *)&storage, &len) < 0)
        len = 0;
    fa__addr_set(&listener->addr, (struct sockaddr *)&storage, len);
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
        listener->wildcard = in->sin_addr.s_addr == htonl(INADDR_ANY);
    } else if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;
        listener->wildcard = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    }
}

struct fa__listener *fa__listener_new(int fd)
{
    struct fa__listener *listener = fa_calloc(1, sizeof(*listener));
    if (listener == NULL)
        return NULL;
    fa_list_init(&listener->link);
    listener->fd = fd;
    describe(listener);
    return listener;
}

static void destroy_all(struct fa_list *list)
{
    while (!fa_list_empty(list))
        fa__listener_destroy(FA_CONTAINER_OF(list->next, struct fa__listener, link));
}

/* All of them or none. */
static int attach_all(struct fa__listeners *group, struct fa_list *list)
{
    struct fa_list attached;
    fa_list_init(&attached);
    int err = 0;
    struct fa_list *link;
    while (err == 0 && (link = fa_list_pop_front(list)) != NULL) {
        struct fa__listener *listener = FA_CONTAINER_OF(link, struct fa__listener, link);
        err = fa__listeners_attach(group, listener);
        fa_list_unlink(&listener->link);
        fa_list_push_back(&attached, &listener->link);
    }
    if (err == 0)
        fa_list_splice_back(&group->open, &attached);
    destroy_all(&attached); /* empty by now unless something failed */
    destroy_all(list);
    return err;
}

/* ---- TCP ---------------------------------------------------------------------------- */

static int set_option(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on));
}

static int set_tcp_options(int fd, int family, unsigned flags)
{
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) < 0)
        return -1;
    if ((flags & FA__LISTEN_REUSEPORT) && set_option(fd, SOL_SOCKET, SO_REUSEPORT) < 0)
        return -1;
    if (family == AF_INET6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
        return -1;
    /* Accepted sockets inherit it: no call per connection. */
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

static int from_open_errno(int sys_errno)
{
    /* A machine without the family has none of its addresses. */
    if (sys_errno == EAFNOSUPPORT || sys_errno == EPROTONOSUPPORT)
        return FA_EADDRNOTAVAIL;
    return fa_error_from_errno(sys_errno);
}

static int open_tcp(const struct sockaddr *sa, socklen_t len, unsigned flags,
                    struct fa__listener **out)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return from_open_errno(errno);
    if (set_tcp_options(fd, sa->sa_family, flags) < 0 || bind(fd, sa, len) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int err = from_open_errno(errno);
        fa__socket_close(fd);
        return err;
    }
    *out = fa__listener_new(fd);
    if (*out == NULL) {
        fa__socket_close(fd);
        return FA_ENOMEM;
    }
    return 0;
}

static void set_port(struct sockaddr_storage *storage, uint16_t port)
{
    if (storage->ss_family == AF_INET)
        ((struct sockaddr_in *)storage)->sin_port = htons(port);
    else if (storage->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)storage)->sin6_port = htons(port);
}

/* Resolvers repeat addresses (a name that stands twice in /etc/hosts). */
static bool seen_before(const struct addrinfo *first, const struct addrinfo *info)
{
    for (; first != info; first = first->ai_next) {
        if (first->ai_addrlen == info->ai_addrlen &&
            memcmp(first->ai_addr, info->ai_addr, info->ai_addrlen) == 0)
            return true;
    }
    return false;
}

/* Opens every address. Port 0 becomes the port of the first. */
static int open_addresses(const struct addrinfo *first, uint16_t port, unsigned flags,
                          struct fa_list *list)
{
    int missing = FA_ERESOLVE; /* what to say when no address can be had */
    for (const struct addrinfo *info = first; info != NULL; info = info->ai_next) {
        if (info->ai_addrlen > sizeof(struct sockaddr_storage) || seen_before(first, info))
            continue;
        struct sockaddr_storage storage = {0};
        memcpy(&storage, info->ai_addr, info->ai_addrlen);
        set_port(&storage, port);
        struct fa__listener *listener = NULL;
        int err = open_tcp((struct sockaddr *)&storage, info->ai_addrlen, flags, &listener);
        if (err == FA_EADDRNOTAVAIL) {
            missing = err;
            continue;
        }
        if (listener == NULL) {
            destroy_all(list);
            return err;
        }
        fa_list_push_back(list, &listener->link);
        if (listener->addr.port > 0)
            port = (uint16_t)listener->addr.port;
    }
    return fa_list_empty(list) ? missing : 0;
}

static int resolve(const char *host, struct addrinfo **out)
{
    struct addrinfo hints = {
        .ai_family = host == NULL ? AF_INET : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    int failure = getaddrinfo(host, "0", &hints, out);
    if (failure == 0)
        return 0;
    if (failure == EAI_MEMORY)
        return FA_ENOMEM;
    if (failure == EAI_SYSTEM && (errno == EMFILE || errno == ENFILE))
        return FA_EMFILE;
    return FA_ERESOLVE;
}

int fa__listeners_add_tcp(struct fa__listeners *group, const char *host, uint16_t port,
                          unsigned flags)
{
    struct addrinfo *addresses = NULL;
    int err = resolve(host, &addresses);
    if (err < 0)
        return err;
    struct fa_list list;
    fa_list_init(&list);
    /* A port that the system chose on the first address may be taken on the next. */
    int attempts = port == 0 && addresses->ai_next != NULL ? PORT_ATTEMPTS : 1;
    do {
        err = open_addresses(addresses, port, flags, &list);
    } while (err == FA_EADDRINUSE && --attempts > 0);
    freeaddrinfo(addresses);
    return err < 0 ? err : attach_all(group, &list);
}

/* ---- Unix sockets ------------------------------------------------------------------- */

static int set_path(struct sockaddr_un *un, const char *path, socklen_t *len)
{
    size_t path_len = strlen(path);
    bool abstract = path[0] == '@';
    /* A path needs its NUL; an abstract name has one in front, in the place of the '@'. */
    if (path_len == 0 || path_len + (abstract ? 0 : 1) > sizeof(un->sun_path) ||
        (abstract && path_len == 1))
        return FA_EINVAL;
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(un->sun_path, path, path_len);
    if (abstract)
        un->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len + (abstract ? 0 : 1));
    return 0;
}

/* Whether somebody answers at the socket file. 0: nobody. */
static int probe(const struct sockaddr_un *un, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fa_error_from_errno(errno);
    int sys_errno = connect(fd, (const struct sockaddr *)un, len) == 0 ? 0 : errno;
    fa__socket_close(fd);
    switch (sys_errno) {
    case ECONNREFUSED: /* the file of a process that is gone */
    case ENOENT:       /* gone meanwhile */
        return 0;
    case 0:
    case EAGAIN:     /* alive, its queue is full */
    case EPROTOTYPE: /* alive, another kind of socket */
        return FA_EADDRINUSE;
    default:
        return fa_error_from_errno(sys_errno);
    }
}

/* Makes way for a new socket file. The file is removed only if it is still the one that was
 * probed: another server may be starting at the same moment. */
static int remove_stale(const struct sockaddr_un *un, socklen_t len)
{
    struct stat before;
    struct stat now;
    if (lstat(un->sun_path, &before) < 0)
        return errno == ENOENT ? 0 : fa_error_from_errno(errno);
    if (!S_ISSOCK(before.st_mode))
        return FA_EEXIST;
    int err = probe(un, len);
    if (err < 0)
        return err;
    if (lstat(un->sun_path, &now) < 0)
        return errno == ENOENT ? 0 : fa_error_from_errno(errno);
    if (now.st_dev != before.st_dev || now.st_ino != before.st_ino)
        return FA_EADDRINUSE;
    if (unlink(un->sun_path) < 0 && errno != ENOENT)
        return fa_error_from_errno(errno);
    return 0;
}

/* The path from the root, since the program may change its folder before it closes. */
static int absolute_path(const char *path, char **out)
{
    char folder[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(folder, sizeof(folder)) == NULL)
        return fa_error_from_errno(errno);
    size_t folder_len = strlen(folder);
    size_t path_len = strlen(path);
    char *absolute = fa_malloc(folder_len + 1 + path_len + 1);
    if (absolute == NULL)
        return FA_ENOMEM;
    memcpy(absolute, folder, folder_len);
    size_t used = folder_len;
    if (path[0] != '/')
        absolute[used++] = '/';
    memcpy(absolute + used, path, path_len + 1);
    *out = absolute;
    return 0;
}

/* Binds and opens the file to everyone before anybody can connect. */
static int bind_file(struct fa__listener *listener, const char *path, const struct sockaddr_un *un,
                     socklen_t len)
{
    if (bind(listener->fd, (const struct sockaddr *)un, len) < 0)
        return fa_error_from_errno(errno);
    if (un->sun_path[0] == '\0')
        return 0;
    struct stat status;
    if (lstat(un->sun_path, &status) < 0)
        return fa_error_from_errno(errno);
    listener->path_dev = status.st_dev;
    listener->path_ino = status.st_ino;
    listener->owner_pid = getpid();
    int err = absolute_path(path, &listener->path);
    if (err < 0) {
        unlink(un->sun_path);
        return err;
    }
    return chmod(un->sun_path, 0666) < 0 ? fa_error_from_errno(errno) : 0;
}

int fa__listeners_add_unix(struct fa__listeners *group, const char *path)
{
    struct sockaddr_un un;
    socklen_t len;
    int err = set_path(&un, path, &len);
    if (err < 0)
        return err;
    if (un.sun_path[0] != '\0') {
        err = remove_stale(&un, len);
        if (err < 0)
            return err;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fa_error_from_errno(errno);
    struct fa__listener *listener = fa__listener_new(fd);
    if (listener == NULL) {
        fa__socket_close(fd);
        return FA_ENOMEM;
    }
    err = bind_file(listener, path, &un, len);
    if (err == 0 && listen(fd, BACKLOG) < 0)
        err = fa_error_from_errno(errno);
    if (err == 0) {
        describe(listener);
        err = fa__listeners_attach(group, listener);
    }
    if (err < 0)
        fa__listener_destroy(listener);
    return err;
}

/* ---- inherited descriptors ---------------------------------------------------------- */

static bool has_option(int fd, int name, int expected)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == expected;
}

int fa__listeners_add_fd(struct fa__listeners *group, int fd)
{
    if (!has_option(fd, SO_ACCEPTCONN, 1) || !has_option(fd, SO_TYPE, SOCK_STREAM))
        return FA_EINVAL;
    int err = fa__socket_make_nonblocking(fd);
    if (err < 0)
        return err;
    if (has_option(fd, SO_DOMAIN, AF_INET) || has_option(fd, SO_DOMAIN, AF_INET6)) {
        if (set_option(fd, IPPROTO_TCP, TCP_NODELAY) < 0)
            return fa_error_from_errno(errno);
    }
    struct fa__listener *listener = fa__listener_new(fd);
    if (listener == NULL)
        return FA_ENOMEM;
    err = fa__listeners_attach(group, listener);
    if (err < 0) {
        listener->fd = -1; /* stays the caller's */
        fa__listener_destroy(listener);
    }
    return err;
}

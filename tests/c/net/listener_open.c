/* SPDX-License-Identifier: MIT */
/* Opening listeners: names and literals, IPv6, SO_REUSEPORT, inherited descriptors, Unix
 * socket files and whose they are, every error, allocation failure. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "net/listener_fixture.h"

TEST(names_bind_every_address_on_one_port)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "localhost", 0, 0), 0);
    CHECK(fa__listeners_count(&group) >= 1);
    uint16_t port = fa__listeners_port(&group);
    for (struct fa_list *link = group.open.next; link != &group.open; link = link->next) {
        struct fa__listener *listener = FA_CONTAINER_OF(link, struct fa__listener, link);
        CHECK_INT(fa__listener_addr(listener)->port, port);
    }
    int client = connect_tcp(fa__listeners_port(&group));
    CHECK_INT(turn(-1), 1);
    CHECK_INT(accepted, 1);
    close(client);
    tear_down();
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;
    if (fd >= 0)
        close(fd);
    return have;
}

TEST(ipv6_or_its_absence)
{
    set_up();
    int err = fa__listeners_add_tcp(&group, "::", 0, 0);
    if (!have_ipv6()) {
        printf("    this machine has no IPv6\n");
        CHECK_INT(fa__listeners_add_tcp(&group, "::1", 0, 0), FA_EADDRNOTAVAIL);
        tear_down();
        return;
    }
    CHECK_INT(err, 0);
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(fa__listeners_port(&group)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    CHECK_INT(connect(client, (struct sockaddr *)&in6, sizeof(in6)), 0);
    turn(-1);
    CHECK_SPAN(fa__addr_span(&last_client), "::1");
    CHECK(fa__listener_is_wildcard(last_listener));
    struct fa__addr local;
    CHECK_INT(fa__socket_local(last_fd, &local), 0);
    CHECK_SPAN(fa__addr_span(&local), "::1");
    /* IPv6 only: the same port is free for IPv4. */
    CHECK_INT(fa__listeners_add_tcp(&group, NULL, fa__listeners_port(&group), 0), 0);
    close(client);
    tear_down();
}

TEST(errors_of_opening)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, 0), 0);
    uint16_t port = fa__listeners_port(&group);
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", port, 0), FA_EADDRINUSE);
    CHECK_INT(fa__listeners_add_tcp(&group, "192.0.2.1", 0, 0), FA_EADDRNOTAVAIL);
    CHECK_INT(fa__listeners_add_tcp(&group, "no such host.invalid", 0, 0), FA_ERESOLVE);
    CHECK_INT(fa__listeners_add_unix(&group, ""), FA_EINVAL);
    CHECK_INT(fa__listeners_add_unix(&group, "@"), FA_EINVAL);
    CHECK_INT(fa__listeners_add_unix(&group, "/no/such/folder/socket"), FA_ENOENT);
    char path[200];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EINVAL);
    int pipe_fds[2];
    CHECK_INT(pipe(pipe_fds), 0);
    CHECK_INT(fa__listeners_add_fd(&group, pipe_fds[0]), FA_EINVAL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    CHECK_INT(fa__listeners_count(&group), 1);
    tear_down();
}

TEST(reuseport_shares_a_port)
{
    set_up();
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", 0, FA__LISTEN_REUSEPORT), 0);
    uint16_t port = fa__listeners_port(&group);
    CHECK_INT(fa__listeners_add_tcp(&group, "127.0.0.1", port, FA__LISTEN_REUSEPORT), 0);
    CHECK_INT(fa__listeners_count(&group), 2);
    tear_down();
}

TEST(inherited_descriptors)
{
    set_up();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(fa__listeners_add_fd(&group, fd), FA_EINVAL); /* not listening yet */
    CHECK_INT(listen(fd, 5), 0);
    CHECK_INT(fa__listeners_add_fd(&group, fd), 0);
    CHECK_INT(fa__listeners_add_fd(&group, fd), FA_EEXIST);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    int client = connect_tcp(fa__listeners_port(&group));
    turn(-1);
    CHECK_INT(accepted, 1);
    close(client);
    fa__listeners_close(&group);
    CHECK(fcntl(fd, F_GETFD) < 0);
    tear_down();
}

/* ---- Unix sockets ------------------------------------------------------------------- */

static char folder[] = "/tmp/fa-listener-XXXXXX";
static char path[64];

static void make_folder(void)
{
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/socket", folder);
}

TEST(unix_socket_file_is_made_and_removed)
{
    set_up();
    make_folder();
    mode_t mask = umask(077);
    CHECK_INT(fa__listeners_add_unix(&group, path), 0);
    umask(mask);
    struct stat status;
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0666);
    int client = connect_unix(path);
    turn(-1);
    CHECK_INT(accepted, 1);
    CHECK_SPAN(fa__addr_span(&last_client), "");
    CHECK_INT(last_client.port, -1);
    CHECK_SPAN(fa__addr_span(fa__listener_addr(last_listener)), path);
    CHECK_INT(fa__listeners_port(&group), 0);
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EADDRINUSE);
    close(client);
    fa__listeners_close(&group);
    CHECK(stat(path, &status) < 0 && errno == ENOENT);
    CHECK_INT(rmdir(folder), 0);
    tear_down();
}

static void leave_stale_file(int type)
{
    int fd = socket(AF_UNIX, type, 0);
    CHECK(fd >= 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path));
    CHECK_INT(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
}

TEST(stale_unix_socket_is_replaced_and_nothing_else)
{
    set_up();
    make_folder();
    leave_stale_file(SOCK_STREAM);
    CHECK_INT(fa__listeners_add_unix(&group, path), 0);
    fa__listeners_close(&group);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    close(file);
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EEXIST);
    CHECK_INT(unlink(path), 0);
    /* A link to somewhere is not followed. */
    CHECK_INT(symlink("/dev/null", path), 0);
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EEXIST);
    CHECK_INT(unlink(path), 0);
    int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(other >= 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path));
    CHECK_INT(bind(other, (struct sockaddr *)&un, sizeof(un)), 0);
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EADDRINUSE);
    close(other);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(folder), 0);
    tear_down();
}

/* Alive, though it does not take connections just now. */
TEST(a_unix_socket_with_a_full_queue_is_in_use)
{
    set_up();
    make_folder();
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path));
    CHECK(other >= 0);
    CHECK_INT(bind(other, (struct sockaddr *)&un, sizeof(un)), 0);
    CHECK_INT(listen(other, 0), 0);
    int client = connect_unix(path);
    CHECK_INT(fa__listeners_add_unix(&group, path), FA_EADDRINUSE);
    close(client);
    close(other);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(folder), 0);
    tear_down();
}

TEST(a_successor_on_the_same_path_keeps_its_file)
{
    set_up();
    make_folder();
    CHECK_INT(fa__listeners_add_unix(&group, path), 0);
    CHECK_INT(unlink(path), 0);
    leave_stale_file(SOCK_STREAM); /* another inode */
    fa__listeners_close(&group);
    struct stat status;
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(folder), 0);
    tear_down();
}

TEST(a_forked_child_keeps_the_file_of_its_parent)
{
    set_up();
    make_folder();
    CHECK_INT(fa__listeners_add_unix(&group, path), 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fa_reactor_after_fork(reactor);
        fa__listeners_clean_up(&group);
        fa_reactor_destroy(reactor);
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    int client = connect_unix(path);
    CHECK_INT(turn(-1), 1);
    CHECK_INT(accepted, 1);
    close(client);
    tear_down();
    CHECK_INT(rmdir(folder), 0);
}

TEST(relative_paths_survive_a_change_of_folder)
{
    set_up();
    make_folder();
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(chdir(folder), 0);
    CHECK_INT(fa__listeners_add_unix(&group, "socket"), 0);
    CHECK_INT(fchdir(before), 0);
    close(before);
    fa__listeners_close(&group);
    CHECK_INT(rmdir(folder), 0);
    tear_down();
}

TEST(abstract_names)
{
    set_up();
    char name[64];
    snprintf(name, sizeof(name), "@fasterapi-test-%d", (int)getpid());
    CHECK_INT(fa__listeners_add_unix(&group, name), 0);
    CHECK_INT(fa__listeners_add_unix(&group, name), FA_EADDRINUSE);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    CHECK_INT(connect(client, (struct sockaddr *)&un, len), 0);
    turn(-1);
    CHECK_SPAN(fa__addr_span(fa__listener_addr(last_listener)), name);
    close(client);
    tear_down();
}

/* ---- allocation failure
 * --------------------------------------------------------------------------- */

static void open_every_kind(void)
{
    struct fa_reactor *r = NULL;
    struct fa__listeners g;
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    CHECK_INT(fa__listeners_init(&g, r, &callbacks, &accepted), 0);
    int err = fa__listeners_add_tcp(&g, "127.0.0.1", 0, 0);
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK_INT(fa__listeners_count(&g), err == 0 ? 1 : 0);
    err = fa__listeners_add_unix(&g, path);
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK((access(path, F_OK) == 0) == (err == 0));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(listen(fd, 5), 0);
    err = fa__listeners_add_fd(&g, fd);
    CHECK(err == 0 || err == FA_ENOMEM);
    if (err < 0)
        CHECK_INT(close(fd), 0);
    fa__listeners_clean_up(&g);
    CHECK(access(path, F_OK) < 0);
    fa_reactor_destroy(r);
}

TEST(opening_survives_allocation_failure)
{
    make_folder();
    int before = dup(0);
    close(before);
    check_alloc_failures(open_every_kind);
    int after = dup(0);
    close(after);
    CHECK_INT(after, before); /* no descriptor was leaked */
    CHECK_INT(rmdir(folder), 0);
}

int main(void)
{
    RUN(names_bind_every_address_on_one_port);
    RUN(ipv6_or_its_absence);
    RUN(errors_of_opening);
    RUN(reuseport_shares_a_port);
    RUN(inherited_descriptors);
    RUN(unix_socket_file_is_made_and_removed);
    RUN(stale_unix_socket_is_replaced_and_nothing_else);
    RUN(a_unix_socket_with_a_full_queue_is_in_use);
    RUN(a_successor_on_the_same_path_keeps_its_file);
    RUN(a_forked_child_keeps_the_file_of_its_parent);
    RUN(relative_paths_survive_a_change_of_folder);
    RUN(abstract_names);
    RUN(opening_survives_allocation_failure);
    return check_report();
}

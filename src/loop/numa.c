/* SPDX-License-Identifier: MIT */
/* numa.c - asks the kernel for its NUMA nodes. Any thread; owns nothing. */
#include "loop/numa.h"

#include <fcntl.h>
#include <unistd.h>

bool fa__numa_names_several(struct fa_span online)
{
    /* A list of numbers and ranges: every second node brings a separator. */
    for (size_t i = 0; i < online.len; i++)
        if (online.ptr[i] == '-' || online.ptr[i] == ',')
            return true;
    return false;
}

bool fa__numa_has_nodes(void)
{
    char text[256];
    int fd = open("/sys/devices/system/node/online", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof(text));
    close(fd);
    return len > 0 && fa__numa_names_several(fa_span(text, (size_t)len));
}

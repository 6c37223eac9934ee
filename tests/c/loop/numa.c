/* SPDX-License-Identifier: MIT */
/* NUMA nodes: what the kernel's list of them says. */
#include "check.h"

#include "loop/numa.h"

TEST(one_node_or_several)
{
    CHECK(!fa__numa_names_several(FA_SPAN("0\n")));
    CHECK(!fa__numa_names_several(FA_SPAN("12\n")));
    CHECK(!fa__numa_names_several(FA_SPAN("")));
    CHECK(fa__numa_names_several(FA_SPAN("0-1\n")));
    CHECK(fa__numa_names_several(FA_SPAN("0,2\n")));
}

TEST(this_machine)
{
    FILE *file = fopen("/sys/devices/system/node/online", "r");
    char line[256] = "";
    if (file != NULL) {
        CHECK(fgets(line, sizeof(line), file) != NULL);
        fclose(file);
    }
    CHECK(fa__numa_has_nodes() == (strpbrk(line, "-,") != NULL));
}

int main(void)
{
    RUN(one_node_or_several);
    RUN(this_machine);
    return check_report();
}

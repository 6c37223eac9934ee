/* SPDX-License-Identifier: MIT */
/* What fields mean for framing and connection: tests/data/h1/fields.txt and framing.txt in
 * every arrival. */
#include "head_vectors.h"

static const char *fields_path;
static const char *framing_path;

TEST(field_vectors)
{
    run_head_vectors(fields_path);
}

TEST(framing_vectors)
{
    run_head_vectors(framing_path);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    fields_path = argv[1];
    framing_path = argv[2];
    RUN(field_vectors);
    RUN(framing_vectors);
    return check_report();
}

/* SPDX-License-Identifier: MIT */
/* The forms of a request target: tests/data/h1/target.txt in every arrival. */
#include "head_vectors.h"

static const char *vector_path;

TEST(vectors)
{
    run_head_vectors(vector_path);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    vector_path = argv[1];
    RUN(vectors);
    return check_report();
}

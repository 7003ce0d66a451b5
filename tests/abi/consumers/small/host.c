/* A host: a program that starts the libpython it is told, or the one it is linked to. Compiled as C and as C++. */
#include <stdio.h>

#ifdef __cplusplus
#include "answer.hpp"
#else
#include "answer.h"
#endif

int main(int argc, char **argv) {
    printf("%d\n", answer_of(argc > 1 ? argv[1] : NULL));
    return 0;
}

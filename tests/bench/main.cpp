// A program that embeds Python: the shared libpython.
#include <pyattach/pyattach.h>

#include <cstdio>

#include "bench.hpp"
#include "bench_config.hpp"

int main(int argc, char **argv) {
    pyattach_set_message_handler([](const char *message, void *) { std::fprintf(stderr, "%s\n", message); }, nullptr);
    pyattach_start_options options = {};
    options.struct_size = sizeof options;
    options.program_name = BENCH_PYTHON;
    pyattach_status status = pyattach_interpreter_start_with(&options);
    if (status == PYATTACH_OK) {
        int failed = bench::run(argc, argv);
        status = pyattach_interpreter_stop();
        if (failed)
            return failed;
    }
    if (status != PYATTACH_OK)
        std::fprintf(stderr, "%s\n", pyattach_status_message(status));
    return status;
}

// Traces that start, are written and stop while threads attach, detach, lock, drop references, begin and end.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <chrono>
#include <vector>

using namespace support;

namespace {

void work(pyattach_mutex &mutex, bool drops_detached) {
    attached here;
    { attached nested; }
    object *dropped = new_object().release();
    {
        detached gap;
        if (drops_detached)
            pyattach_decref(dropped);
    }
    if (!drops_detached)
        pyattach_decref(dropped);
    pyattach_mutex_lock(&mutex);
    pyattach_mutex_unlock(&mutex);
    forbidden traverse;
}

} // namespace

TEST_CASE("traces start and stop under load, and each is written whole") {
    start_python();
    {
        attached here;
        run("import json"); // an import takes seconds under this load
    }
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    std::atomic<bool> is_over{false};
    std::vector<std::unique_ptr<task>> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(std::make_unique<task>("a busy thread", [&, i] {
            while (!is_over)
                work(mutex, i % 2 == 0);
        }));
    all.push_back(std::make_unique<task>("threads that come and go", [&] {
        while (!is_over)
            run_on_thread([&] { work(mutex, true); });
    }));
    temporary_folder folder;
    const std::string path = folder.path + "/trace";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
        pyattach_trace_options options = {};
        options.struct_size = sizeof options;
        options.events_per_thread = round % 2 ? 64 : 1024;
        options.keep_oldest = round % 3 == 0;
        REQUIRE(pyattach_trace_start(&options) == PYATTACH_OK);
        REQUIRE(pyattach_trace_write(path.c_str(), static_cast<pyattach_trace_format>(round % 3)) == PYATTACH_OK);
        REQUIRE(pyattach_trace_stop() == PYATTACH_OK);
        REQUIRE(pyattach_trace_write(path.c_str(), PYATTACH_TRACE_CHROME) == PYATTACH_OK);
        attached here;
        REQUIRE(eval_true("isinstance(json.load(open('" + path + "'))['traceEvents'], list)"));
    }
    is_over = true;
    for (auto &one : all)
        one->join();
}

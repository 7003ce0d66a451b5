// Memory that a restart leaves behind when eight native threads used Python through the library, compared with a
// restart after they used CPython alone. Most versions of CPython leave some.
//
// What malloc has given out is compared, which is exact, and where all memory of the library comes from; resident pages
// are printed, too.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <cstdio>
#include <malloc.h>
#include <memory>
#include <vector>

#include "support/plain_python.hpp"
#include "support/resident_memory.hpp"
#include "support/host.hpp"

using namespace support;

namespace {

constexpr int natives = 8;
const char *const work = "import threading, atexit; x = [str(i) for i in range(50)]";

std::int64_t malloced_bytes() {
    struct mallinfo2 heap = mallinfo2();
    return static_cast<std::int64_t>(heap.uordblks + heap.hblkhd);
}

// Eight threads that run through all restarts; in each generation each thread calls `part`.
class crew {
  public:
    explicit crew(std::function<void()> part) : part_(std::move(part)) {
        for (int i = 0; i < natives; ++i)
            tasks_.push_back(std::make_unique<task>("a native thread to end", [this] {
                for (;;) {
                    begins_.arrive_and_wait();
                    if (is_over_)
                        return;
                    part_();
                    ends_.arrive_and_wait();
                }
            }));
    }
    void do_its_part() {
        begins_.arrive_and_wait();
        ends_.arrive_and_wait();
    }
    ~crew() {
        is_over_ = true;
        begins_.arrive_and_wait();
    }

  private:
    std::function<void()> part_;
    barrier begins_{"the crew to begin", natives + 1}, ends_{"the crew to end", natives + 1};
    std::atomic<bool> is_over_{false};
    std::vector<std::unique_ptr<task>> tasks_;
};

// Prints how many bytes malloc has given out more. The first generations fill what allocators and CPython keep for
// reuse.
void measure(const std::function<void()> &live_once) {
    const int lives = std::stoi(child_arguments().at(0));
    for (int i = 0; i < 20; ++i)
        live_once();
    std::int64_t before = malloced_bytes(), resident_before = resident_bytes();
    for (int i = 0; i < lives; ++i)
        live_once();
    std::printf("%lld bytes from malloc and %lld resident in %d lives\n",
                static_cast<long long>(malloced_bytes() - before),
                static_cast<long long>(resident_bytes() - resident_before), lives);
}

void live_in_sub_interpreters(sub_interpreter::kind kind) {
    start_python();
    pyattach_interpreter *interp = nullptr;
    crew all([&] {
        attached there(interp);
        run_as_host(work);
        ref reference = eval("object()");
        {
            detached gap;
            reference.drop();
        }
    });
    measure([&] {
        attached here;
        sub_interpreter sub(kind);
        interp = sub.handle();
        {
            detached gap;
            all.do_its_part();
        }
    });
}

void live_plainly_in_sub_interpreters(sub_interpreter::kind kind) {
    start_as_host();
    void *address = nullptr;
    crew all([&] {
        void *state = cpython<void *(void *)>("PyThreadState_New")(address);
        cpython<void(void *)>("PyEval_RestoreThread")(state);
        run_as_host(work);
        cpython<void(void *)>("PyThreadState_Clear")(state);
        cpython<void()>("PyThreadState_DeleteCurrent")();
    });
    measure([&] {
        sub_interpreter sub(kind);
        sub.inside([] { run_as_host(work); });
        address = sub.state();
        {
            foreign_detach gap;
            all.do_its_part();
        }
    });
}

} // namespace

CHILD("memory: legacy sub-interpreters") { live_in_sub_interpreters(sub_interpreter::legacy); }
CHILD("memory: legacy sub-interpreters, plainly") { live_plainly_in_sub_interpreters(sub_interpreter::legacy); }
CHILD("memory: own GILs") { live_in_sub_interpreters(sub_interpreter::own_gil); }
CHILD("memory: own GILs, plainly") { live_plainly_in_sub_interpreters(sub_interpreter::own_gil); }

CHILD("memory: restarts") {
    crew all([&] {
        attached here;
        run_as_host(work);
        ref reference = eval("object()");
        here.end();
        reference.drop();
    });
    measure([&] {
        start_python();
        all.do_its_part();
        EXPECT(!stop_python());
    });
}

CHILD("memory: restarts, plainly") {
    load_python();
    // As the documentation of 3.15 has it: a state for each thread, kept. CPython frees it at its end, but not all
    // that belongs to it: free-threaded 3.13 and 3.14 leave what brought a thread the objects that others dropped, if
    // it ran on and saw to them, as it does where it evaluates something after the work.
    crew all([&] {
        auto *main_of = cpython<void *()>("PyInterpreterState_Main");
        cpython<void(void *)>("PyEval_RestoreThread")(cpython<void *(void *)>("PyThreadState_New")(main_of()));
        run_as_host(work);
        run_as_host("object()");
        cpython<void *()>("PyEval_SaveThread")();
    });
    measure([&] {
        plain::start();
        run_as_host(work);
        {
            foreign_detach gap;
            all.do_its_part();
        }
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    });
}

namespace {

struct bytes {
    long long from_malloc, resident;
};

bytes bytes_left(const std::string &name, int lives) {
    child_options options{{std::to_string(lives)}};
    options.deadline = std::chrono::seconds(600);
    child_result result = run_child(name, options);
    std::printf("%s: %s", name.c_str(), result.output.c_str());
    check_succeeds(result);
    bytes left{};
    CHECK(std::sscanf(result.output.c_str(), "%lld bytes from malloc and %lld", &left.from_malloc, &left.resident) ==
          2);
    return left;
}

} // namespace

TEST_CASE("a restart leaves no more memory behind with the library than without it") {
    load_python();
    const int lives = is_full_run() ? 200 : 16;
    for (const char *name : {"memory: legacy sub-interpreters", "memory: own GILs", "memory: restarts"}) {
        // Of the library's they are the same as others; making one takes long.
        if (std::string(name) == "memory: own GILs" && !(has_own_gils() && is_full_run()))
            continue;
        bytes with_library = bytes_left(name, lives), plain = bytes_left(std::string(name) + ", plainly", lives);
        // 64 bytes a life are ours by right; the rest is how much two such measurements differ, however long they are.
        CHECK(with_library.from_malloc <= plain.from_malloc + plain.from_malloc / 50 + 64 * lives + 48 * 1024);
        if (is_memory_telling)
            CHECK(with_library.resident <= plain.resident + plain.resident / 4 + 4 * 1024 * 1024);
    }
}

// The list of pyattach_threads_get: who is in it, and what becomes of arrays of other versions.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/thread_infos.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <sys/syscall.h>
#include <unistd.h>

using namespace support;

TEST_CASE("a thread that has ended is not there any more, and one that never used the library is not there") {
    start_python();
    const size_t before = thread_infos().size();
    run_on_threads(5, "threads that attach", [](int) {
        name_this_thread("ending");
        attached here;
    });
    CHECK_FALSE(is_listed("ending"));
    run_on_thread([&] {
        CHECK(thread_infos().size() == before);
        attached here;
        CHECK(thread_infos().size() == before + 1);
    });
    CHECK(thread_infos().size() == before);
}

TEST_CASE("the result is how many threads there are, and no more elements are written than there is room for") {
    start_python();
    { attached here; }
    run_on_thread([] {
        attached second;
        const size_t all = pyattach_threads_get(nullptr, 0);
        CHECK(all >= 2);
        CHECK(pyattach_threads_get(nullptr, 100) == all);
        std::vector<pyattach_thread_info> infos(2);
        infos[0].struct_size = sizeof infos[0];
        infos[1].state = static_cast<pyattach_thread_state>(77);
        CHECK(pyattach_threads_get(infos.data(), 1) == all);
        CHECK(infos[0].native_id != 0);
        CHECK(infos[1].state == 77);
        CHECK(pyattach_threads_get(infos.data(), 0) == all);
        CHECK(pyattach_threads_get(infos.data(), 2) == all);
        CHECK(infos[1].struct_size == sizeof infos[0]);
        CHECK(infos[1].state != 77);
    });
}

TEST_CASE("elements of an older and of a newer version are as far apart as their struct_size says") {
    start_python();
    { attached here; }
    run_on_thread([] {
        attached second;
        const size_t all = pyattach_threads_get(nullptr, 0);
        for (const size_t size : {offsetof(pyattach_thread_info, is_warm), offsetof(pyattach_thread_info, label),
                                  sizeof(pyattach_thread_info) + 64}) {
            std::vector<long long> memory((all * size + size) / sizeof(long long), -1);
            auto *const bytes = reinterpret_cast<char *>(memory.data());
            std::memcpy(bytes, &size, sizeof size);
            REQUIRE(pyattach_threads_get(reinterpret_cast<pyattach_thread_info *>(bytes), all) == all);
            for (size_t i = 0; i < all; ++i) {
                long long id;
                std::memcpy(&id, bytes + i * size + offsetof(pyattach_thread_info, native_id), sizeof id);
                CHECK(syscall(SYS_tgkill, getpid(), id, 0) == 0);
            }
            if (size > sizeof(pyattach_thread_info)) // a member that this version does not know is left alone
                CHECK(bytes[sizeof(pyattach_thread_info)] == -1);
            CHECK(bytes[all * size] == -1);
        }
    });
}

TEST_CASE("a struct_size of zero writes nothing, and is reported") {
    start_python();
    messages said;
    pyattach_thread_info info = {};
    attached here;
    CHECK(pyattach_threads_get(&info, 1) >= 1);
    CHECK(info.native_id == 0);
    CHECK(said.text().find("pyattach_threads_get: struct_size of the first element is zero.") != std::string::npos);
}

TEST_CASE("threads may attach, detach and end while others are listed") {
    start_python();
    std::atomic<int> left{4};
    run_on_threads(5, "threads that come and go", [&](int number) {
        if (number == 4) {
            while (left)
                for (const pyattach_thread_info &info : thread_infos())
                    EXPECT(info.native_id != 0 && info.state <= PYATTACH_THREAD_IS_DETACHED);
            return;
        }
        for (int i = 0; i < 100; ++i)
            run_on_thread([] {
                for (int round = 0; round < 3; ++round) {
                    const std::string label(40, 'x'); // on the heap, and freed once the scope has ended
                    attached_with here{attach_options(false, label.c_str())};
                    detached gap;
                }
            });
        --left;
    });
}

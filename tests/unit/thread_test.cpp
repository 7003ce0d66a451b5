// What the library knows about a thread, without any Python.
#include "scopes/attached.hpp"
#include "core/frames.hpp"
#include "core/interpreter.hpp"
#include "sync/mutex.hpp"
#include "platform/uncancelled.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "support/threads.hpp"
#include "core/current.hpp"

using namespace pyattach;

TEST_CASE("a thread's record is made once, and is its own") {
    thread *mine = own_record();
    REQUIRE(mine);
    CHECK(own_record() == mine);
    CHECK(this_thread.record() == mine);
    CHECK(support::run_on_thread([&] { return own_record() != mine; }));
    CHECK(mine->top == &mine->base);
    CHECK(mine->base.tag == tag::base);
}

TEST_CASE("frames are a stack through the caller's storage") {
    support::run_on_thread([] {
        thread &mine = *own_record();
        frame outer{}, inner{};
        push(mine, outer, tag::attached);
        push(mine, inner, tag::detached);
        CHECK(mine.top == &inner);
        CHECK(inner.below == &outer);
        CHECK(inner.tag == tag::detached);
        pop(mine, *mine.top);
        CHECK(inner.tag == tag::ended);
        CHECK(mine.top == &outer);
        pop(mine, *mine.top);
        CHECK(mine.top == &mine.base);
    });
}

TEST_CASE("a frame that was written over is not read, and hides those below it") {
    support::run_on_thread([] {
        thread &mine = *own_record();
        interpreter *const record = mine.last_interp;
        frame outer{}, inner{};
        push(mine, outer, tag::attached);
        push(mine, inner, tag::detached);
        auto count = [&] {
            int scopes = 0;
            for (frame &scope : open_frames(mine))
                scopes += scope.tag == tag::attached || scope.tag == tag::detached;
            return scopes;
        };
        CHECK(count() == 2);
        CHECK(open_frames(mine).are_all());
        // Word by word, the outer and the inner one.
        for (frame *scope : {&outer, &inner})
            for (size_t at : {offsetof(frame, tag), offsetof(frame, sum), offsetof(frame, below),
                              offsetof(frame, interp), offsetof(frame, tstate), offsetof(frame, participant)}) {
                const frame kept = *scope;
                std::memset(reinterpret_cast<char *>(scope) + at, 0x5a, 4);
                CHECK(count() == (scope == &outer ? 1 : 0));
                CHECK(!open_frames(mine).are_all());
                std::memcpy(static_cast<void *>(scope), &kept, sizeof kept);
            }
        outer.dead = true; // which is no part of the sum, and neither is how many were open
        ++inner.nested_before;
        CHECK(count() == 2);
        pop(mine, inner);
        pop(mine, outer);
        CHECK(count() == 0);
        CHECK(open_frames(mine).are_all());
        CHECK(mine.last_interp == record);
    });
}

TEST_CASE("a frame begun in the storage of another takes its place, and those below that are forgotten") {
    support::run_on_thread([] {
        thread &mine = *own_record();
        frame outer{}, middle{}, inner{};
        push(mine, outer, tag::attached);
        push(mine, middle, tag::detached);
        push(mine, inner, tag::attached);
        push(mine, middle, tag::detached);
        CHECK(mine.top == &middle);
        CHECK(middle.below == &inner);
        CHECK(inner.below == &mine.base);
        CHECK(open_frames(mine).are_all());
        push(mine, middle, tag::attached);
        CHECK(mine.top == &middle);
        CHECK(middle.below == &mine.base);
        pop(mine, middle);
        CHECK(mine.top == &mine.base);
    });
}

TEST_CASE("a thread knows its own stack") {
    int here = 0;
    static int elsewhere;
    auto on_heap = std::make_unique<int>(0);
    auto knows = [&](const int *local) {
        return is_on_own_stack(local) && !is_on_own_stack(&elsewhere) && !is_on_own_stack(on_heap.get());
    };
    CHECK(knows(&here)); // of the main thread
    CHECK(support::run_on_thread([&] {
        int there = 0;
        return knows(&there) && !is_on_own_stack(&here);
    }));
}

TEST_CASE("a cancelled thread ends after a sleep that is not to be cut short, not in it") {
    static std::atomic<bool> has_slept{false};
    pthread_t cancelled;
    REQUIRE(pthread_create(
                &cancelled, nullptr,
                [](void *) -> void * {
                    pthread_cancel(pthread_self());
                    sleep_uncancelled(1000);
                    has_slept = true;
                    pthread_testcancel();
                    return nullptr;
                },
                nullptr) == 0);
    void *outcome = nullptr;
    REQUIRE(pthread_join(cancelled, &outcome) == 0);
    CHECK(outcome == PTHREAD_CANCELED);
    CHECK(has_slept);
}

TEST_CASE("a thread counts in its own record, and its sums outlive it") {
    uint64_t before = counted(event::attaches);
    support::run_on_thread([&] {
        count(event::attaches); // without a record
        own_record();
        count(event::attaches, 2);
        CHECK(counted(event::attaches) == before + 3);
    });
    CHECK(counted(event::attaches) == before + 3);
}

TEST_CASE("without a Python nobody is attached") {
    CHECK(current_tstate() == nullptr);
    CHECK(require_attached() == PYATTACH_NOT_ATTACHED);
    ++this_thread.forbidden;
    CHECK(require_attached() == PYATTACH_FORBIDDEN);
    --this_thread.forbidden;
}

TEST_CASE("the record of a thread that ended is the next thread's, as new, and what was counted still counts") {
    uint64_t before = counted(event::nested);
    thread *first = nullptr;
    support::run_on_thread([&] {
        first = own_record();
        count(event::nested, 7); // as if they were open still
        first->batch_left = 8;
        first->exit_rounds = 1;
        count(event::nested, 3);
    });
    support::run_on_thread([&] {
        thread *mine = own_record();
        CHECK(mine == first);
        CHECK(mine->nested_open == 0);
        CHECK(mine->top == &mine->base);
        CHECK(mine->base.tag == tag::base);
        CHECK(mine->batch_left == 0);
        CHECK(mine->exit_rounds == 0);
        CHECK(mine->participants == nullptr);
        count(event::nested, 4);
    });
    CHECK(counted(event::nested) == before + 14);
}

TEST_CASE("threads that live at once have records of their own, and all that they counted counts") {
    uint64_t before = counted(event::detaches);
    constexpr int threads = 20; // more than are kept
    for (int round = 0; round < 2; ++round) {
        support::barrier all_there("the others to have records", threads);
        std::mutex lock;
        std::set<thread *> records;
        std::vector<std::unique_ptr<support::task>> all;
        for (int i = 0; i < threads; ++i)
            all.push_back(std::make_unique<support::task>("a thread with a record to end", [&] {
                {
                    std::lock_guard<std::mutex> held(lock);
                    records.insert(own_record());
                }
                count(event::detaches);
                all_there.arrive_and_wait();
            }));
        for (auto &one : all)
            one->join();
        CHECK(records.size() == threads);
    }
    CHECK(counted(event::detaches) == before + 2 * threads);
}

// A thread that is being made while the library is loaded may get its words zeroed, whatever they are initialised with:
// glibc has set up its thread-locals already, and dlopen does not know of it yet.
TEST_CASE("words that are zero say that there is no record") {
    alignas(thread_local_words) unsigned char memory[sizeof(thread_local_words)] = {};
    auto &words = *reinterpret_cast<thread_local_words *>(memory);
    CHECK_FALSE(words.is_fast());
    CHECK(words.record() == nullptr);
}

namespace {

// As a destructor behind the library's exit hook finds its thread.
template <class Late> bool run_past_the_hook(Late late) {
    return support::run_on_thread([&] {
        this_thread.ended = 1;
        return own_record() && late();
    });
}

} // namespace

TEST_CASE("a record made past the exit hook stays while a lock is held, and goes with it") {
    CHECK(run_past_the_hook([] {
        mutex_storage one{};
        mutex::lock(one);
        discard_late_record(*this_thread.record());
        const bool stays = this_thread.record() != nullptr;
        mutex::unlock(one);
        return stays && !this_thread.record();
    }));
}

TEST_CASE("a record made past the exit hook goes when an attach is refused") {
    CHECK(run_past_the_hook([] {
        ++this_thread.forbidden; // a refusal whether or not another file of this program has started a Python
        attached_scope scope;
        const status refused = attached::begin(scope);
        --this_thread.forbidden;
        return refused == PYATTACH_FORBIDDEN && !this_thread.record();
    }));
}

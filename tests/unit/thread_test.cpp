// A thread's record, without any Python.
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

TEST_CASE("a thread's record is made once, and belongs to that thread alone") {
    thread *own = own_record();
    REQUIRE(own);
    CHECK(own_record() == own);
    CHECK(this_thread.record() == own);
    CHECK(support::run_on_thread([&] { return own_record() != own; }));
    CHECK(own->top == &own->base);
    CHECK(own->base.tag == tag::base);
}

TEST_CASE("frames are a stack in the caller's storage") {
    support::run_on_thread([] {
        thread &own = *own_record();
        frame outer{}, inner{};
        push(own, outer, tag::attached);
        push(own, inner, tag::detached);
        CHECK(own.top == &inner);
        CHECK(inner.below == &outer);
        CHECK(inner.tag == tag::detached);
        pop(own, *own.top);
        CHECK(inner.tag == tag::ended);
        CHECK(own.top == &outer);
        pop(own, *own.top);
        CHECK(own.top == &own.base);
    });
}

TEST_CASE("a frame that was written over is not read, and hides those below it") {
    support::run_on_thread([] {
        thread &own = *own_record();
        interpreter *const record = own.last_interp;
        frame outer{}, inner{};
        push(own, outer, tag::attached);
        push(own, inner, tag::detached);
        auto count = [&] {
            int scopes = 0;
            for (frame &scope : open_frames(own))
                scopes += scope.tag == tag::attached || scope.tag == tag::detached;
            return scopes;
        };
        CHECK(count() == 2);
        CHECK(open_frames(own).are_all());
        // Word by word, the outer and the inner one.
        for (frame *scope : {&outer, &inner})
            for (size_t at : {offsetof(frame, tag), offsetof(frame, sum), offsetof(frame, below),
                              offsetof(frame, interp), offsetof(frame, tstate), offsetof(frame, participant)}) {
                const frame kept = *scope;
                std::memset(reinterpret_cast<char *>(scope) + at, 0x5a, 4);
                CHECK(count() == (scope == &outer ? 1 : 0));
                CHECK(!open_frames(own).are_all());
                std::memcpy(static_cast<void *>(scope), &kept, sizeof kept);
            }
        outer.inert = true; // the sum contains neither this nor the number of nested scopes
        ++inner.nested_before;
        CHECK(count() == 2);
        pop(own, inner);
        pop(own, outer);
        CHECK(count() == 0);
        CHECK(open_frames(own).are_all());
        CHECK(own.last_interp == record);
    });
}

TEST_CASE(
    "a frame that begins in the storage of an open one replaces it, and the frames below that one are forgotten") {
    support::run_on_thread([] {
        thread &own = *own_record();
        frame outer{}, middle{}, inner{};
        push(own, outer, tag::attached);
        push(own, middle, tag::detached);
        push(own, inner, tag::attached);
        push(own, middle, tag::detached);
        CHECK(own.top == &middle);
        CHECK(middle.below == &inner);
        CHECK(inner.below == &own.base);
        CHECK(open_frames(own).are_all());
        push(own, middle, tag::attached);
        CHECK(own.top == &middle);
        CHECK(middle.below == &own.base);
        pop(own, middle);
        CHECK(own.top == &own.base);
    });
}

TEST_CASE("is_on_own_stack distinguishes the thread's own stack from other storage") {
    int on_this_stack = 0;
    static int elsewhere;
    auto on_heap = std::make_unique<int>(0);
    auto knows = [&](const int *local) {
        return is_on_own_stack(local) && !is_on_own_stack(&elsewhere) && !is_on_own_stack(on_heap.get());
    };
    CHECK(knows(&on_this_stack)); // of the main thread
    CHECK(support::run_on_thread([&] {
        int on_that_stack = 0;
        return knows(&on_that_stack) && !is_on_own_stack(&on_this_stack);
    }));
}

TEST_CASE("a cancelled thread ends after an uncancelled sleep, and not in it") {
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

TEST_CASE("a thread counts in its own record, and its counts outlive it") {
    uint64_t before = counted(event::attaches);
    support::run_on_thread([&] {
        count(event::attaches); // without a record
        own_record();
        count(event::attaches, 2);
        CHECK(counted(event::attaches) == before + 3);
    });
    CHECK(counted(event::attaches) == before + 3);
}

TEST_CASE("without a Python no thread is attached") {
    CHECK(current_tstate() == nullptr);
    CHECK(require_attached() == PYATTACH_NOT_ATTACHED);
    ++this_thread.forbidden;
    CHECK(require_attached() == PYATTACH_FORBIDDEN);
    --this_thread.forbidden;
}

TEST_CASE("the next thread gets the record of an ended thread, reset but for its counts") {
    uint64_t before = counted(event::nested);
    thread *first = nullptr;
    support::run_on_thread([&] {
        first = own_record();
        count(event::nested, 7); // as if these scopes were still open
        first->batch_left = 8;
        first->exit_rounds = 1;
        count(event::nested, 3);
    });
    support::run_on_thread([&] {
        thread *own = own_record();
        CHECK(own == first);
        CHECK(own->nested_open == 0);
        CHECK(own->top == &own->base);
        CHECK(own->base.tag == tag::base);
        CHECK(own->batch_left == 0);
        CHECK(own->exit_rounds == 0);
        CHECK(own->participants == nullptr);
        count(event::nested, 4);
    });
    CHECK(counted(event::nested) == before + 14);
}

TEST_CASE("threads that exist at the same time have records of their own, and each count is included") {
    uint64_t before = counted(event::detaches);
    constexpr int threads = 20; // more records than are kept
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
        for (auto &task : all)
            task->join();
        CHECK(records.size() == threads);
    }
    CHECK(counted(event::detaches) == before + 2 * threads);
}

// If a thread is being created while the library is loaded, its thread-local words may be zero, whatever their
// initializer is: glibc has set up the thread's block already, and dlopen does not find the thread in its list yet.
TEST_CASE("words that are zero contain no record") {
    alignas(thread_local_words) unsigned char memory[sizeof(thread_local_words)] = {};
    auto &words = *reinterpret_cast<thread_local_words *>(memory);
    CHECK_FALSE(words.fast_record());
    CHECK(words.record() == nullptr);
}

namespace {

// Runs `late` on a thread whose exit hook has run, as a destructor of another library may.
template <class Late> bool run_after_exit_hook(Late late) {
    return support::run_on_thread([&] {
        this_thread.ended = 1;
        return own_record() && late();
    });
}

} // namespace

TEST_CASE("a record that is made after the exit hook stays while a lock is held, and is discarded at its unlock") {
    CHECK(run_after_exit_hook([] {
        mutex_storage storage{};
        mutex::lock(storage);
        discard_late_record(*this_thread.record());
        const bool stays = this_thread.record() != nullptr;
        mutex::unlock(storage);
        return stays && !this_thread.record();
    }));
}

TEST_CASE("a record that is made after the exit hook is discarded when an attach is refused") {
    CHECK(run_after_exit_hook([] {
        ++this_thread.forbidden; // refused whether or not another file of this program has started a Python
        attached_scope scope;
        const status refused = attached::begin(scope);
        --this_thread.forbidden;
        return refused == PYATTACH_FORBIDDEN && !this_thread.record();
    }));
}

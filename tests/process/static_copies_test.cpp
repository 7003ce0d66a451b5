// Several copies of the library in one process: each extension module with a static one of its own, and the shared one.
#include "process/copies.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <unistd.h>
#include <vector>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

int answer_of(const copy_of_library &through) {
    object *result = nullptr;
    EXPECT(through.eval("6 * 7", nullptr, nullptr, &result) == PYATTACH_OK);
    return static_cast<int>(to_int(ref(result)));
}

// Attached through one copy, detached through another, attached again through a third; and what each reports.
void nest(const copy_of_library &outer, const copy_of_library &middle, const copy_of_library &inner) {
    pyattach_attached first, second, third;
    pyattach_detached gap;
    auto all_say = [&](int attached_now) {
        for (const copy_of_library *copy : {&outer, &middle, &inner})
            EXPECT(copy->is_attached() == attached_now);
        EXPECT(cpython_says_attached() == bool(attached_now));
    };
    all_say(0);
    EXPECT(outer.attached_begin(&first) == PYATTACH_OK);
    all_say(1);
    void *state = current_tstate();
    EXPECT(middle.attached_begin(&second) == PYATTACH_OK);
    EXPECT(current_tstate() == state);
    EXPECT(middle.detached_begin(&gap) == PYATTACH_OK);
    all_say(0);
    EXPECT(inner.attached_begin(&third) == PYATTACH_OK);
    all_say(1);
    EXPECT(current_tstate() == state); // one thread has one tstate, whichever copy attaches it
    EXPECT(answer_of(inner) == 42);
    inner.attached_end(&third);
    all_say(0);
    EXPECT(middle.detached_end(&gap) == PYATTACH_OK);
    all_say(1);
    middle.attached_end(&second);
    EXPECT(answer_of(outer) == 42);
    outer.attached_end(&first);
    all_say(0);
    for (const copy_of_library *copy : {&outer, &middle, &inner})
        EXPECT(copy->attach_depth() == 0);
}

} // namespace

CHILD("copies nest in one another") {
    start_python();
    auto all = copies(3);
    for (const copy_of_library *outer : all)
        for (const copy_of_library *middle : all)
            for (const copy_of_library *inner : all)
                run_on_thread([&] {
                    nest(*outer, *middle, *inner);
                    nest(*inner, *outer, *middle); // with a warm state by now, made by the first of them
                });
    EXPECT(!stop_python());
}
TEST_CASE("static copies attach, detach and attach again inside one another, in every combination") {
    check_succeeds("copies nest in one another");
}

CHILD("drops into the pool of each copy") {
    start_python();
    auto all = copies(3);
    ref shared;
    {
        attached here;
        shared = new_object();
        for (size_t i = 0; i < all.size(); ++i)
            EXPECT(pyattach_incref(shared) == PYATTACH_OK);
    }
    for (const copy_of_library *copy : all)
        run_on_thread([&] {
            copy->interpreter_main(); // a drop belongs to an interpreter that the copy has met
            copy->decref(shared);
            EXPECT(copy->pool_size() == 1);
        });
    // An attach through a copy releases what waits there, and no more.
    auto left = static_cast<std::int64_t>(all.size());
    for (size_t i = all.size(); i-- > 0;) {
        pyattach_attached scope;
        EXPECT(all[i]->attached_begin(&scope) == PYATTACH_OK);
        EXPECT(all[i]->pool_size() == 0);
        all[i]->attached_end(&scope);
        --left;
        std::int64_t waiting = 0;
        for (const copy_of_library *copy : all)
            waiting += static_cast<std::int64_t>(copy->pool_size());
        EXPECT(waiting == left);
    }
    attached here;
    EXPECT(reference_count(shared) == 1);
    here.end();
    EXPECT(!stop_python());
}
TEST_CASE("each static copy has a pool of its own, which its own attaches drain") {
    check_succeeds("drops into the pool of each copy");
}

namespace {

struct worker {
    const copy_of_library *of = nullptr;
    latch told{"the exit callback of its copy"};
    pyattach_status came_back = PYATTACH_INVALID;
    std::unique_ptr<task> thread;
};
std::atomic<int> callbacks_run{0};

} // namespace

CHILD("exit with a thread in each copy") {
    start_python();
    auto all = copies(3);
    std::vector<std::unique_ptr<worker>> workers;
    latch inside("a thread inside through each copy", static_cast<int>(all.size()));
    for (const copy_of_library *copy : all) {
        copy->set_exit_timeout(-1); // so that what is not told hangs
        workers.push_back(std::make_unique<worker>());
        worker *own_worker = workers.back().get();
        own_worker->of = copy;
        own_worker->thread = std::make_unique<task>("a worker to end", [own_worker, &inside] {
            pyattach_attached scope;
            pyattach_detached gap;
            EXPECT(own_worker->of->attached_begin(&scope) == PYATTACH_OK);
            EXPECT(own_worker->of->detached_begin(&gap) == PYATTACH_OK);
            inside.count_down();
            own_worker->told.wait();
            own_worker->came_back = own_worker->of->detached_end(&gap); // let in: it is soon enough
            if (own_worker->came_back == PYATTACH_OK)
                EXPECT(answer_of(*own_worker->of) == 42);
            own_worker->of->attached_end(&scope);
        });
        auto tell = [](pyattach_interpreter *, void *arg) {
            ++callbacks_run;
            static_cast<worker *>(arg)->told.count_down();
        };
        EXPECT(copy->exit_callback_add(copy->interpreter_main(), tell, own_worker) == PYATTACH_OK);
    }
    inside.wait();
    EXPECT(!stop_python());
    EXPECT(callbacks_run == static_cast<int>(all.size()));
    for (auto &worker : workers) {
        worker->thread->join();
        EXPECT(worker->came_back == PYATTACH_OK);
        pyattach_attached late;
        EXPECT(worker->of->attached_begin(&late) == PYATTACH_NOT_INITIALIZED);
        pyattach_stats counters{};
        counters.struct_size = sizeof counters;
        worker->of->stats_get(&counters);
        EXPECT(counters.exit_waits == 1);
        EXPECT(counters.exit_timeouts == 0);
    }
}
TEST_CASE("at exit the callbacks of every static copy run, and the threads inside each are waited for") {
    check_succeeds("exit with a thread in each copy");
}

namespace {

// A thread that stays inside through each copy, and counts as attached.
std::vector<std::unique_ptr<task>> stick_in(const std::vector<const copy_of_library *> &all, long long timeout_ns) {
    latch inside("a thread inside through each copy", static_cast<int>(all.size()));
    std::vector<std::unique_ptr<task>> stuck;
    for (const copy_of_library *copy : all) {
        copy->set_exit_timeout(timeout_ns);
        stuck.push_back(std::make_unique<task>("a stuck thread", [copy, &inside] {
            pyattach_attached scope;
            EXPECT(copy->attached_begin(&scope) == PYATTACH_OK);
            cpython<void *()>("PyEval_SaveThread")(); // unseen: it counts as attached
            inside.count_down();
            for (;;)
                usleep(1000); // not asleep for good, or the exit would leave it behind after a second
        }));
    }
    inside.wait();
    return stuck;
}

} // namespace

CHILD("exit with a stuck thread in each copy") {
    start_python();
    auto all = copies(3);
    auto stuck = stick_in(all, 20000000);
    for (const copy_of_library *copy : all) {
        auto count = [](pyattach_interpreter *, void *) { ++callbacks_run; };
        EXPECT(copy->exit_callback_add(copy->interpreter_main(), count, nullptr) == PYATTACH_OK);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT(callbacks_run == static_cast<int>(all.size()));
    for (const copy_of_library *copy : all) {
        pyattach_stats counters{};
        counters.struct_size = sizeof counters;
        copy->stats_get(&counters);
        EXPECT(counters.exit_waits == 1);
        EXPECT(counters.exit_timeouts == 1);
    }
    for (auto &thread : stuck)
        thread->abandon();
    end_child();
}
TEST_CASE("a static copy that times out at exit does not keep the others from their callbacks and their own wait") {
    check_succeeds("exit with a stuck thread in each copy");
}

// Says how long the exit takes while a thread is stuck in each of so many copies, whose limits are 3 s.
CHILD("limits of copies with stuck threads") {
    start_python();
    auto stuck = stick_in(copies(std::stoi(child_arguments().at(0)) - 1), 3000000000);
    auto began = std::chrono::steady_clock::now();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("\ntook %f\n", took.count());
    for (auto &thread : stuck)
        thread->abandon();
    end_child();
}
TEST_CASE("the exit time-outs of static copies that wait in turn overlap") {
    auto seconds = [](const char *number) {
        child_result result = run_child("limits of copies with stuck threads", {{number}});
        check_succeeds(result);
        size_t at = result.output.find("\ntook ");
        return at == std::string::npos ? 0.0 : std::stod(result.output.substr(at + 6));
    };
    // With a second for each further copy 5 s to 3; one after the other it would be 9.
    double single = seconds("1"), three = seconds("3");
    CHECK(single >= 3);
    CHECK(three < 2.3 * single);
}

// A static copy may take no static thread-local storage, of which there is little for what is loaded late.
CHILD("forty copies") {
    start_python();
    auto all = copies(40);
    auto use = [&] {
        for (const copy_of_library *copy : all) {
            pyattach_attached scope;
            EXPECT(copy->attached_begin(&scope) == PYATTACH_OK);
            EXPECT(answer_of(*copy) == 42);
            copy->attached_end(&scope);
        }
    };
    use();
    run_on_thread(use);
    for (const copy_of_library *copy : all) {
        auto count = [](pyattach_interpreter *, void *) { ++callbacks_run; };
        EXPECT(copy->exit_callback_add(copy->interpreter_main(), count, nullptr) == PYATTACH_OK);
    }
    EXPECT(!stop_python());
    EXPECT(callbacks_run == 41);
}
TEST_CASE("forty static copies load into one process, work, and end with it") { check_succeeds("forty copies"); }

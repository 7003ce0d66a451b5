// What the library knows about a thread, without any Python.
#include "interpreter.hpp"

#include "support/catch.hpp"
#include "support/threads.hpp"

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
    CHECK(current_state() == nullptr);
    CHECK(require_attached() == PYATTACH_NOT_ATTACHED);
    ++this_thread.forbidden;
    CHECK(require_attached() == PYATTACH_FORBIDDEN);
    --this_thread.forbidden;
}

// The C++ API: deleters for std::unique_ptr and std::shared_ptr.
#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace pyattach;
using support::run_on_thread;
using support::start_python;

namespace {

using reference = std::unique_ptr<struct _object, decref_deleter>;

std::atomic<int> alive, ended_detached;
struct session {
    session() { ++alive; }
    session(const session &) = delete;
    session &operator=(const session &) = delete;
    ~session() {
        --alive;
        if (!support::cpython_says_attached())
            ++ended_detached;
    }
};
using unique_session = std::unique_ptr<session, attached_deleter<session>>;

unique_session make() {
    attached here;
    return unique_session(new session, attached_deleter<session>{here.token()});
}

// Stands for a library's own function that frees.
struct closing {
    int *count;
    void operator()(session *last) const {
        ++*count;
        delete last;
    }
};

} // namespace

static_assert(std::is_copy_constructible_v<decref_deleter> && !std::is_copy_constructible_v<attached_deleter<session>>);
static_assert(std::is_nothrow_move_constructible_v<unique_session>);

TEST_CASE("a decref_deleter gives references back attached and detached") {
    start_python();
    support::ref object;
    reference first, second;
    std::shared_ptr<struct _object> shared;
    {
        attached here;
        token py = here.token();
        object = support::new_object();
        auto add = [&] { return owned::borrow(py, object.get()).release(); };
        first = reference(add(), decref_deleter{py});
        second.reset(add());
        shared = std::shared_ptr<struct _object>(add(), decref_deleter{py});
        CHECK(support::reference_count(object) == 4);
        first.reset();
        CHECK(support::reference_count(object) == 3);
    }
    run_on_thread([&] {
        second.reset();
        shared.reset();
    });
    CHECK(pyattach_pool_size() == 2);
    attached here;
    CHECK(support::reference_count(object) == 1);
}

TEST_CASE("an attached_deleter deletes at once on an attached thread, as often as it is asked") {
    start_python();
    unique_session one = make();
    CHECK(one.get_deleter());
    attached here;
    one.reset(new session);
    CHECK(alive == 1);
    one.reset();
    CHECK(alive == 0);
    CHECK(one.get_deleter());
    CHECK(ended_detached == 0);
}

TEST_CASE("what is given up on a detached thread is deleted by a thread that attaches") {
    start_python();
    unique_session one = make();
    std::shared_ptr<session> shared = make(), copy = shared, own;
    {
        attached here;
        own = std::shared_ptr<session>(new session, attached_deleter<session>{here.token()});
    }
    std::weak_ptr<session> weak = shared;
    run_on_thread([&] {
        one.reset();
        shared.reset();
        copy.reset();
        own.reset();
        EXPECT(weak.expired());
        EXPECT(!pyattach_is_attached());
    });
    CHECK(alive == 3);
    attached here;
    CHECK(alive == 0);
    CHECK(ended_detached == 0);
}

TEST_CASE("a function of the user's deletes in place of delete") {
    start_python();
    int count = 0;
    std::unique_ptr<session, attached_deleter<session, closing>> one, two;
    {
        attached here;
        token py = here.token();
        one = {new session, attached_deleter<session, closing>{py, closing{&count}}};
        two = {new session, attached_deleter<session, closing>{std::nothrow, py, closing{&count}}};
        two.reset();
        CHECK(count == 1);
    }
    one.reset();
    CHECK(count == 1);
    attached here;
    CHECK(count == 2);
    CHECK(alive == 0);
}

CHILD("resets a unique_ptr twice on a detached thread") {
    start_python();
    unique_session one = make();
    one.reset(new session);
    one.reset();
}
TEST_CASE("an attached_deleter that is used up aborts with a sentence") {
    support::check_aborts("resets a unique_ptr twice on a detached thread",
                          {"attached_deleter", "a deleter of its own"});
}

CHILD("gives pointers up after the end of Python") {
    start_python();
    unique_session one = make();
    reference object;
    {
        attached here;
        object = reference(here.token().eval("object()").release(), decref_deleter{here.token()});
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    const auto leaked = support::all_counters().drops_leaked;
    one.reset();
    object.reset();
    EXPECT(alive == 1);
    EXPECT(support::all_counters().drops_leaked == leaked + 2);
}
TEST_CASE("after Python has ended nothing is deleted, and each reference is counted as leaked") {
    support::check_succeeds("gives pointers up after the end of Python");
}

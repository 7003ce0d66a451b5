// The list of holds, without a Python.
#include "core/hold.hpp"

#include <memory>
#include <new>

#include "platform/clock.hpp"
#include "support/catch.hpp"
#include "support/threads.hpp"

using namespace pyattach;

namespace {

constexpr int64_t far_away = 120000000000;

// As in the library, the record is never freed. The interpreter itself has one reference to its data.
interpreter &new_interpreter() {
    struct whole {
        alignas(interpreter) char record[sizeof(interpreter)];
        interp_data data{*reinterpret_cast<interpreter *>(record)};
    };
    auto *made = new whole;
    return *new (made->record) interpreter(nullptr, made->data);
}

} // namespace

TEST_CASE("the last hold that ends wakes the thread that waits for holds, and others are of no account") {
    interpreter &interp = new_interpreter(), &other = new_interpreter();
    hold first, second, of_other;
    CHECK(begin_hold_of(of_other, other, "other") == PYATTACH_OK);
    CHECK(begin_hold_of(first, interp, "first") == PYATTACH_OK);
    CHECK(begin_hold_of(second, interp, nullptr) == PYATTACH_OK);
    CHECK(interp.data->refs == 3);
    interp.gate.hold_open();
    CHECK(await_holds(interp, 0) == 2);
    char labels[64];
    list_holds(interp, labels, sizeof labels);
    CHECK(std::string(labels) == "without a label, first");
    unsigned left = 9;
    support::task ending("the thread that waits for holds to be woken",
                         [&] { left = await_holds(interp, monotonic_ns() + far_away); });
    ending.wait_until_asleep();
    end_hold(first);
    ending.wait_until_asleep();
    CHECK_FALSE(ending.has_returned());
    end_hold(second);
    ending.join();
    CHECK(left == 0);
    CHECK(interp.data->refs == 1);
    end_hold(of_other);
}

TEST_CASE("labels that do not fit are left out, and one that is too long is cut off") {
    interpreter &interp = new_interpreter();
    hold holds[3];
    for (hold &begun : holds)
        CHECK(begin_hold_of(begun, interp, "0123456789012345678901234567890123456789") == PYATTACH_OK);
    char labels[70];
    CHECK(list_holds(interp, labels, sizeof labels) == 64);
    CHECK(std::string(labels) == "0123456789012345678901234567890, 0123456789012345678901234567890");
    for (hold &begun : holds)
        end_hold(begun);
}

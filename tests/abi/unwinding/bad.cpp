// What tools/unwinding.py has to refuse, and beside it what it has to let pass. A line that it has to name ends in what
// it has to say: "finding: noexcept" or "finding: destructor". Parsed by unwinding_test.py, never compiled.
#include "cpython/exception.hpp"

namespace pyattach::cpython {

// --- noexcept ---

bool helper_below_guarded(const char *name) noexcept {
    object *module = python().import_module(name); // finding: noexcept
    python().decref(module);                       // finding: noexcept
    return module != nullptr;
}
void calls_it() noexcept {
    guarded([] { return helper_below_guarded("threading"); });
}

bool good_helper(const char *name) {
    object *module = python().import_module(name);
    python().decref(module);
    return module != nullptr;
}
void calls_good_helper() noexcept {
    guarded([] { return good_helper("threading"); });
    good_helper("threading"); // finding: noexcept
}

void lambda_in_between() noexcept {
    guarded([] {
        auto inner = [](object *one) noexcept { python().decref(one); }; // finding: noexcept
        inner(python().none);
    });
    auto unguarded = [](object *one) { python().decref(one); };
    unguarded(python().none); // finding: noexcept
}

struct object_owner {
    object *one;
    ~object_owner() { python().decref(one); } // finding: noexcept
};

void through_pointers(void (*given)(), void (*fine)() noexcept, int (*asked)(object *)) noexcept {
    given(); // finding: noexcept
    fine();
    guarded([asked] { return asked(python().none); });
    given(); // never unwound: said by an excuse
}
template <class Call> void through_a_template(Call &&call) noexcept {
    call(); // finding: noexcept
    guarded(call);
}

void what_never_ends_a_thread() noexcept {
    thread_state *mine = python().current();
    (void)python().interp_of(mine);
    python().incref(python().none);
}

// --- destructor ---

void kept_inside() noexcept {
    guarded([] {
        kept_error kept; // finding: destructor
        python().error_clear();
    });
}
void kept_outside() noexcept {
    kept_error kept;
    guarded([] { python().error_clear(); });
}
void kept_in_a_helper() {
    kept_error kept; // finding: destructor
    python().error_clear();
}

struct keeps_one {
    kept_error kept;
};
void kept_in_a_member() noexcept {
    guarded([] {
        keeps_one all;         // finding: destructor
        kept_error several[2]; // finding: destructor
        keeps_one{};           // finding: destructor
    });
}

struct harmless {
    int *count;
    explicit harmless(int &to) noexcept : count(&to) { ++*count; }
    ~harmless() { --*count; }
};
void holds_what_is_harmless(int &count) noexcept {
    guarded([&count] {
        harmless here(count);
        python().error_clear();
    });
}

} // namespace pyattach::cpython

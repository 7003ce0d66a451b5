// Calls that must keep errno, and Python code inside them that changes it.
#pragma once

#include "support/scopes.hpp"

#include <cerrno>
#include <string>

using namespace support;

namespace {

constexpr int ours = 4242; // no system call sets that

// Around one call of the library.
template <class Call> auto keeping(const std::string &what, Call call) {
    errno = ours;
    auto result = call();
    const int found = errno;
    EXPECT_SENTENCE(found == ours, what + " left errno at " + std::to_string(found));
    return result;
}
template <class Call> void keeping_void(const std::string &what, Call call) {
    keeping(what, [&] { return call(), 0; });
}

// A system call that fails, in Python code that runs inside a call of the library.
const char *const spoils = "try: os.stat('/nonexistent/errno')\nexcept OSError: spoilt.append(1)";

void start_spoilt() {
    start_python();
    attached here;
    run("import os\nspoilt = []\ndef spoil(*_):\n    try: os.stat('/nonexistent/errno')\n    except OSError: "
        "spoilt.append(1)\nclass spoiler:\n    def __getattr__(self, name): spoil(); return 1\n"
        "    def __setattr__(self, name, value): spoil()\n    def __index__(self): spoil(); return 1\n"
        "    def __float__(self): spoil(); return 1.0\n    def __bool__(self): spoil(); return True\n"
        "    def __str__(self): spoil(); return 's'\n    __repr__ = __str__\n"
        "class spoiling_type(type):\n    def __instancecheck__(self, one): spoil(); return True\n"
        "    def __subclasscheck__(self, one): spoil(); return True\n"
        "class questioned(metaclass=spoiling_type): pass\n");
}
// The number of such calls since the last look.
std::int64_t spoilt() {
    const std::int64_t times = eval_int("len(spoilt)");
    run("spoilt.clear()");
    return times;
}
// Queues a reference, which the next drain releases.
void leave_a_spoiler() {
    ref dying = object_with_finalizer(spoils);
    foreign_detach gap;
    dying.drop();
}

} // namespace

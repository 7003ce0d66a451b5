// The library keeps a reference to threading._active while an interpreter runs, and releases it at its end.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"

#include "support/plain_python.hpp"
#include "support/host.hpp"

using namespace support;

CHILD("counts who holds the dict of known threads") {
    start_as_host();
    EXPECT(plain::python().run("import atexit, sys, threading\n"
                               "counts = []\n"
                               "def count(): counts.append(sys.getrefcount(threading._active))\n",
                               nullptr) == 0);
    { attached here; }
    // By hand, because at the real end no callback may be left to run after the library's hook.
    EXPECT(plain::python().run("count()\natexit._run_exitfuncs()\ncount()\n"
                               "print('given back' if counts[0] - counts[1] == 1 else counts, flush=True)\n",
                               nullptr) == 0);
    EXPECT(plain::python().finalize() == 0);
}
TEST_CASE("the library's reference to threading._active is released at exit") {
    auto result = run_child("counts who holds the dict of known threads");
    check_succeeds(result);
    CHECK(result.output.find("given back") != std::string::npos);
}

CHILD("throws the exit callbacks away") {
    start_as_host();
    EXPECT(plain::python().run("import os, threading\n"
                               "class Known(dict):\n"
                               "    def __del__(self, write=os.write): write(1, b'given back')\n"
                               "threading._active = Known(threading._active)\n",
                               nullptr) == 0);
    {
        attached here;
        run("import atexit; atexit._clear()");
    }
    EXPECT(plain::python().finalize() == 0);
}
TEST_CASE("after atexit._clear() the reference to threading._active is released by the end of finalization") {
    auto result = run_child("throws the exit callbacks away");
    check_succeeds(result);
    CHECK(result.output.find("given back") != std::string::npos);
}

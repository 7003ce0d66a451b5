// NumPy, used from warm threads. It lets go of the interpreter in long loops, keeps settings by thread, and its arrays
// die wherever the last reference is dropped.
#include "support/catch.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

TEST_CASE("warm threads compute with arrays at once, in NumPy loops that release the GIL") {
    start_python_with("numpy");
    {
        attached here;
        run("import numpy");
    }
    leave_no_states([] {
        run_on_threads(4, "a thread that computes to end", [](int which) {
            for (int i = 1; i <= 20; ++i) {
                attached here;
                void *state = current_tstate();
                int size = 1000 * i + which;
                EXPECT(eval_int("int(numpy.arange(" + std::to_string(size) + ").sum())") ==
                       std::int64_t{size} * (size - 1) / 2);
                EXPECT(eval_true("(numpy.sort(numpy.arange(5000)[::-1]) == numpy.arange(5000)).all()"));
                EXPECT(current_tstate() == state);
                EXPECT(is_attached());
            }
            EXPECT(!is_attached());
        });
    });
}

TEST_CASE("NumPy's per-thread settings stay with a warm thread and with no other") {
    start_python_with("numpy");
    {
        attached here;
        run("import numpy");
    }
    run_on_thread([] {
        {
            attached here;
            run("numpy.seterr(divide='raise')");
        }
        attached here;
        if (keeps_tstates())
            EXPECT(eval_text("numpy.geterr()['divide']") == "raise");
    });
    run_on_thread([] {
        attached here;
        EXPECT(eval_text("numpy.geterr()['divide']") == "warn");
    });
}

TEST_CASE("arrays that detached threads drop are freed by the next attach") {
    start_python_with("numpy");
    {
        attached here;
        run("import numpy, weakref\n"
            "freed = []\n"
            "def made():\n"
            "    array = numpy.ones(1000)\n"
            "    weakref.finalize(array, freed.append, 1)\n"
            "    return array\n");
    }
    constexpr int count = 50;
    run_on_threads(4, "a thread that drops arrays to end", [](int) {
        std::vector<ref> arrays;
        {
            attached here;
            for (int i = 0; i < count; ++i)
                arrays.push_back(eval("made()"));
        }
        arrays.clear();
    });
    attached here;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_int("len(freed)") == 4 * count);
}

// greenlet: code that leaves a C stack in the middle and comes back to it. It saves the part of the stack that it needs
// elsewhere, so scopes of ours that are open there are moved away and back; nested ones may be, for they only count.
#include "support/catch.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

namespace {

// For Python: nest() calls step() inside a nested scope; gap() detaches and attaches again; hub(n) lets n
// greenlets take turns, each of which leaves its C stack in the middle of nest().
void start_with_greenlets() {
    start_python_with("greenlet");
    attached here;
    publish("nest", native_function([] {
                EXPECT(is_attached());
                attached nested;
                run("step()");
                EXPECT(is_attached());
            }));
    publish("gap", native_function([] {
                void *state = current_tstate();
                {
                    detached gap;
                    EXPECT(!is_attached());
                    attached again;
                    EXPECT(eval_int("1") == 1);
                }
                EXPECT(current_tstate() == state);
            }));
    run("import greenlet\n"
        "def step(): greenlet.getcurrent().parent.switch()\n"
        "def worker(n, order):\n"
        "    for i in range(5):\n"
        "        order.append((i, n))\n"
        "        nest()\n"
        "        gap()\n"
        "def hub(n):\n"
        "    order, all = [], [greenlet.greenlet(worker) for _ in range(n)]\n"
        "    for i, one in enumerate(all): one.switch(i, order)\n"
        "    while all:\n"
        "        for one in all: one.switch()\n"
        "        all = [one for one in all if not one.dead]\n"
        "    return order == [(i, j) for i in range(5) for j in range(n)]\n");
}

} // namespace

TEST_CASE("greenlets switch inside nested scopes, which end in the order in which they began") {
    start_with_greenlets();
    leave_no_states([] {
        run_on_thread([] {
            for (int i = 0; i < 3; ++i) {
                attached here;
                void *state = current_tstate();
                EXPECT(eval_true("hub(4)"));
                EXPECT(current_tstate() == state);
                EXPECT(pyattach_attach_depth() == 1);
                EXPECT(is_attached());
            }
            EXPECT(!is_attached());
        });
    });
}

TEST_CASE("greenlets of several warm threads switch at once, each on its own thread") {
    start_with_greenlets();
    leave_no_states([] {
        run_on_threads(4, "a thread of greenlets to end", [](int) {
            for (int i = 0; i < 10; ++i) {
                attached here;
                EXPECT(eval_true("hub(3)"));
                detached gap;
                attached again;
                EXPECT(eval_true("hub(2)"));
            }
        });
    });
}

TEST_CASE("a greenlet that is left in one attach goes on in the next one of the thread, if its state is kept") {
    start_with_greenlets();
    if (!keeps_tstates())
        return;
    run_on_thread([] {
        {
            attached here;
            run("def sleeper():\n"
                "    heard = []\n"
                "    while True: heard.append(greenlet.getcurrent().parent.switch(list(heard)))\n"
                "left = greenlet.greenlet(sleeper)\n"
                "assert left.switch() == []\n");
        }
        EXPECT(!is_attached());
        {
            attached here;
            EXPECT(eval_true("left.switch('one') == ['one']"));
        }
        attached here;
        EXPECT(eval_true("left.switch('two') == ['one', 'two']"));
        run("del left");
    });
}

TEST_CASE("greenlets that a thread leaves behind when it ends can be dropped by others") {
    start_with_greenlets();
    {
        attached here;
        run("import gc, weakref\n"
            "class Thing: pass\n"
            "left, died = [], []\n"
            "def sleeper():\n"
            "    thing = Thing()\n"
            "    weakref.finalize(thing, died.append, 1)\n"
            "    greenlet.getcurrent().parent.switch()\n");
    }
    leave_no_states([] {
        for (int i = 0; i < 10; ++i)
            run_on_thread([] {
                attached here;
                run("left.append(greenlet.greenlet(sleeper)); left[-1].switch()");
            });
    });
    attached here;
    run("del left[:]\n"
        "gc.collect()\n"
        "other = greenlet.greenlet(lambda: None); other.switch(); del other\n"
        "gc.collect()\n");
    // greenlet itself cannot unwind a stack whose thread is gone; what matters is that nothing crashes or is deleted
    // twice.
    CHECK(eval_int("len(died)") <= 10);
    CHECK(eval_int("1") == 1);
}

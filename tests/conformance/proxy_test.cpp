// Group 7, proxies: an object that attaches by itself with every call.
#include "conformance/conformance.hpp"

namespace {

// An object that may be used on any thread: each of its calls attaches.
class proxy {
  public:
    proxy() {
        pyattach::attached here;
        here.token().run("import threading\n"
                         "class Counter:\n"
                         "    def __init__(self): self.value, self.lock = 0, threading.Lock()\n"
                         "    def increment(self):\n"
                         "        with self.lock: self.value += 1\n");
        counter_ = here.token().eval("Counter()");
    }
    void increment() {
        pyattach::attached here;
        here.token().call_method(counter_, "increment");
    }
    int value() {
        pyattach::attached here;
        return here.token().to<int>(here.token().get_attribute(counter_, "value"));
    }

  private:
    pyattach::owned counter_;
};

} // namespace

TEST_CASE("jni-rs single_thread") {
    start_python();
    proxy adder;
    for (int i = 0; i < 100; ++i)
        adder.increment();
    CHECK(adder.value() == 100);
}
TEST_CASE("jni-rs serialized_threads") {
    start_python();
    auto proxied = std::make_unique<proxy>();
    proxied->increment();
    run_on_thread([&] {
        for (int i = 0; i < 100; ++i)
            proxied->increment();
    });
    proxied->increment();
    CHECK(proxied->value() == 102);
    run_on_thread([&] { proxied.reset(); });
}
TEST_CASE("jni-rs concurrent_threads") {
    start_python();
    proxy adder;
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 8; ++i)
        tasks.push_back(std::make_unique<task>("a calling thread to end", [&] {
            for (int round = 0; round < 10000; ++round)
                adder.increment();
        }));
    for (auto &proxied : tasks)
        proxied->join();
    CHECK(adder.value() == 80000);
}

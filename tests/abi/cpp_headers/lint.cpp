// Each part of the C++ face used once, for tools that analyse headers where they are used. Never run.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>

#include "pyattach/pyattach.hpp"

using namespace pyattach;

int use_scopes() {
    attached here;
    attached there{interpreter::main()};
    token py = here.token();
    detached gap{py};
    int sum = with_attached([](token inner) { return inner.to<int>(inner.eval("5")); });
    sum += during_traverse([] { return 0; });
    return gap.resume() == PYATTACH_OK ? sum : 0;
}

void use_calls(token py) {
    owned list = py.call(py.builtin("list"), "text");
    py.set_attribute(py.import("sys"), "text", 3UL);
    borrowed cast = py.checked_cast(list, py.get_type<std::string>());
    arena pool{py};
    pool.token().keep(py.from(2.5));
    static_cast<void>(pool.from_borrowed_ptr_or_opt(cast.get()));
    static_cast<void>(py.to<std::uint64_t>(list));
    static_cast<void>(py.to<bool>(std::nothrow, list));
    py.detach([](const std::vector<int> &numbers, int &size) { size = static_cast<int>(numbers.size()); },
              std::vector<int>(), std::ref(*std::make_unique<int>()));
}

void use_locks(token py, std::mutex &plain, std::condition_variable &changed, std::thread &thread) {
    static synchronized<int> number{1};
    static once_value<std::string> name;
    mutex lock;
    { locked held{lock}; }
    critical_section section{py, lock};
    with_critical_section(py, number, number,
                          [](entered<int> one, std::optional<entered<int>> other) { one.get() = other ? 1 : 2; });
    ++*number.lock();
    name.get_or_make([] { return std::string("made"); });
    name.set("again");
    auto held = lock_detached(py, plain);
    wait_detached(py, changed, held, [] { return true; });
    join_detached(py, thread);
    const std::chrono::hours hour(1);
    std::ignore = lock.try_lock_for(hour);
    std::ignore = lock_detached_for(py, plain, hour);
    std::ignore = lock_detached(py, plain, lock);
    std::ignore = join_detached_for(thread, hour);
    std::ignore = wait_detached_for(changed, held, hour, [] { return true; });
    std::ignore = wait_detached_for(std::promise<void>().get_future(), hour);
    static recursive_mutex recursive;
    std::lock_guard<recursive_mutex> owned_lock(recursive);
}

struct _object *use_errors(const python_error &raised) {
    return callback([&](token py) {
        raised.restore(py);
        throw_if_raised(py);
        return py.None();
    });
}

std::function<int(shared_owned)> use_owners(token py, std::shared_ptr<int> &number) {
    shared_owned list = py.eval("[1]");
    const attached_only<std::string> text{py, "text"};
    number = std::shared_ptr<int>(std::make_unique<int>().release(), attached_deleter<int>{py});
    const std::unique_ptr<struct _object, decref_deleter> reference(list.copy(py).release(), decref_deleter{py});
    const callback_function<int(shared_owned), throw_errors> length{py, py.builtin("len")};
    if (text.get(py)->empty() || !reference || length(list) != 1)
        return callback_function<int(shared_owned)>();
    return length;
}

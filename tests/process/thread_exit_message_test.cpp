// What the message handler is told of a native thread that ends with a scope open.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <pthread.h>
#include <unistd.h>

using namespace support;

namespace {

size_t count_in(const std::string &text, const char *wanted) {
    size_t found = 0;
    for (size_t at = 0; (at = text.find(wanted, at)) != std::string::npos; ++at)
        ++found;
    return found;
}

} // namespace

CHILD("a thread is told of by its number and name") {
    start_python();
    messages heard;
    std::string number;
    run_on_thread([&] {
        pthread_setname_np(pthread_self(), "forgetful");
        number = "thread " + std::to_string(gettid()) + " (forgetful) ended with ";
        static pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    });
    EXPECT_SENTENCE(count_in(heard.text(), number.c_str()) == 1, heard.text());
    for (const char *wanted :
         {"an attached scope open", "The library detached the thread", "before its thread does", "pthread_exit"})
        EXPECT_SENTENCE(count_in(heard.text(), wanted) == 1, heard.text());
    // An orderly end causes no message.
    run_on_thread([] {
        attached here;
        detached gap;
    });
    EXPECT(count_in(heard.text(), "ended with") == 1);
    // The label tells which scope it was.
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "forgetful");
        static pyattach_attached scope, nested;
        const pyattach_attach_options labelled = attach_options(true, "loading"), inner = attach_options(true, "inner");
        EXPECT(pyattach_attached_begin_with(&scope, &labelled) == PYATTACH_OK);
        EXPECT(pyattach_attached_begin_with(&nested, &inner) == PYATTACH_OK);
    });
    EXPECT_SENTENCE(count_in(heard.text(), " (forgetful): loading ended with an attached scope open") == 1,
                    heard.text());
    // The next thread has neither its label nor its option.
    ref object;
    {
        attached here;
        object = new_object();
    }
    run_on_thread([&] {
        object.drop(); // into the pool
        static pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        EXPECT(pyattach_pool_size() == 0);
    });
    EXPECT_SENTENCE(count_in(heard.text(), "loading") == 1, heard.text());
}
TEST_CASE("the message handler is told which thread ended with a scope open, and what to do") {
    check_succeeds("a thread is told of by its number and name");
}

CHILD("a thread ends in a no_drain scope and attaches once more") {
    start_python();
    static ref object;
    static bool is_drained = false;
    {
        attached here;
        object = new_object();
    }
    // Made after the library's key, so its destructor runs after the library's hook.
    pthread_key_t later_key;
    EXPECT(pthread_key_create(&later_key, [](void *) {
               object.drop(); // into the pool
               attached late;
               is_drained = pyattach_pool_size() == 0;
           }) == 0);
    run_on_thread([&] {
        pthread_setspecific(later_key, &object);
        static pyattach_attached scope;
        const pyattach_attach_options options = attach_options(true);
        EXPECT(pyattach_attached_begin_with(&scope, &options) == PYATTACH_OK);
    });
    EXPECT(is_drained);
}
TEST_CASE("a no_drain scope ends with its thread: a destructor that attaches afterwards drains") {
    check_succeeds("a thread ends in a no_drain scope and attaches once more");
}

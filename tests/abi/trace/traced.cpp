// A program of which trace_test.py reads the trace, in each format: two threads that take turns in Python, a mutex that
// they wait for, a label that JSON and HTML have to escape, and a wait that is not over.
#include <pyattach/pyattach.h>

#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <string>
#include <thread>

namespace {

void must(pyattach_status status) {
    if (status == PYATTACH_OK)
        return;
    std::fprintf(stderr, "%s\n", pyattach_status_message(status));
    std::exit(1);
}

pyattach_mutex mutex = PYATTACH_MUTEX_INIT;

void work(const char *name) {
    pthread_setname_np(pthread_self(), name);
    for (int i = 0; i < 20; ++i) {
        pyattach_attach_options options = {};
        options.struct_size = sizeof options;
        options.label = "</script><b>\"label\" \\ \xff\xc3\xa9";
        pyattach_attached here;
        must(pyattach_attached_begin_with(&here, &options));
        must(pyattach_run("sum(range(20000))", nullptr, nullptr));
        pyattach_mutex_lock(&mutex);
        must(pyattach_run("import time; time.sleep(0.001)", nullptr, nullptr));
        pyattach_mutex_unlock(&mutex);
        pyattach_detached gap;
        must(pyattach_detached_begin(&gap));
        must(pyattach_detached_end(&gap));
        pyattach_attached_end(&here);
    }
}

} // namespace

// traced LIBPYTHON FOLDER
int main(int, char **arguments) {
    const std::string folder = arguments[2];
    must(pyattach_python_load(arguments[1]));
    must(pyattach_interpreter_start());
    must(pyattach_trace_start(nullptr));
    std::thread first(work, "first"), second(work, "second");
    first.join();
    second.join();
    must(pyattach_trace_stop());
    must(pyattach_trace_write((folder + "/trace.json").c_str(), PYATTACH_TRACE_CHROME));
    must(pyattach_trace_write((folder + "/trace.perfetto").c_str(), PYATTACH_TRACE_PERFETTO));
    must(pyattach_trace_write((folder + "/trace.html").c_str(), PYATTACH_TRACE_HTML));
    must(pyattach_interpreter_stop());
}

/* The plugin: starts Python in a process that has none, says what it is, lets native threads count, and ends it. */
#include "plugin.h"

#include <stdio.h>
#include <string.h>

#include "count.h"
#include "summary.h"

#define EXPORT __attribute__((visibility("default")))

static const plugin_host *host;

/* What libpyattach has to say beyond a status: which symbol a Python lacks, why it did not start. */
static void forward(const char *message, void *nothing) {
    (void)nothing;
    host->message(host->context, message);
}

int complain(const plugin_host *to, const char *what, pyattach_status status) {
    char reason[512], sentence[640];
    if (pyattach_error_message(reason, sizeof reason) == 0)
        snprintf(reason, sizeof reason, "%s", pyattach_status_message(status));
    pyattach_error_clear();
    snprintf(sentence, sizeof sentence, "%s: %s", what, reason);
    to->message(to->context, sentence);
    return -1;
}

static int start(const plugin_host *it, const char *libpython, const char *program_name) {
    pyattach_start_options options = {sizeof options, program_name, NULL, 0, 0};
    pyattach_attached here;
    pyattach_status status;
    int result = 0;
    host = it;
    pyattach_set_message_handler(forward, NULL);
    status = pyattach_python_load(libpython);
    if (status != PYATTACH_OK)
        return complain(host, libpython, status);
    status = pyattach_interpreter_start_with(&options);
    if (status == PYATTACH_OK)
        status = pyattach_attached_begin(&here);
    if (status != PYATTACH_OK)
        return complain(host, "Python does not start", status);
    status = summary_prepare();
    if (status != PYATTACH_OK)
        result = complain(host, "this Python cannot parse", status);
    pyattach_attached_end(&here);
    return result;
}

static int describe(char *buffer, size_t size) {
    pyattach_python it = {0};
    pyattach_status status;
    it.struct_size = sizeof it;
    status = pyattach_python_describe(&it);
    if (status != PYATTACH_OK)
        return complain(host, "Python cannot be described", status);
    snprintf(buffer, size, "%u.%u.%u%s%s, %s", it.version_hex >> 24, it.version_hex >> 16 & 0xff,
             it.version_hex >> 8 & 0xff, it.free_threaded ? " free-threaded" : "", it.debug ? " debug" : "", it.path);
    return 0;
}

static int standard_library(char *buffer, size_t size) {
    static const char question[] = "__import__('os').fsencode(__import__('sysconfig').get_path('stdlib'))";
    struct _object *answer = NULL;
    const char *text;
    int result = 0;
    pyattach_attached here;
    pyattach_status status = pyattach_attached_begin(&here);
    if (status != PYATTACH_OK)
        return complain(host, "the standard library cannot be asked for", status);
    status = pyattach_eval(question, NULL, NULL, &answer);
    if (status == PYATTACH_OK)
        status = pyattach_to_bytes(answer, &text, NULL);
    if (status == PYATTACH_OK)
        snprintf(buffer, size, "%s", text);
    else
        result = complain(host, "the standard library cannot be found", status);
    pyattach_decref(answer);
    pyattach_attached_end(&here);
    return result;
}

static int count(const char *const *paths, size_t files, unsigned threads, plugin_counts *counts) {
    return count_definitions(host, paths, files, threads, counts);
}

static int start_trace(void) {
    const pyattach_status status = pyattach_trace_start(NULL);
    return status == PYATTACH_OK ? 0 : complain(host, "no trace can be recorded", status);
}

static int ends_in(const char *text, const char *end) {
    const size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Where the file cannot be written, the message handler is told why. */
static int write_trace(const char *path) {
    const pyattach_trace_format format = ends_in(path, ".html")   ? PYATTACH_TRACE_HTML
                                         : ends_in(path, ".json") ? PYATTACH_TRACE_CHROME
                                                                  : PYATTACH_TRACE_PERFETTO;
    const pyattach_status status = pyattach_trace_stop();
    return status == PYATTACH_OK && pyattach_trace_write(path, format) == PYATTACH_OK ? 0 : -1;
}

static int stop(void) {
    char sentence[80];
    size_t waiting = 0;
    pyattach_attached here;
    pyattach_status status = pyattach_attached_begin(&here);
    if (status == PYATTACH_OK) {
        summary_forget();
        status = pyattach_pool_drain();
        waiting = pyattach_pool_size();
        pyattach_attached_end(&here);
    }
    if (status == PYATTACH_OK)
        status = pyattach_interpreter_stop();
    if (status != PYATTACH_OK)
        return complain(host, "Python did not end in good order", status);
    if (waiting == 0)
        return 0;
    snprintf(sentence, sizeof sentence, "%zu references were never released", waiting);
    host->message(host->context, sentence);
    return -1;
}

EXPORT const plugin *plugin_get(void) {
    static const plugin it = {PLUGIN_VERSION, start, describe, standard_library, count, start_trace, write_trace, stop};
    return &it;
}

// A trace as long as an object lives, and what it recorded, as Python reads it.
#pragma once

#include "pyattach/pyattach.h"
#include "support/expect.hpp"
#include "support/python.hpp"
#include "support/temporary_folder.hpp"

#include <string>

namespace support {

class trace {
  public:
    explicit trace(size_t events_per_thread = 0, bool keep_oldest = false) {
        pyattach_trace_options options = {};
        options.struct_size = sizeof options;
        options.events_per_thread = events_per_thread;
        options.keep_oldest = keep_oldest;
        const pyattach_status status = pyattach_trace_start(&options);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    trace(const trace &) = delete;
    trace &operator=(const trace &) = delete;
    ~trace() { stop(); }
    void stop() {
        if (records_)
            EXPECT(pyattach_trace_stop() == PYATTACH_OK);
        records_ = false;
    }

    // Attached. Writes the trace as JSON, and binds to names in Python's __main__ what it says:
    //   slices    lists of (thread, category, name, begin, end, by, is_open), in the order of their begin
    //   threads   the names of threads by number; kinds: thread, holder or lock
    //   marks     (thread, name) of instants; counts: lists of values by the counter's name; lost
    //   arrows    (thread from, thread to)
    void read() {
        const std::string path = folder_.path + "/trace.json";
        const pyattach_status status = pyattach_trace_write(path.c_str(), PYATTACH_TRACE_CHROME);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
        run("import json\n"
            "trace = json.load(open('" +
            path +
            "', encoding='utf-8'))\n"
            "events, lost = trace['traceEvents'], trace['otherData']['lost']\n"
            "named = {e['tid']: e['args'] for e in events if e['ph'] == 'M' and e['name'] == 'thread_name'}\n"
            "threads = {tid: args['name'] for tid, args in named.items()}\n"
            "kinds = {tid: args['kind'] for tid, args in named.items()}\n"
            "slices = sorted((e['tid'], e['cat'], e['name'], e['ts'], e['ts'] + e['dur'], e['args'].get('by'),\n"
            "                 'open' in e['args']) for e in events if e['ph'] == 'X')\n"
            "slices.sort(key=lambda slice: slice[3])\n"
            "marks = [(threads[e['tid']], e['name']) for e in events if e['ph'] == 'i']\n"
            "counts = {}\n"
            "for e in events:\n"
            "    if e['ph'] == 'C': counts.setdefault(e['name'], []).append(e['args']['value'])\n"
            "begins = {e['id']: e['tid'] for e in events if e['ph'] == 's'}\n"
            "arrows = [(threads[begins[e['id']]], threads[e['tid']]) for e in events if e['ph'] == 'f']\n"
            "def states(name):\n"
            "    return [s[1] for s in slices if threads[s[0]] == name and kinds[s[0]] == 'thread']\n");
    }

  private:
    bool records_ = true;
    temporary_folder folder_;
};

} // namespace support

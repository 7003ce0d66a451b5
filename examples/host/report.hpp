// What the user sees: progress while it runs, a table, what could not be counted.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>

#include "plugin.h"

class report {
  public:
    report();
    // For the plugin; valid as long as this object.
    const plugin_host &host() const { return host_; }

    void begin_run(unsigned threads, std::size_t files);
    void end_run(const plugin_counts &counts, double seconds);
    // Any thread. A sentence on standard error; the rejected files of the first run, since those of the others are the
    // same.
    void message(const char *sentence);
    void rejected(const char *path, const char *reason);
    void file_done();

  private:
    void clear_progress();

    const bool terminal_;
    plugin_host host_;
    std::mutex lock_; // all below
    unsigned threads_ = 0, run_ = 0;
    std::size_t files_ = 0, done_ = 0;
    double first_speed_ = 0;
    std::chrono::steady_clock::time_point shown_;
};

#include "report.hpp"

#include <cinttypes>
#include <cstdio>

#include <unistd.h>

namespace {

report &of(void *context) { return *static_cast<report *>(context); }

} // namespace

report::report() : terminal_(isatty(STDERR_FILENO) == 1), host_() {
    host_.context = this;
    host_.message = [](void *context, const char *sentence) { of(context).message(sentence); };
    host_.rejected = [](void *context, const char *path, const char *why) { of(context).rejected(path, why); };
    host_.file_done = [](void *context) { of(context).file_done(); };
}

void report::begin_run(unsigned threads, std::size_t files) {
    const std::lock_guard<std::mutex> guard(lock_);
    if (run_++ == 0)
        std::printf(
            "threads    files  rejected  functions  classes     lines  seconds  files/s  speed  dropped  released\n");
    std::fflush(stdout);
    threads_ = threads;
    files_ = files;
    done_ = 0;
}

void report::end_run(const plugin_counts &counts, double seconds) {
    const std::lock_guard<std::mutex> guard(lock_);
    clear_progress();
    const double speed = static_cast<double>(counts.files + counts.rejected) / seconds;
    if (run_ == 1)
        first_speed_ = speed;
    std::printf("%7u  %7" PRIu64 "  %8" PRIu64 "  %9" PRIu64 "  %7" PRIu64 "  %8" PRIu64
                "  %7.2f  %7.0f  %4.2fx  %7" PRIu64 "  %8" PRIu64 "\n",
                threads_, counts.files, counts.rejected, counts.functions, counts.classes, counts.lines, seconds, speed,
                speed / first_speed_, counts.dropped, counts.released);
    std::fflush(stdout);
}

void report::message(const char *sentence) {
    const std::lock_guard<std::mutex> guard(lock_);
    clear_progress();
    std::fprintf(stderr, "host: %s\n", sentence);
}

void report::rejected(const char *path, const char *reason) {
    const std::lock_guard<std::mutex> guard(lock_);
    if (run_ > 1)
        return;
    clear_progress();
    std::fprintf(stderr, "%s: %s\n", path, reason);
}

void report::file_done() {
    const std::lock_guard<std::mutex> guard(lock_);
    done_++;
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now - shown_ < std::chrono::milliseconds(50))
        return;
    shown_ = now;
    std::fprintf(stderr, "\r%zu of %zu files, %u thread%s", done_, files_, threads_, threads_ == 1 ? "" : "s");
    std::fflush(stderr);
}

void report::clear_progress() {
    if (terminal_)
        std::fprintf(stderr, "\r\033[K");
}

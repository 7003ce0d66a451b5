// Chrome's trace event format: JSON. One line an event, so that a part of a file can be read, too.
#include "platform/process.hpp"
#include "trace/formats.hpp"

namespace pyattach::trace {
namespace {

class writer {
  public:
    writer(output &to, const timeline &from) noexcept : to_(to), from_(from), process_(own_process_id()) {}

    void write() noexcept {
        to_.text("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"library\":\"libpyattach\"");
        to_.print(",\"lost\":%llu,\"begin_us\":", static_cast<unsigned long long>(from_.lost));
        to_.micros(from_.begin_ns);
        to_.text(",\"end_us\":");
        to_.micros(from_.end_ns);
        to_.text("},\"traceEvents\":[\n");
        to_.print("{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_name\",\"args\":{\"name\":\"Python and threads\"}}",
                  process_);
        for (uint32_t i = 0; i < from_.tracks.size(); ++i)
            name_track(i);
        for (const slice &next : from_.slices)
            write_slice(next);
        for (uint32_t i = 0; i < from_.flows.size(); ++i)
            write_flow(i);
        for (const instant &next : from_.instants) {
            begin("i", next.track, next.at_ns, from_.text(next.name));
            to_.text(",\"s\":\"t\"}");
        }
        for (const sample &next : from_.samples) {
            begin("C", next.track, next.at_ns, from_.tracks[next.track].name);
            to_.print(",\"args\":{\"value\":%llu}}", static_cast<unsigned long long>(next.value));
        }
        to_.text("\n]}\n");
    }

  private:
    // A thread's number is its track's, because the kernel gives the number of an ended thread again.
    void name_track(uint32_t number) noexcept {
        const track &named = from_.tracks[number];
        if (named.what == track_kind::waiting || named.what == track_kind::pool)
            return;
        to_.print(",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":", process_,
                  number + 1);
        to_.json(named.name);
        static const char *const kinds[] = {"thread", "holder", "lock"};
        to_.print(",\"kind\":\"%s\"", kinds[static_cast<unsigned>(named.what)]);
        if (named.what == track_kind::thread)
            to_.print(",\"native_id\":%ld", static_cast<long>(named.native_id));
        to_.text("}}");
        const unsigned order = named.what == track_kind::holder ? 0 : named.what == track_kind::lock ? 100000 : 1000;
        to_.print(
            ",\n{\"ph\":\"M\",\"pid\":%ld,\"tid\":%u,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
            process_, number + 1, order + number);
    }

    void begin(const char *phase, uint32_t track, int64_t at_ns, const char *name) noexcept {
        to_.print(",\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%u,\"ts\":", phase, process_, track + 1);
        to_.micros(at_ns);
        to_.text(",\"name\":");
        to_.json(name);
    }

    // Whether a thread of other code must have had what was waited for: taking what is free takes less than this.
    bool is_for_other_code(const slice &next) const noexcept {
        constexpr int64_t longest_of_free_ns = 50000;
        const bool is_wait = next.what == category::lock || (next.what == category::waiting && !from_.free_threaded);
        return is_wait && next.end_ns - next.begin_ns > longest_of_free_ns;
    }

    void write_slice(const slice &next) noexcept {
        begin("X", next.track, next.begin_ns, from_.text(next.name));
        to_.text(",\"dur\":");
        to_.micros(next.end_ns - next.begin_ns);
        to_.print(",\"cat\":\"%s\",\"args\":{", name_of(next.what));
        const char *comma = "";
        if (next.by != none) {
            to_.text("\"by\":");
            to_.json(from_.tracks[next.by].name);
            to_.print(",\"by_tid\":%u", next.by + 1);
            comma = ",";
        } else if (is_for_other_code(next)) {
            to_.text("\"by\":\"not ours\"");
            comma = ",";
        }
        if (next.is_open)
            to_.print("%s\"open\":true", comma);
        to_.text("}}");
    }

    // An arrow begins and ends inside a slice, so a nanosecond before its end.
    void write_flow(uint32_t number) noexcept {
        const flow &next = from_.flows[number];
        const slice &source = from_.slices[next.from], &target = from_.slices[next.to];
        const int64_t from_ns = next.from_ns > source.begin_ns ? next.from_ns - 1 : source.begin_ns;
        const int64_t to_ns = next.to_ns > target.begin_ns ? next.to_ns - 1 : target.begin_ns;
        begin("s", source.track, from_ns, "let go on");
        to_.print(",\"cat\":\"flow\",\"id\":%u}", number + 1);
        begin("f", target.track, to_ns, "let go on");
        to_.print(",\"cat\":\"flow\",\"id\":%u,\"bp\":\"e\"}", number + 1);
    }

    output &to_;
    const timeline &from_;
    const long process_;
};

} // namespace

void write_chrome(output &to, const timeline &from) noexcept { writer(to, from).write(); }

} // namespace pyattach::trace

// Perfetto's protobuf: track events. The numbers of the fields are those of protos/perfetto/trace in Perfetto, which
// never change; tests/unit/trace/perfetto.proto has those that are written here.
#include <algorithm>

#include "platform/process.hpp"
#include "trace/formats.hpp"
#include "trace/protobuf.hpp"

namespace pyattach::trace {
namespace {

enum field : uint32_t {
    trace_packet = 1,
    packet_timestamp = 8,
    packet_sequence = 10,
    packet_event = 11,
    packet_flags = 13,
    packet_clock = 58,
    packet_descriptor = 60,
    descriptor_uuid = 1,
    descriptor_name = 2,
    descriptor_process = 3,
    descriptor_thread = 4,
    descriptor_parent = 5,
    descriptor_counter = 8,
    process_pid = 1,
    process_name = 6,
    thread_pid = 1,
    thread_tid = 2,
    thread_name = 5,
    event_annotation = 4,
    event_type = 9,
    event_track = 11,
    event_category = 22,
    event_name = 23,
    event_counter = 30,
    event_flow = 47,
    event_terminating_flow = 48,
    annotation_text = 6,
    annotation_name = 10,
};
enum type : uint64_t { begins = 1, ends = 2, is_instant = 3, counts = 4 };
constexpr uint64_t sequence = 1, cleared = 1, monotonic_clock = 3;

// What is written at one moment.
struct step {
    int64_t at_ns;
    type what;
    uint32_t index; // of the slice, the instant or the sample
    int64_t other_end_ns;
};

class writer {
  public:
    writer(output &to, const timeline &from) noexcept : to_(to), from_(from), process_(own_process_id()) {}

    bool write() noexcept {
        describe_process();
        for (uint32_t i = 0; i < from_.tracks.size(); ++i)
            describe(i);
        if (!order_steps())
            return false;
        for (const step &next : steps_)
            write_step(next);
        return !packet_.has_failed() && !event_.has_failed() && !inner_.has_failed();
    }

  private:
    static uint64_t uuid_of(uint32_t track) noexcept { return 0x70796174u + uint64_t{track}; }
    static constexpr uint64_t process_uuid = 0x70796173u;

    void finish_packet() noexcept {
        packet_.number(packet_sequence, sequence);
        message outer;
        outer.inner(trace_packet, packet_);
        to_.write(outer.data(), outer.size());
        packet_.clear();
    }

    void describe_process() noexcept {
        inner_.clear();
        inner_.number(process_pid, static_cast<uint64_t>(process_));
        inner_.text(process_name, "Python and threads");
        event_.clear();
        event_.number(descriptor_uuid, process_uuid);
        event_.inner(descriptor_process, inner_);
        packet_.number(packet_flags, cleared);
        packet_.inner(packet_descriptor, event_);
        finish_packet();
    }

    // A track of a thread belongs to the thread, and the others to the process.
    void describe(uint32_t number) noexcept {
        const track &described = from_.tracks[number];
        event_.clear();
        event_.number(descriptor_uuid, uuid_of(number));
        inner_.clear();
        if (described.what == track_kind::thread && described.native_id) {
            inner_.number(thread_pid, static_cast<uint64_t>(process_));
            inner_.number(thread_tid, static_cast<uint64_t>(described.native_id));
            inner_.text(thread_name, described.name);
            event_.inner(descriptor_thread, inner_);
        } else {
            event_.text(descriptor_name, described.name);
            event_.number(descriptor_parent, process_uuid);
            if (described.what == track_kind::waiting || described.what == track_kind::pool)
                event_.inner(descriptor_counter, inner_);
        }
        packet_.inner(packet_descriptor, event_);
        finish_packet();
    }

    // The end of a slice names no slice: it is that of the track's slice that began last. So a slice ends before
    // another one begins at the same moment, and inner slices begin last and end first. A slice has a length.
    bool order_steps() noexcept {
        for (uint32_t i = 0; i < from_.slices.size(); ++i) {
            const slice &next = from_.slices[i];
            const int64_t end_ns = std::max(next.end_ns, next.begin_ns + 1);
            steps_.push({next.begin_ns, begins, i, end_ns});
            if (!next.is_open)
                steps_.push({end_ns, ends, i, next.begin_ns});
        }
        for (uint32_t i = 0; i < from_.instants.size(); ++i)
            steps_.push({from_.instants[i].at_ns, is_instant, i, 0});
        for (uint32_t i = 0; i < from_.samples.size(); ++i)
            steps_.push({from_.samples[i].at_ns, counts, i, 0});
        if (steps_.has_failed())
            return false;
        std::sort(steps_.begin(), steps_.end(), [](const step &left, const step &right) noexcept {
            if (left.at_ns != right.at_ns)
                return left.at_ns < right.at_ns;
            if ((left.what == ends) != (right.what == ends))
                return left.what == ends;
            if (left.other_end_ns != right.other_end_ns)
                return left.other_end_ns > right.other_end_ns;
            return left.what != right.what ? left.what < right.what : left.index < right.index;
        });
        return true;
    }

    void begin_event(type what, uint32_t track) noexcept {
        event_.clear();
        event_.number(event_type, what);
        event_.number(event_track, uuid_of(track));
    }
    void annotate(const char *name, const char *text) noexcept {
        inner_.clear();
        inner_.text(annotation_name, name);
        inner_.text(annotation_text, text);
        event_.inner(event_annotation, inner_);
    }

    void write_step(const step &next) noexcept {
        if (next.what == begins) {
            begin_slice(from_.slices[next.index]);
        } else if (next.what == ends) {
            begin_event(ends, from_.slices[next.index].track);
        } else if (next.what == is_instant) {
            begin_event(is_instant, from_.instants[next.index].track);
            event_.text(event_name, from_.text(from_.instants[next.index].name));
        } else {
            begin_event(counts, from_.samples[next.index].track);
            event_.number(event_counter, from_.samples[next.index].value);
        }
        packet_.number(packet_timestamp, static_cast<uint64_t>(next.at_ns));
        packet_.number(packet_clock, monotonic_clock);
        packet_.inner(packet_event, event_);
        finish_packet();
    }

    // A flow goes from a slice to one that begins later. So it ends at the slice that follows the wait.
    void begin_slice(const slice &next) noexcept {
        begin_event(begins, next.track);
        event_.text(event_category, name_of(next.what));
        event_.text(event_name, from_.text(next.name));
        if (next.by != none)
            annotate("by", from_.tracks[next.by].name);
        for (uint32_t out = next.flow_out; out != none; out = from_.flows[out].previous)
            event_.fixed64(event_flow, out + 1);
        if (next.resumed_by != none)
            event_.fixed64(event_terminating_flow, next.resumed_by + 1);
    }

    output &to_;
    const timeline &from_;
    const long process_;
    message packet_, event_, inner_;
    growing<step> steps_;
};

} // namespace

bool write_perfetto(output &to, const timeline &from) noexcept { return writer(to, from).write(); }

} // namespace pyattach::trace

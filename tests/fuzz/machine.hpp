// A thread that makes any call of the library at any time, and what each of them must answer: a model that knows
// nothing but the headers. What must be refused with a status is called as often as what must succeed; what aborts is
// called by misuse() alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pyattach/pyattach.h"

namespace fuzz {

using object = struct ::_object;

// Where choices come from: a seed, or bytes.
class source {
  public:
    source() = default;
    source(const source &) = delete;
    source &operator=(const source &) = delete;
    virtual ~source() = default;
    virtual unsigned below(unsigned limit) = 0;
    virtual bool is_over() const { return false; }
};

class seeded : public source {
  public:
    explicit seeded(uint64_t seed) : state_(seed) {}
    unsigned below(unsigned limit) override {
        // splitmix64
        uint64_t mixed = state_ += 0x9E3779B97F4A7C15u;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
        return static_cast<unsigned>((mixed ^ (mixed >> 31)) >> 33) % limit;
    }

  private:
    uint64_t state_;
};

class bytes : public source {
  public:
    bytes(const uint8_t *data, size_t size) : at_(data), end_(data + size) {}
    unsigned below(unsigned limit) override { return at_ == end_ ? 0 : *at_++ % limit; }
    bool is_over() const override { return at_ == end_; }

  private:
    const uint8_t *at_, *end_;
};

constexpr int mutexes = 4, onces = 64;

// What the threads share.
struct world {
    pyattach_interpreter *main = nullptr; // of the life that runs, or ran last
    bool is_up = false;
    object *probe = nullptr; // what references are taken to
    // What calls are made with.
    object *number = nullptr, *text = nullptr, *data = nullptr, *type = nullptr, *failure = nullptr, *kind = nullptr;
    std::string library; // the libpython in use
    pyattach_mutex mutex[mutexes] = {}, section_mutex[2] = {};
    pyattach_once once[onces] = {};
    std::atomic<int> exits{0}, callbacks{0};
};

// What the statistics have to say about it.
struct tally {
    uint64_t attaches = 0, nested = 0, refused = 0, detaches = 0, drops_now = 0, drops_queued = 0, drops_leaked = 0;
    uint64_t unraisable = 0, steps = 0;
};

class machine {
  public:
    machine(world &in, source &from) : world_(in), from_(from) {}
    machine(const machine &) = delete;
    machine &operator=(const machine &) = delete;

    // One call, or one with its opposite.
    void step();
    // Ends what is open, in some order that is allowed, and gives back what is held.
    void settle();
    // Something that aborts; false: not here.
    bool misuse(unsigned which);
    const tally &counted() const { return counted_; }
    // The last calls, for the message of what failed.
    std::string trail() const;

  private:
    enum class kind { outer, nested, gap, traverse, section };
    struct item {
        kind what;
        bool had_error = false;
        union {
            pyattach_attached attached;
            pyattach_detached detached;
            pyattach_forbidden forbidden;
            pyattach_critical_section section;
        };
    };

    // The model.
    bool is_attached() const;
    bool is_forbidden() const { return traverses_ > 0; }
    int depth() const;
    bool may_end(size_t index) const;
    size_t top_frame(size_t before) const;
    // What a call that needs an attached thread must answer.
    pyattach_status expected() const;

    void look();
    void begin_attached();
    void begin_detached();
    void begin_forbidden();
    void begin_section();
    void end_one();
    void end(size_t index);
    void references();
    void interpreters();
    void callbacks();
    void locks();
    void once();
    void settings();
    // machine_calls.cpp
    void call();
    void convert();
    void errors();
    void expect_result(pyattach_status status, object *result);
    void expect_raised(pyattach_status status);
    void expect_invalid();

    void note(const char *what) { trail_[counted_.steps % trail_size] = what; }
    item *add(kind what);
    void drop(object *reference);

    static constexpr size_t trail_size = 24;
    world &world_;
    source &from_;
    tally counted_;
    std::vector<std::unique_ptr<item>> open_;
    std::vector<std::unique_ptr<item>> ended_; // the last scope that ended, for misuse
    int traverses_ = 0, held_ = 0;
    void *state_ = nullptr;
    bool raised_ = false; // an exception is pending in this thread's state
    unsigned locked_ = 0; // bits
    const char *trail_[trail_size] = {};
};

} // namespace fuzz

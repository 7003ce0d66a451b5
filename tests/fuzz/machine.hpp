// A thread that makes any call of the library at any time, and what each of them must answer: a model that knows
// nothing but the headers. What must be refused with a status is called as often as what must succeed; what aborts is
// called by misuse() alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "pyattach/pyattach.h"
#include "pyattach/recursive_mutex.hpp"
#include "support/expect.hpp"

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
    pyattach::recursive_mutex recursive;
    std::mutex plain;
    std::timed_mutex timed;
    std::shared_timed_mutex shared;
    // Holds that any thread may end.
    std::mutex holds_lock;
    std::vector<std::unique_ptr<pyattach_hold>> holds;
    std::atomic<int> finalizers_made{0}, finalizers_called{0};
    // What a callback found wrong, which must not throw: a sentence.
    std::atomic<const char *> broken{nullptr};
    std::atomic<int> threads_ended{0}; // that the thread hook was told of
};

// What the statistics have to say about it.
struct tally {
    uint64_t attaches = 0, nested = 0, refused = 0, detaches = 0, drops_now = 0, drops_queued = 0, drops_leaked = 0;
    uint64_t unraisable = 0, steps = 0;
    // What pyattach_gilstate_this_tstate may have done on a thread that keeps no thread state.
    uint64_t perhaps_attaches = 0, perhaps_refused = 0;
};

// An exit callback that one machine has registered. It lives as long as the process, as it may be called at any end.
struct registration {
    registration(world &of, uint64_t count, std::atomic<uint64_t> &last) : in(of), number(count), called_last(last) {}
    world &in;
    uint64_t number; // of the machine's registrations; the later one is called first
    std::atomic<uint64_t> &called_last;
};

class machine {
  public:
    machine(world &in, source &from);
    ~machine();
    machine(const machine &) = delete;
    machine &operator=(const machine &) = delete;

    // One call, or one with its opposite.
    void step();
    // Ends what is open, in some order that is allowed, and gives back what is held.
    void settle();
    // Something that aborts; false: not here.
    bool misuse(unsigned which);
    const tally &counted() const { return counted_; }
    // The machine of the calling thread, in a call of the library; NULL: another thread.
    static machine *calling();
    // The thread hook is called on this machine's thread.
    void on_attached(pyattach_interpreter *);
    // The last calls, for the message of what failed.
    std::string trail() const;

  private:
    // ensured, acquired, saved: by gilstate.h, an ensure that attached, a restore that attached, and a save. foreign: a
    // PyGILState_Ensure that is not routed, and attached.
    enum class kind { outer, nested, gap, traverse, section, ensured, acquired, saved, foreign };
    struct item {
        kind what;
        bool had_error = false;
        bool no_drain = false;
        int ensures_before = 0; // how many nested ensures were open when it began
        void *tstate = nullptr; // saved: the one to restore
        union {
            pyattach_attached attached;
            pyattach_detached detached;
            pyattach_forbidden forbidden;
            pyattach_critical_section section;
        };
    };

    // The model.
    static bool is_attach(kind what) {
        return what == kind::outer || what == kind::ensured || what == kind::acquired || what == kind::foreign;
    }
    static bool is_gap(kind what) { return what == kind::gap || what == kind::saved; }
    static bool is_frame(kind what) { return is_attach(what) || is_gap(what); }
    bool is_attached() const;
    bool is_forbidden() const { return traverses_ > 0; }
    int depth() const;
    bool is_open(kind what) const;
    // Whether no foreign code may run when the thread attaches now.
    bool is_quiet() const;
    bool may_end(size_t index) const;
    size_t top_frame(size_t before) const;
    // What a call that needs an attached thread must answer.
    pyattach_status expected() const;

    void look();
    // Makes a call that may attach. What runs inside is checked: destructors and the thread hook only where they may.
    template <class Call> auto attaching(bool is_quiet, Call call);
    void begin_attached();
    pyattach_status begin_with(item &, pyattach_status &right);
    void begin_with_nothing(item &);
    void opened(std::unique_ptr<item> made, kind what);
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
    // machine_routed.cpp
    void routed();
    void ensure();
    void release_nested();
    void save();
    void restore();
    void own_tstate();
    void two_tstates();
    void begin_foreign();
    void end_routed(item &);
    bool end_by_deletion();
    void settle_ensures();
    bool misuse_routed(unsigned which);
    // machine_locks.cpp
    void recursive();
    void lock_for();
    void several();
    bool holds_lock() const { return locked_ || recursions_; }
    // machine_world.cpp
    void holds();
    void mortals();
    void settle_holds();
    void housekeeping();
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
    std::vector<std::unique_ptr<pyattach_hold>> own_holds_;
    std::vector<object *> mortals_; // objects that call this file's finalizer
    std::vector<registration *> registered_;
    uint64_t registrations_ = 0;
    std::atomic<uint64_t> &called_last_ = *new std::atomic<uint64_t>(0); // outlives the machine, as a registration does
    int traverses_ = 0, held_ = 0, ensures_ = 0, recursions_ = 0;
    bool is_attaching_ = false, hook_allowed_ = false;
    void *state_ = nullptr;
    bool raised_ = false; // an exception is pending in this thread's state
    unsigned locked_ = 0; // bits
    const char *trail_[trail_size] = {};
};

// How many of the finalizers of mortals() were called on this thread.
int &finalized_here();

template <class Call> auto machine::attaching(bool is_quiet, Call call) {
    const int before = finalized_here();
    hook_allowed_ = !is_quiet;
    is_attaching_ = true;
    auto answer = call();
    is_attaching_ = false;
    EXPECT_SENTENCE(!is_quiet || finalized_here() == before, "a destructor ran where none may");
    return answer;
}

} // namespace fuzz

// The soak: all that the library does, at the same time, in a process that ends at a random moment.
//
// One process is one slice of the soak. Its seed decides which acts its threads play and how often, who starts and ends
// Python and how, and how the process ends. The threads are *actors*; each has dice of its own, so that a seed repeats
// the choices of every thread, as far as a race can be repeated. Each keeps a trail of its last acts, which is printed
// when something is wrong. tools/soak runs slice after slice.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "fuzz/world.hpp"
#include "pyattach/pyattach.h"

namespace soak {

using object = struct ::_object;

// --- Checks: they do not throw, because they also stand in destructors that Python calls
// ------------------------------

// Prints what is wrong, the seed and the trails. With a driver the process then waits for its debugger.
[[noreturn]] void wrong(const char *file, int line, const char *what, const char *more = "");
#define HOLDS(condition) ((condition) ? void() : ::soak::wrong(__FILE__, __LINE__, "not so: " #condition))
#define HOLDS_STATUS(status, condition)                                                                                \
    ((condition) ? void() : ::soak::wrong(__FILE__, __LINE__, "not so: " #condition, pyattach_status_message(status)))

// Prints the trails on SIGUSR2, and before the process ends by a signal.
void watch_signals();

// --- Actors
// -----------------------------------------------------------------------------------------------------------

// A reference, and the interpreter that its object belongs to.
struct held_reference {
    object *reference;
    pyattach_interpreter *interpreter;
};

struct trail;

class actor {
  public:
    actor(const char *role, std::uint64_t seed);
    actor(const actor &) = delete;
    actor &operator=(const actor &) = delete;
    ~actor(); // gives back what it holds

    unsigned below(unsigned limit) { return dice_.below(limit); }
    bool one_in(unsigned number) { return below(number) == 0; }
    std::uint64_t new_seed() { return std::uint64_t(below(1u << 30)) << 30 | below(1u << 30); }
    fuzz::source &dice() { return dice_; }
    // `act` is valid for ever.
    void note(const char *act);

    void keep(object *reference);
    void give_one_back();
    void give_all_back();

    std::vector<held_reference> held;
    bool is_host = false;     // this thread started the life that runs, and ends it
    bool is_in_child = false; // of a fork: other actors are gone, and what they had locked stays locked
    bool is_in_sub = false;   // attached to a sub-interpreter
    bool has_section = false; // inside a critical section, which a detached scope would suspend
    bool has_error = false;   // an exception is pending, so that Python must not be called
    bool is_worker = false;   // the end of Python waits for this thread in an exit callback
    int depth = 0, gaps = 0;  // of scopes
    double until = 0;         // of the second host

  private:
    fuzz::seeded dice_;
    trail *const trail_;
};

// Waits for ever, as the contract asks of code with Python's frames around it when the interpreter has ended.
[[noreturn]] void park(actor &);
void pause_us(unsigned microseconds);

// --- What the actors share; never destroyed, as a process may end while they go on
// ------------------------------------

constexpr int natives = 6, most_subs = 3, mutexes = 3, onces = 256;

struct stage {
    std::uint64_t seed = 0;
    int lives = 0;
    bool has_driver = false;
    std::atomic<bool> is_over{false};
    std::atomic<bool> is_ending{false};      // this life
    std::atomic<bool> has_met_python{false}; // in this life
    bool has_one_life = false;               // this slice
    bool has_two_hosts = false;              // this slice
    std::atomic<bool> may_fork{false};       // in this life: else it may have sub-interpreters
    std::atomic<bool> wants_exit{false};     // some native thread is to call exit()
    // Shared by threads in dlopen and dlclose: glibc does not put the loader's lock in order in the child of a fork.
    std::shared_mutex loader;
    std::mutex forking; // the thread that calls exit() never unlocks it
    std::atomic<int> actors_alive{0}, parked{0};
    std::atomic<std::uint64_t> acts{0}, objects_made{0}, objects_died{0}, forks{0}, threads{0}, loads{0}, subs_ended{0};
    std::atomic<pyattach_interpreter *> ended{nullptr}; // some handle of a life that has ended
    std::atomic<pyattach_interpreter *> subs[most_subs] = {};
    // Locks of the library, and what they protect.
    pyattach_mutex mutex[mutexes] = {};
    std::atomic<int> inside_mutex[mutexes] = {};
    pyattach_mutex section_mutex[2] = {};
    pyattach_once once[onces] = {};
    std::atomic<int> once_done[onces] = {};
};
stage &on_stage();

// --- Acts
// -------------------------------------------------------------------------------------------------------------

// A way to be left out: `is_possible` answers false where CPython itself would fail, and a comment says why.
struct act {
    const char *name;
    unsigned weight;
    // Of an inner act: false if the interpreter has ended meanwhile, so that the thread has to unwind. Of an outer act
    // without a meaning.
    bool (*play)(actor &);
    bool (*is_possible)(const actor &);
};
inline bool always(const actor &) { return true; }

// Takes acts out of this slice, and changes the weights of the others: chance that is the same for all threads finds
// less than chance that differs from slice to slice. `only` and `without` are names, separated by commas.
void choose_acts(fuzz::source &, const std::string &only, const std::string &without);
std::string chosen_acts();
std::string all_acts();
bool is_left_out(const std::string &slice_act);

// Plays one act of a thread that is not attached, or one of a thread attached by the library.
void play_outer(actor &);
bool play_inner(actor &);
// Several, until the interpreter has ended.
bool play_inside(actor &);

// The lists that the tables are made of.
extern const std::vector<act> scope_acts, outer_scope_acts, lock_acts, thread_acts, outer_thread_acts, fork_acts,
    outer_fork_acts, outer_hold_acts, interpreter_acts, plugin_acts, python_acts, model_acts;

// An attached scope around play_inside(); false: refused. `where` NULL: the main interpreter.
bool attach_and_play(actor &, pyattach_interpreter *interp = nullptr);
// A detached scope around things that need no interpreter; false as above.
bool detach_and_play(actor &);
// Whether a status says that no interpreter can be had.
inline bool is_refusal(pyattach_status status) {
    return status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED;
}

object *new_object();
// A thread that plays for a moment and ends in some way. Waits for it, or lets it go on alone.
void run_short_thread(actor &, bool waits);
// For a host, attached: makes or ends a sub-interpreter.
void change_subs(actor &);
void end_subs(actor &);
// For a host, attached: threads of Python's own that come back into native code.
void start_python_threads(actor &, bool is_last_life);
// The fuzz machines' world in this generation. Not attached.
void open_model();
void close_model();
void find_plugins(const std::string &folder);
// For a host that is about to end Python. Not attached.
void register_plugins();
// For a thread that is not attached and is about to call exit().
void forbid_forks();
// Called before the library finds Python.
void keep_pool_around_forks();

// --- Lives
// ------------------------------------------------------------------------------------------------------------

// Restarts Python until `seconds` are over, and then the end of the process.
[[noreturn]] void live(unsigned seconds);
// How long the slice has lasted.
double seconds_lived();

// What must not grow: see growth_limits.cpp. Checked after each generation (not attached, Python has
// finalized) and sometimes during it, by a host.
void look_at_ceilings(bool is_between_lives, unsigned seconds_in_all);
void begin_life_below_ceilings();
std::string ceilings_report();

} // namespace soak

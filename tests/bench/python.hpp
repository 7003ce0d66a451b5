// Python as the rows need it: nothing here is measured.
#pragma once

#include <string>
#include <vector>

#include "peers.hpp"

namespace bench {

struct about_python {
    std::string version, kind, where;
    bool is_free_threaded;
};
about_python describe_python(); // attached

// Attaches for the life of a block, through the C API: what is measured is not used to set it up.
class attached_by_c_api {
  public:
    attached_by_c_api();
    ~attached_by_c_api();
    attached_by_c_api(const attached_by_c_api &) = delete;
    attached_by_c_api &operator=(const attached_by_c_api &) = delete;

  private:
    int before_;
};

class detached_by_c_api {
  public:
    detached_by_c_api();
    ~detached_by_c_api();
    detached_by_c_api(const detached_by_c_api &) = delete;
    detached_by_c_api &operator=(const detached_by_c_api &) = delete;

  private:
    void *state_;
};

// Attached. A new object of no special kind; a new function of Python's that does nothing.
object *new_object();
object *new_function();
// Attached. That many more references to it.
void add_references(object *, long n);
void give_back(object *);
// Attached. Calls a function without arguments, as the C API does.
void call(object *function);
// Any thread that has none: as an attach of a thread that Python never saw, and the thread's end.
struct bare_state;
bare_state *new_bare_state(); // it was attached once
void delete_bare_state(bare_state *);
// Makes the heap of the process as busy as that of a program which ran for a while. Attached.
void churn();

} // namespace bench

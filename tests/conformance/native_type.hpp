// Types made in C for the tests about traversing: one derived from `Holder` of support/traversed.hpp, plain ones, and
// their slots called by hand, as the collector calls them.
#pragma once

#include "conformance/conformance.hpp"
#include "support/traversed.hpp"

namespace native {

constexpr int slot_clear = 51, slot_dealloc = 52, slot_traverse = 71;
constexpr unsigned flag_default = 1u << 18, flag_base = 1u << 10, flag_collected = 1u << 14;

using visitor = int (*)(object *, void *);
using traverse_function = int (*)(object *, visitor, void *);

struct slot {
    int number;
    void *function;
};

// Publishes a type under `name`. `more` bytes follow what the base has, or a plain object if there is none.
inline ref make_type(const char *name, std::size_t more, unsigned flags, std::vector<slot> slots,
                     object *base = nullptr) {
    struct {
        const char *name;
        int basic_size, item_size;
        unsigned flags;
        slot *slots;
    } what;
    std::string size_of = base ? "Holder.__basicsize__" : "object.__basicsize__";
    slots.push_back({0, nullptr});
    what = {name, static_cast<int>(eval_int(size_of)) + static_cast<int>(more), 0, flag_default | flag_base | flags,
            slots.data()};
    ref bases;
    if (base)
        bases = ref(cpython<object *(std::ptrdiff_t, ...)>("PyTuple_Pack")(1, base));
    ref type(cpython<object *(void *, object *)>("PyType_FromSpecWithBases")(&what, bases.get()));
    if (!type)
        throw_python_error("PyType_FromSpecWithBases");
    publish(std::string(name).substr(std::string(name).find('.') + 1).c_str(), type);
    return type;
}

inline void *slot_of(object *type, int number) {
    void *found = cpython<void *(object *, int)>("PyType_GetSlot")(type, number);
    EXPECT(found);
    return found;
}

// What one traversal visits; `stop_at` is answered with 7.
struct traversal {
    std::vector<object *> seen;
    object *stop_at = nullptr;
    int result = 0;
    explicit traversal(object *of, object *stop = nullptr) : stop_at(stop) {
        auto look = [](object *reference, void *arg) {
            auto *me = static_cast<traversal *>(arg);
            me->seen.push_back(reference);
            return reference == me->stop_at ? 7 : 0;
        };
        auto function = reinterpret_cast<traverse_function>(slot_of(type_without_counting(of), slot_traverse));
        result = function(of, look, this);
    }
    long count(object *reference) const {
        long times = 0;
        for (object *each : seen)
            times += each == reference;
        return times;
    }
};

inline void clear(object *of) {
    reinterpret_cast<int (*)(object *)>(slot_of(type_without_counting(of), slot_clear))(of);
}

// `Derived(x)`: a Holder of x that may hold one object more, set with set_own. Its hooks call the base's first.
struct derived {
    static inline object *base;
    static inline std::ptrdiff_t offset;
    static inline int destroyed, own_parts_traversed;

    static object *&own(object *self) { return *reinterpret_cast<object **>(reinterpret_cast<char *>(self) + offset); }
    static void set_own(object *self, object *to) { own(self) = second_reference(to); }
    static int traverse(object *self, visitor visit, void *arg) {
        return pyattach::during_traverse([&] {
            int stop = reinterpret_cast<traverse_function>(slot_of(base, slot_traverse))(self, visit, arg);
            if (stop)
                return stop;
            ++own_parts_traversed;
            return own(self) ? visit(own(self), arg) : 0;
        });
    }
    static int clear(object *self) {
        pyattach_decref(std::exchange(own(self), nullptr));
        return reinterpret_cast<int (*)(object *)>(slot_of(base, slot_clear))(self);
    }
    static void deallocate(object *self) {
        cpython<void(void *)>("PyObject_GC_UnTrack")(self);
        ++destroyed;
        pyattach_decref(std::exchange(own(self), nullptr));
        reinterpret_cast<void (*)(object *)>(slot_of(base, slot_dealloc))(self);
    }
    static ref make(object *holder) {
        base = holder;
        offset = eval_int("Holder.__basicsize__");
        destroyed = own_parts_traversed = 0;
        return make_type("tests.Derived", sizeof(object *), flag_collected,
                         {{slot_traverse, reinterpret_cast<void *>(traverse)},
                          {slot_clear, reinterpret_cast<void *>(clear)},
                          {slot_dealloc, reinterpret_cast<void *>(deallocate)}},
                         holder);
    }
};

} // namespace native

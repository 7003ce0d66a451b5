// A garbage-collected type made in C: PyType_FromSpec with the slot numbers of the stable ABI.
#include "support/traversed.hpp"

#include <cstddef>

namespace support {
namespace {

constexpr int slot_clear = 51, slot_dealloc = 52, slot_init = 60, slot_traverse = 71;
constexpr unsigned flag_default = 1u << 18, flag_base = 1u << 10, flag_collected = 1u << 14;

struct slot {
    int number;
    void *function;
};
struct specification {
    const char *name;
    int basic_size, item_size;
    unsigned flags;
    slot *slots;
};

traversed_behaviour behaviour;
std::string failed;
std::ptrdiff_t payload; // where our field begins: the size of a plain object

object *&held_by(object *self) { return *reinterpret_cast<object **>(reinterpret_cast<char *>(self) + payload); }

int traverse(object *self, int (*visit_one)(object *, void *), void *arg) {
    visit visitor = [&](object *reference) { return reference ? visit_one(reference, arg) : 0; };
    try {
        int stop = behaviour.traverse ? behaviour.traverse(held_by(self), visitor) : visitor(held_by(self));
        return stop || !behaviour.visits_type ? stop : visitor(type_without_counting(self));
    } catch (const std::exception &error) {
        failed += error.what();
        return -1;
    }
}

int clear(object *self) {
    object *held = std::exchange(held_by(self), nullptr);
    if (!held)
        return 0;
    try {
        behaviour.drop ? behaviour.drop(held) : pyattach_decref(held);
    } catch (const std::exception &error) {
        failed += error.what();
    }
    return 0;
}

void deallocate(object *self) {
    static auto *const untrack = cpython<void(void *)>("PyObject_GC_UnTrack");
    static auto *const free_object = cpython<void(void *)>("PyObject_GC_Del");
    static auto *const type_of = cpython<object *(object *)>("PyObject_Type");
    untrack(self);
    clear(self);
    object *type = type_of(self);
    free_object(self);
    pyattach_decref(type); // ours
    pyattach_decref(type); // the instance's
}

int initialize(object *self, object *arguments, object *) {
    static auto *const item = cpython<object *(object *, std::ptrdiff_t)>("PySequence_GetItem");
    object *first = item(arguments, 0);
    if (!first)
        return -1;
    held_by(self) = first;
    return 0;
}

} // namespace

ref make_traversed_type(traversed_behaviour wanted) {
    behaviour = std::move(wanted);
    failed.clear();
    payload = eval_int("object.__basicsize__");
    slot slots[] = {{slot_traverse, reinterpret_cast<void *>(traverse)},
                    {slot_clear, reinterpret_cast<void *>(clear)},
                    {slot_dealloc, reinterpret_cast<void *>(deallocate)},
                    {slot_init, reinterpret_cast<void *>(initialize)},
                    {0, nullptr}};
    specification what = {"tests.Holder", static_cast<int>(payload + sizeof(object *)), 0,
                          flag_default | flag_base | flag_collected, slots};
    ref type(cpython<object *(specification *)>("PyType_FromSpec")(&what));
    EXPECT(type.get());
    publish("Holder", type);
    return type;
}

// On every build the type is the last word of what all objects have.
object *type_without_counting(object *of) {
    return *reinterpret_cast<object **>(reinterpret_cast<char *>(of) + payload - sizeof(object *));
}

std::string traversed_failure() { return failed; }

} // namespace support

// The pending exception in words: looked at without being touched.
#include "objects/error_message.hpp"

#include <cstring>

#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

// Text that may be longer than its place: what fits is kept, whole characters only, and what would have been the length
// is counted.
class cut_text {
  public:
    cut_text(char *buffer, size_t size) noexcept : at_(buffer), room_(buffer && size ? size - 1 : 0) {
        if (buffer && size)
            *buffer = '\0';
    }

    // `text` begins at a character's edge.
    void append(const char *text, size_t size) noexcept {
        length_ += size;
        bool fits = size <= room_;
        if (!fits) {
            size = room_;
            while (size > 0 && is_inside_character(text[size]))
                --size;
        }
        // After a cut nothing may follow, not even a shorter text.
        room_ = fits ? room_ - size : 0;
        if (size > 0) {
            std::memcpy(at_, text, size);
            at_ += size;
            *at_ = '\0';
        }
    }

    size_t length() const noexcept { return length_; }

  private:
    static bool is_inside_character(char byte) noexcept { return (byte & 0xC0) == 0x80; }

    char *at_;
    size_t room_, length_ = 0;
};

struct exception {
    object *type, *value, *traceback;
};

// Lone surrogates, which messages about file names may hold, come out as \udcff, as Python prints them.
void append_message(object *value, cut_text &out) {
    object *text = value ? python().str(value) : nullptr;
    object *bytes = text ? python().str_encode(text, "utf-8", "backslashreplace") : nullptr;
    char *message = nullptr;
    ptrdiff_t size = 0;
    if (bytes && python().bytes_view(bytes, &message, &size) == 0 && size > 0) {
        out.append(": ", 2);
        out.append(message, static_cast<size_t>(size));
    }
    python().decref(bytes);
    python().decref(text);
    // Whatever failed above: nobody asked for it.
    python().error_clear();
}

void describe(const exception &pending, cut_text &out) {
    // An exception may be pending as a type and the argument for it, with the object still to be made. Made here from a
    // copy, so that the pending one stays as it is.
    exception shown = pending;
    python().incref(shown.type);
    python().incref(shown.value);
    python().incref(shown.traceback);
    python().error_normalize(&shown.type, &shown.value, &shown.traceback);

    // If making it raised, `shown` is that exception instead: neither the same type nor the same object.
    bool is_it = shown.type == pending.type || shown.value == pending.value;
    object *type = is_it ? shown.type : pending.type;
    // As tracebacks name it: the type's own name, without the modules that the names of built-in types begin with.
    const char *name = python().exception_name(type);
    if (const char *dot = std::strrchr(name, '.'))
        name = dot + 1;
    out.append(name, std::strlen(name));
    if (is_it)
        append_message(shown.value, out);

    python().decref(shown.type);
    python().decref(shown.value);
    python().decref(shown.traceback);
}

} // namespace

size_t error_message(char *buffer, size_t size) noexcept {
    cut_text out(buffer, size);
    if (require_attached() != PYATTACH_OK)
        return 0;
    guarded([&out] {
        if (!python().error_occurred())
            return;
        // Out of the way first: code run with an exception pending would take it for its own.
        exception pending;
        python().error_fetch(&pending.type, &pending.value, &pending.traceback);
        describe(pending, out);
        python().error_restore(pending.type, pending.value, pending.traceback);
    });
    return out.length();
}

void error_clear() noexcept {
    if (require_attached() != PYATTACH_OK)
        return;
    // The exception may be the last to hold a traceback, and so whole frames with everything in them.
    guarded([] { python().error_clear(); });
}

} // namespace pyattach::call

// Error message: the pending exception as text. The exception itself stays as it is.
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

// Text that may be longer than its buffer. The buffer gets as many whole characters as fit, and length() is that of
// the whole text.
class truncated_text {
  public:
    truncated_text(char *buffer, size_t size) noexcept : end_(buffer), left_(buffer && size ? size - 1 : 0) {
        if (buffer && size)
            *buffer = '\0';
    }

    // `text` begins with a whole character.
    void append(const char *text, size_t size) noexcept {
        length_ += size;
        const bool fits = size <= left_;
        if (!fits) {
            size = left_;
            while (size > 0 && is_inside_character(text[size]))
                --size;
        }
        // After a truncation nothing may follow, not even a shorter text.
        left_ = fits ? left_ - size : 0;
        if (size > 0) {
            std::memcpy(end_, text, size);
            end_ += size;
            *end_ = '\0';
        }
    }

    size_t length() const noexcept { return length_; }

  private:
    static bool is_inside_character(char byte) noexcept { return (byte & 0xC0) == 0x80; }

    char *end_;
    size_t left_, length_ = 0;
};

struct exception {
    object *type, *value, *traceback;
};

// Lone surrogates, which messages about file names may contain, become \udcff, as Python prints them.
void append_message(object *value, truncated_text &out) {
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
    // An error above is not the caller's exception, so it is cleared.
    python().error_clear();
}

void describe(const exception &pending, truncated_text &out) {
    // A pending exception may be a type and an argument, from which the object is not made yet. The object is made from
    // a copy here, so that the pending exception stays as it is.
    exception shown = pending;
    python().incref(shown.type);
    python().incref(shown.value);
    python().incref(shown.traceback);
    python().error_normalize(&shown.type, &shown.value, &shown.traceback);

    // If making the object raised, `shown` is the exception that was raised: another type and another object.
    const bool is_same = shown.type == pending.type || shown.value == pending.value;
    object *type = is_same ? shown.type : pending.type;
    // The name as tracebacks show it, without the module with which the names of built-in types begin.
    const char *name = python().exception_name(type);
    if (const char *dot = std::strrchr(name, '.'))
        name = dot + 1;
    out.append(name, std::strlen(name));
    if (is_same)
        append_message(shown.value, out);

    python().decref(shown.type);
    python().decref(shown.value);
    python().decref(shown.traceback);
}

} // namespace

size_t error_message(char *buffer, size_t size) noexcept {
    truncated_text out(buffer, size);
    if (require_attached() != PYATTACH_OK)
        return 0;
    guarded([&out] {
        if (!python().error_occurred())
            return;
        // Fetched first, because Python code that runs with an exception pending would treat that as its own.
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
    // Guarded, because this may release the last reference to a traceback, and with it frames and all their objects.
    guarded([] { python().error_clear(); });
}

} // namespace pyattach::call

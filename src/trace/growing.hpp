// An array that grows at its end. The library neither throws nor ends the process where memory is short.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace pyattach::trace {

template <class Element> class growing {
    static_assert(std::is_trivially_copyable_v<Element>, "realloc moves the elements");

  public:
    growing() noexcept = default;
    growing(const growing &) = delete;
    growing &operator=(const growing &) = delete;
    ~growing() { std::free(elements_); }

    // Room for `count` more elements at the end. NULL: no memory, and has_failed() from now on.
    Element *extend(size_t count) noexcept {
        if (size_ + count > capacity_) {
            const size_t larger = (size_ + count) * 2 + 64;
            void *moved = has_failed_ ? nullptr : std::realloc(elements_, larger * sizeof(Element));
            if (!moved) {
                has_failed_ = true;
                return nullptr;
            }
            elements_ = static_cast<Element *>(moved);
            capacity_ = larger;
        }
        Element *added = elements_ + size_;
        size_ += count;
        return added;
    }
    // False: no memory.
    bool push(const Element &element) noexcept {
        Element *added = extend(1);
        if (added)
            std::memcpy(static_cast<void *>(added), &element, sizeof element);
        return added;
    }
    void clear() noexcept { size_ = 0; }

    bool has_failed() const noexcept { return has_failed_; }
    size_t size() const noexcept { return size_; }
    Element *data() const noexcept { return elements_; }
    Element &operator[](size_t at) const noexcept { return elements_[at]; }
    Element *begin() const noexcept { return elements_; }
    Element *end() const noexcept { return elements_ + size_; }

  private:
    Element *elements_ = nullptr;
    size_t size_ = 0, capacity_ = 0;
    bool has_failed_ = false;
};

} // namespace pyattach::trace

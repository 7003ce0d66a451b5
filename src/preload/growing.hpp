// Growing: an array that grows at its end, for types that can be copied as bytes.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <type_traits>

namespace pyattach::preload {

template <class T> class growing {
    static_assert(std::is_trivially_copyable_v<T>, "realloc moves the items");

  public:
    constexpr growing() noexcept = default;
    growing(const growing &) = delete;
    growing &operator=(const growing &) = delete;

    // False: no memory.
    bool add(const T &item) noexcept {
        if (size_ == room_) {
            const size_t room = room_ ? 2 * room_ : 32;
            void *memory = std::realloc(static_cast<void *>(items_), room * sizeof(T));
            if (!memory)
                return false;
            items_ = static_cast<T *>(memory);
            room_ = room;
        }
        items_[size_++] = item;
        return true;
    }
    void clear() noexcept { size_ = 0; }
    void swap(growing &other) noexcept {
        const growing_words kept = {items_, size_, room_};
        items_ = other.items_, size_ = other.size_, room_ = other.room_;
        other.items_ = kept.items, other.size_ = kept.size, other.room_ = kept.room;
    }
    size_t size() const noexcept { return size_; }
    T &operator[](size_t index) noexcept { return items_[index]; }
    T *begin() noexcept { return items_; }
    T *end() noexcept { return items_ + size_; }

  private:
    struct growing_words {
        T *items;
        size_t size, room;
    };
    T *items_ = nullptr;
    size_t size_ = 0, room_ = 0;
};

} // namespace pyattach::preload

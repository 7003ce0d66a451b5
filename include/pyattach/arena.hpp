/* Arena: references that are released together at the end of a block. */
#ifndef PYATTACH_ARENA_HPP
#define PYATTACH_ARENA_HPP

#include "detail/cpp17.hpp"

#include <cstddef>
#include <new>
#include <optional>
#include <utility>

#include "detail/arena_life.hpp"
#include "detail/pointer.hpp"
#include "detail/stack_only.hpp"
#include "owned.hpp"
#include "python_error.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

class arena;

/* The token that arena::token() returns: it also names the arena that keeps references. It converts to a plain token.
 * If it is used after the end of its arena, it aborts with a message, unless NDEBUG is defined; then the behaviour is
 * undefined. */
class arena_token : public token {
  public:
    /* The functions of the arena. */
#if defined(__cpp_exceptions)
    borrowed from_owned_ptr(struct ::_object *object) const;
    borrowed from_owned_ptr_or_err(struct ::_object *object) const;
    borrowed keep(owned object) const;
#endif
    /* The nothrow overloads. */
    std::optional<borrowed> from_owned_ptr_or_opt(struct ::_object *object) const noexcept;
    std::optional<borrowed> keep(std::nothrow_t, owned object) const noexcept;

  private:
    friend class arena;
    arena_token(token py, arena &owner, detail::life_seen life) noexcept : token(py), arena_(&owner), life_(life) {}
    arena &owner() const noexcept {
        life_.require("arena_token: its arena has ended.", "A token is used only while the block of its arena runs.",
                      "Take the token from an arena further out.");
        return *arena_;
    }

    arena *arena_;
    detail::life_seen life_;
};

/* An arena keeps the references it is given until it ends; then it releases them, the newest first, which may run
 * Python code:
 *
 *     for (...) {
 *         arena pool{py};                                              the memory in use does not grow with the loop
 *         borrowed item = pool.from_owned_ptr(PyIter_Next(it));        takes the reference over
 *         borrowed name = pool.keep(py.get_attribute(item, "name"));
 *     }
 *
 * Arenas nest: each releases its own references. Like every scope an arena belongs to one thread. If memory is short, a
 * reference that is given is released at once, and the throwing overload throws std::bad_alloc. */
class [[nodiscard]] arena : detail::stack_only {
  public:
    /* Begins, on an attached thread. Allocates nothing yet. */
    [[nodiscard]] explicit arena(pyattach::token py) noexcept : py_(py), interpreter_(py.interpreter()) {}
    ~arena() {
        /* The life ends before the destructors run: Python code in one of them must not use a token of this arena. */
        life_.end();
        while (newest_) {
            while (newest_->used > 0)
                pyattach_decref_in(interpreter_, newest_->objects[--newest_->used]);
            block *older = newest_->older;
            if (newest_ != &first_)
                delete newest_;
            newest_ = older;
        }
    }

    /* The token of this arena, valid until the arena ends. */
    arena_token token() noexcept { return arena_token(py_, *this, life_.see()); }
    /* The number of references kept now. */
    std::size_t size() const noexcept { return size_; }

#if defined(__cpp_exceptions)
    /* Takes over a new reference, the result of a C API call. Throws python_error for NULL. */
    borrowed from_owned_ptr(struct ::_object *object) { return from_owned_ptr_or_err(object); }
    borrowed from_owned_ptr_or_err(struct ::_object *object) {
        if (!object)
            throw python_error(py_);
        if (!take(object))
            throw std::bad_alloc();
        return borrowed(py_, object);
    }
    /* Takes over the reference of an owned of this interpreter. An empty owned gives an empty borrowed. */
    borrowed keep(owned object) { return object ? from_owned_ptr(object.release()) : borrowed(py_, nullptr); }
    /* Keeps nothing: the reference stays with its owner. */
    borrowed from_borrowed_ptr(struct ::_object *object) const { return py_.from_borrowed_ptr(object); }
    borrowed from_borrowed_ptr_or_err(struct ::_object *object) const { return py_.from_borrowed_ptr_or_err(object); }
#endif
    /* The same, but NULL gives an empty optional, and so does a shortage of memory. A pending exception stays pending.
     */
    std::optional<borrowed> from_owned_ptr_or_opt(struct ::_object *object) noexcept {
        if (!object || !take(object))
            return std::nullopt;
        return borrowed(py_, object);
    }
    std::optional<borrowed> keep(std::nothrow_t, owned object) noexcept {
        return from_owned_ptr_or_opt(object.release());
    }
    std::optional<borrowed> from_borrowed_ptr_or_opt(struct ::_object *object) const noexcept {
        return py_.from_borrowed_ptr_or_opt(object);
    }

  private:
    struct block {
        static constexpr std::size_t capacity = 14; /* with the other members, two cache lines */
        block *older = nullptr;
        std::size_t used = 0;
        struct ::_object *objects[capacity];
    };

    /* False: memory was short, and the reference was released. */
    bool take(struct ::_object *object) noexcept {
        if (newest_->used == block::capacity) {
            block *next = new (std::nothrow) block;
            if (!next) {
                pyattach_decref_in(interpreter_, object);
                return false;
            }
            next->older = newest_;
            newest_ = next;
        }
        newest_->objects[newest_->used++] = object;
        ++size_;
        return true;
    }

    pyattach::token py_;
    pyattach_interpreter *interpreter_;
    std::size_t size_ = 0;
    detail::life life_;
    block first_;
    block *newest_ = &first_;
};

inline std::optional<borrowed> arena_token::from_owned_ptr_or_opt(struct ::_object *object) const noexcept {
    return owner().from_owned_ptr_or_opt(object);
}
inline std::optional<borrowed> arena_token::keep(std::nothrow_t, owned object) const noexcept {
    return owner().keep(std::nothrow, std::move(object));
}
#if defined(__cpp_exceptions)
inline borrowed arena_token::from_owned_ptr(struct ::_object *object) const { return owner().from_owned_ptr(object); }
inline borrowed arena_token::from_owned_ptr_or_err(struct ::_object *object) const {
    return owner().from_owned_ptr_or_err(object);
}
inline borrowed arena_token::keep(owned object) const { return owner().keep(std::move(object)); }
#endif

} // namespace abi1
} // namespace pyattach
#endif

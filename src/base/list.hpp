// An intrusive list: the elements hold the links, so that inserting and removing need no memory. The owner of the list
// guards it with a lock.
#pragma once

namespace pyattach {

template <class Element, Element *Element::*next, Element *Element::*previous> class list {
  public:
    bool is_empty() const noexcept { return !first_; }
    Element *first() const noexcept { return first_; }

    void push_front(Element &element) noexcept {
        element.*previous = nullptr;
        element.*next = first_;
        if (first_)
            first_->*previous = &element;
        first_ = &element;
    }
    void remove(Element &element) noexcept {
        (element.*previous ? element.*previous->*next : first_) = element.*next;
        if (element.*next)
            element.*next->*previous = element.*previous;
    }
    // The elements keep their links, which are not read again.
    void forget_all() noexcept { first_ = nullptr; }

    // The current element may be removed and freed in the loop.
    class iterator {
      public:
        explicit iterator(Element *at) noexcept : at_(at), following_(at ? at->*next : nullptr) {}
        Element &operator*() const noexcept { return *at_; }
        iterator &operator++() noexcept {
            at_ = following_;
            following_ = at_ ? at_->*next : nullptr;
            return *this;
        }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        Element *at_, *following_;
    };
    iterator begin() const noexcept { return iterator(first_); }
    iterator end() const noexcept { return iterator(nullptr); }

  private:
    Element *first_ = nullptr;
};

} // namespace pyattach

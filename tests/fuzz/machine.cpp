// A thread that makes any call of the library at any time: scopes, and the model of them.
#include "fuzz/machine.hpp"

#include <algorithm>

#include "support/python.hpp"

namespace fuzz {

size_t machine::top_frame(size_t before) const {
    for (size_t i = before; i-- > 0;)
        if (is_frame(open_[i]->what))
            return i;
    return SIZE_MAX;
}

bool machine::is_attached() const {
    size_t top = top_frame(open_.size());
    return top != SIZE_MAX && is_attach(open_[top]->what);
}

bool machine::is_open(kind what) const {
    return std::any_of(open_.begin(), open_.end(), [=](const auto &one) { return one->what == what; });
}

bool machine::is_quiet() const {
    return holds_lock() || is_open(kind::section) ||
           std::any_of(open_.begin(), open_.end(), [](const auto &one) { return one->no_drain; });
}

int machine::depth() const {
    int found = 0;
    for (size_t i = open_.size(); i-- > 0 && !is_gap(open_[i]->what);)
        found += (is_attach(open_[i]->what) && open_[i]->what != kind::foreign) || open_[i]->what == kind::nested;
    return found;
}

pyattach_status machine::expected() const {
    return is_forbidden() ? PYATTACH_FORBIDDEN : is_attached() ? PYATTACH_OK : PYATTACH_NOT_ATTACHED;
}

bool machine::may_end(size_t index) const {
    const item &one = *open_[index];
    auto none_after = [&](auto &&is_it) {
        return std::none_of(open_.begin() + static_cast<std::ptrdiff_t>(index) + 1, open_.end(),
                            [&](const auto &other) { return is_it(other->what); });
    };
    if (one.what == kind::traverse)
        return none_after([](kind) { return true; });
    if (is_forbidden())
        return false;
    // A thread state that is given back has no count left. On debug builds it always is.
    const bool is_given_back = one.what == kind::outer || one.what == kind::foreign ||
                               (support::is_debug_build() && (one.what == kind::ensured || one.what == kind::acquired));
    if (is_given_back && ensures_ > one.ensures_before)
        return false;
    switch (one.what) {
    case kind::nested:
        return none_after(is_frame);
    case kind::section:
        return none_after(is_frame) && none_after([](kind what) { return what == kind::section; });
    default:
        return none_after([](kind) { return true; });
    }
}

machine::item *machine::add(kind what) {
    open_.push_back(std::make_unique<item>());
    open_.back()->what = what;
    return open_.back().get();
}

void machine::look() {
    EXPECT(pyattach_is_attached() == (is_attached() && !is_forbidden()));
    EXPECT(pyattach_attach_depth() == depth());
    EXPECT(pyattach_is_forbidden() == is_forbidden());
    EXPECT(support::cpython_says_attached() == is_attached());
    EXPECT(!pyattach_can_handle_signals()); // on no thread but Python's main one
    if (const char *what = world_.broken)
        EXPECT_SENTENCE(!what, what);
    // One state a thread, from the outermost scope on: exceptions and all else that is the thread's live there.
    if (open_.empty())
        state_ = nullptr;
    if (is_attached()) {
        void *now = support::current_tstate();
        EXPECT(!state_ || now == state_);
        state_ = now;
    }
    for (int i = 0; i < mutexes; ++i)
        EXPECT(!(locked_ & 1u << i) || pyattach_mutex_is_locked(&world_.mutex[i]));
    EXPECT(!recursions_ || world_.recursive.is_locked());
}

void machine::begin_with_nothing(item &mine) {
    note("attached_begin, NULL");
    pyattach_attach_options options{};
    EXPECT(pyattach_attached_begin(nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_attached_begin_in(&mine.attached, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_attached_begin_unchecked(nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_attached_begin_with(nullptr, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_attached_begin_with(&mine.attached, &options) == PYATTACH_INVALID);
    EXPECT(pyattach_attached_assume(nullptr) == PYATTACH_INVALID);
    pyattach_attached_end(nullptr);
}

// With options, of which the library reads as many as struct_size says.
pyattach_status machine::begin_with(item &mine, pyattach_status &right) {
    note("attached_begin_with");
    pyattach_attach_options options{};
    options.interpreter = from_.below(2) ? world_.main : nullptr;
    options.no_drain = from_.below(2) ? 1 : 0;
    options.label = from_.below(2) ? "a label" : nullptr;
    const bool is_whole = from_.below(4) != 0, is_without = from_.below(8) == 0;
    options.struct_size = is_whole ? sizeof options : offsetof(pyattach_attach_options, no_drain);
    if (!is_without && options.interpreter && right == PYATTACH_NOT_INITIALIZED)
        right = PYATTACH_FINALIZING;
    mine.no_drain = !is_without && is_whole && options.no_drain;
    return attaching(is_quiet() || mine.no_drain,
                     [&] { return pyattach_attached_begin_with(&mine.attached, is_without ? nullptr : &options); });
}

void machine::opened(std::unique_ptr<item> made, kind what) {
    made->what = what;
    made->had_error = raised_;
    made->ensures_before = ensures_;
    open_.push_back(std::move(made));
}

void machine::begin_attached() {
    unsigned how = from_.below(9);
    if (how == 4 && (is_forbidden() || !is_attached()))
        how = 0; // who assumes vouches for it
    if (how == 3 && !world_.is_up)
        how = 2; // as does who does not want to be checked
    auto mine = std::make_unique<item>();
    pyattach_attached *scope = &mine->attached;
    pyattach_status answer, right = PYATTACH_OK;
    if (is_forbidden())
        right = PYATTACH_FORBIDDEN;
    else if (!world_.is_up)
        right = how == 2 ? PYATTACH_FINALIZING : PYATTACH_NOT_INITIALIZED;
    switch (how) {
    case 2:
        note("attached_begin_in");
        answer = attaching(is_quiet(), [&] { return pyattach_attached_begin_in(scope, world_.main); });
        break;
    case 3:
        note("attached_begin_unchecked");
        answer = attaching(is_quiet(), [&] { return pyattach_attached_begin_unchecked(scope); });
        break;
    case 4:
        note("attached_assume");
        answer = attaching(is_quiet(), [&] { return pyattach_attached_assume(scope); });
        break;
    case 5:
        return begin_with_nothing(*mine);
    case 6:
    case 7:
        answer = begin_with(*mine, right);
        break;
    default:
        note("attached_begin");
        answer = attaching(is_quiet(), [&] { return pyattach_attached_begin(scope); });
    }
    EXPECT_SENTENCE(answer == right,
                    std::string(pyattach_status_message(answer)) + " instead of " + pyattach_status_message(right));
    if (answer != PYATTACH_OK) {
        ++counted_.refused;
        return;
    }
    const kind what = is_attached() ? kind::nested : kind::outer;
    ++(what == kind::nested ? counted_.nested : counted_.attaches);
    opened(std::move(mine), what);
}

void machine::begin_detached() {
    note("detached_begin");
    if (from_.below(16) == 0) {
        EXPECT(pyattach_detached_begin(nullptr) == PYATTACH_INVALID);
        EXPECT(pyattach_detached_end(nullptr) == PYATTACH_INVALID);
        return;
    }
    auto mine = std::make_unique<item>();
    mine->what = kind::gap;
    pyattach_status answer = pyattach_detached_begin(&mine->detached);
    EXPECT(answer == expected());
    if (answer != PYATTACH_OK)
        return;
    ++counted_.detaches;
    open_.push_back(std::move(mine));
}

void machine::begin_forbidden() {
    note("forbidden_begin");
    pyattach_forbidden_begin(nullptr);
    pyattach_forbidden_end(nullptr);
    pyattach_forbidden_begin(&add(kind::traverse)->forbidden);
    ++traverses_;
}

void machine::begin_section() {
    note("critical_section_begin");
    auto mine = std::make_unique<item>();
    mine->what = kind::section;
    pyattach_critical_section *at = &mine->section;
    object *one = world_.probe, *two = world_.type;
    pyattach_mutex *mutex = world_.section_mutex;
    unsigned how = from_.below(7);
    pyattach_status answer = how == 0   ? pyattach_critical_section_begin(at, one)
                             : how == 1 ? pyattach_critical_section_begin2(at, one, two)
                             : how == 2 ? pyattach_critical_section_begin2(at, one, one)
                             : how == 3 ? pyattach_critical_section_begin_mutex(at, mutex)
                             : how == 4 ? pyattach_critical_section_begin_mutex2(at, mutex, mutex + 1)
                             : how == 5 ? pyattach_critical_section_begin_mutex2(at, mutex + 1, mutex)
                                        : pyattach_critical_section_begin2(at, one, nullptr);
    EXPECT(answer == (how == 6 ? PYATTACH_INVALID : expected()));
    if (answer == PYATTACH_OK)
        open_.push_back(std::move(mine));
}

void machine::end(size_t index) {
    auto mine = std::move(open_[index]);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index));
    switch (mine->what) {
    case kind::outer:
        note("attached_end");
        pyattach_attached_end(&mine->attached);
        // An exception that came up inside is reported; one that was there stays.
        if (raised_ && !mine->had_error) {
            raised_ = false;
            ++counted_.unraisable;
        }
        break;
    case kind::nested:
        note("attached_end, nested");
        pyattach_attached_end(&mine->attached);
        break;
    case kind::gap:
        note("detached_end");
        EXPECT(attaching(is_quiet(), [&] { return pyattach_detached_end(&mine->detached); }) == PYATTACH_OK);
        break;
    case kind::traverse:
        note("forbidden_end");
        pyattach_forbidden_end(&mine->forbidden);
        --traverses_;
        break;
    case kind::section:
        note("critical_section_end");
        pyattach_critical_section_end(&mine->section);
        break;
    default:
        return end_routed(*mine);
    }
    ended_.clear();
    ended_.push_back(std::move(mine));
}

void machine::end_one() {
    if (open_.empty())
        return;
    size_t index = from_.below(static_cast<unsigned>(open_.size()));
    if (!may_end(index))
        index = open_.size() - 1;
    if (may_end(index))
        end(index);
}

} // namespace fuzz

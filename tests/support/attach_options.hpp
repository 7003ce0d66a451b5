// An attached scope with options that ends itself.
#pragma once

#include "pyattach/pyattach.h"
#include "support/expect.hpp"

namespace support {

inline pyattach_attach_options attach_options(bool no_drain, const char *label = nullptr,
                                              pyattach_interpreter *interp = nullptr) {
    return {sizeof(pyattach_attach_options), interp, no_drain, label};
}

class attached_with {
  public:
    explicit attached_with(const pyattach_attach_options &options) {
        pyattach_status status = pyattach_attached_begin_with(&scope_, &options);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    attached_with(const attached_with &) = delete;
    attached_with &operator=(const attached_with &) = delete;
    ~attached_with() { end(); }
    void end() {
        if (open_)
            pyattach_attached_end(&scope_);
        open_ = false;
    }

  private:
    pyattach_attached scope_;
    bool open_ = true;
};

// An attach on whose way in no foreign code runs.
class attached_no_drain : public attached_with {
  public:
    attached_no_drain() : attached_with(attach_options(true)) {}
};

} // namespace support

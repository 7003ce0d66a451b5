// A host that starts and uses Python itself, without this library: so registration happens when a test makes it happen.
#pragma once

#include <string>

#include "support/plain_python.hpp"
#include "support/python.hpp"

namespace support {

// Starts Python with Py_InitializeEx; the caller is attached afterwards.
inline void start_as_host() {
    load_python();
    plain::start();
}

// Executes statements in __main__ with PyRun_SimpleString. Attached.
inline void run_as_host(const std::string &statements) {
    EXPECT_SENTENCE(plain::python().run(statements.c_str(), nullptr) == 0, statements);
}

} // namespace support

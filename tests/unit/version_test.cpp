// The version that Py_GetVersion returns, as one number. That it equals sys.hexversion is tested in
// api/interpreter_test.
#include "cpython/adopt.hpp"

#include "support/catch.hpp"

using pyattach::cpython::parse_version;

// https://docs.python.org/3/c-api/apiabiversion.html
TEST_CASE("versions are numbers as PY_VERSION_HEX is") {
    CHECK(parse_version("3.9.18 (main, Jan 1 2024, 00:00:00) [GCC 12.2.0]") == 0x030912f0);
    CHECK(parse_version("3.13.5 experimental free-threading build (main)") == 0x030d05f0);
    CHECK(parse_version("3.12.0+ (heads/3.12)") == 0x030c00f0);
    CHECK(parse_version("3.15.0a7 (main)") == 0x030f00a7);
    CHECK(parse_version("3.15.0b1+ (main)") == 0x030f00b1);
    CHECK(parse_version("3.15.0rc2 free-threading build (main)") == 0x030f00c2);
    CHECK(parse_version("3.10 (main)") == 0x030a00f0);
    CHECK(parse_version("nonsense") == 0x000000f0);
}

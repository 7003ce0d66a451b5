// Catch2 of either generation: one header up to version 2, a library from version 3 on.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#define SUPPORT_CATCH_IS_A_LIBRARY 1
#else
#include <catch2/catch.hpp>
#define SUPPORT_CATCH_IS_A_LIBRARY 0
#endif

# cython: language_level=3
# The guards of a storm in Cython: see storm_guards.hpp.

cdef public void storm_with_gil(void (*function)(void *) noexcept nogil, void *argument) noexcept with gil:
    function(argument)

cdef public void storm_without_gil(void (*function)(void *) noexcept nogil, void *argument) noexcept:
    with nogil:
        function(argument)

# Scopes around a function, for `nogil` code. Cython has no `with` of one's own there, and destroys C++ objects at the
# end of a function rather than of a block; so the block is a function, and Cython checks what the function may use.
from posix.unistd cimport pause

from pyattach.attached cimport pyattach_attached, pyattach_attached_begin, pyattach_attached_begin_in
from pyattach.attached cimport pyattach_attached_end
from pyattach.base cimport PYATTACH_OK, pyattach_status
from pyattach.call cimport pyattach_error_report
from pyattach.detached cimport pyattach_detached, pyattach_detached_begin, pyattach_detached_end
from pyattach.interpreter cimport pyattach_interpreter

# Runs attached, as a Cython function with the GIL. Any code is allowed in it; what it raises goes to
# sys.unraisablehook.
ctypedef void (*attached_function)(void *arg) except *
# Runs detached. Cython lets it use no Python object.
ctypedef void (*detached_function)(void *arg) noexcept nogil

# Calls function(arg) inside an attached scope: of `interpreter`; NULL: of the one to which the thread is attached, else
# of the main one. May block and may run Python code where pyattach_attached_begin does.
#
# PYATTACH_OK: the function was called. It may have raised.
# Any other status is that of pyattach_attached_begin or pyattach_attached_begin_in: the function was not called.
cdef inline pyattach_status with_attached(pyattach_interpreter *interpreter, attached_function function,
                                          void *arg) noexcept nogil:
    cdef pyattach_attached scope
    cdef pyattach_status status
    if interpreter == NULL:
        status = pyattach_attached_begin(&scope)
    else:
        status = pyattach_attached_begin_in(&scope, interpreter)
    if status == PYATTACH_OK:
        # Cython does not know that the thread is attached now. A cast in one step it warns of.
        (<detached_function><void *>function)(arg)
        pyattach_error_report(NULL)
        pyattach_attached_end(&scope)
    return status

# Calls function(arg) inside a detached scope: for a function with the GIL, in place of `with nogil`. If Python ends
# meanwhile, this call does not return: the callers hold references, which they could not give back. `nogil` code whose
# callers are all `nogil` can do better with pyattach_detached_begin and pyattach_detached_end, and return.
#
# May block, and may run Python code, where pyattach_detached_begin and pyattach_detached_end do.
#
# PYATTACH_OK: the function was called, and the thread is attached again.
# Any other status is that of pyattach_detached_begin: the function was not called, and the thread is as it was.
cdef inline pyattach_status with_detached(detached_function function, void *arg) noexcept nogil:
    cdef pyattach_detached scope
    cdef pyattach_status status = pyattach_detached_begin(&scope)
    if status == PYATTACH_OK:
        function(arg)
        if pyattach_detached_end(&scope) != PYATTACH_OK:
            while True:
                pause()
    return status

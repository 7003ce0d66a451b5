// The plain C API, routed to this library: the same calls as in c_api.cpp, compiled with the header that routes.
#include "pyattach/route_gilstate.h"

#include "gilstate_guards.hpp"

namespace bench {

const peer c_api_routed = peer_of_guards<attached, detached, call>("C API, routed");

} // namespace bench

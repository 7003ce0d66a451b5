#include "peers.hpp"

namespace bench {

const std::vector<const peer *> &peers() {
    static const std::vector<const peer *> all = {
        &pyattach_c,
        &pyattach_cpp,
        &pyattach_assume,
        &c_api,
        &c_api_routed,
        &kept_state,
        &mutex_pool,
#if BENCH_PYBIND11
        &pybind11_peer,
        &pybind11_routed,
#endif
#if BENCH_NANOBIND
        &nanobind_peer,
        &nanobind_routed,
#endif
#if BENCH_CYTHON
        &cython_peer,
        &cython_routed,
#endif
#if BENCH_PEP788
        &pep788_view,
        &pep788_guard,
#endif
#if BENCH_PYO3
        &pyo3_peer,
        &pyo3_in_loop,
#endif
    };
    return all;
}

} // namespace bench

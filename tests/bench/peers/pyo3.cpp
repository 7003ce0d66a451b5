// PyO3: pyo3/src/lib.rs does the jobs.
#include "peers.hpp"

extern "C" {
void bench_pyo3_nested(long n);
void bench_pyo3_nested_in_loop(long n);
void bench_pyo3_attach(long n);
void bench_pyo3_detach(long n);
void bench_pyo3_call(_object *, long n);
void bench_pyo3_drop(_object *const *references, long n);
void bench_pyo3_drop_attached(_object *, long n);
void bench_pyo3_section(_object *, long n);
void bench_pyo3_section2(_object *, _object *, long n);
}

namespace bench {
namespace {

void drain() { bench_pyo3_attach(1); }

peer it() {
    peer it = {"PyO3"};
    it.nested = bench_pyo3_nested;
    it.attach = bench_pyo3_attach;
    it.detach = bench_pyo3_detach;
    it.call = bench_pyo3_call;
    it.drop_attached = bench_pyo3_drop_attached;
    it.drop = bench_pyo3_drop;
    it.drain = drain;
    it.section = bench_pyo3_section;
    it.section2 = bench_pyo3_section2;
    return it;
}

peer in_loop() {
    peer it = {"PyO3 in a loop"};
    it.nested = bench_pyo3_nested_in_loop;
    return it;
}

} // namespace

const peer pyo3_peer = it(), pyo3_in_loop = in_loop();

} // namespace bench

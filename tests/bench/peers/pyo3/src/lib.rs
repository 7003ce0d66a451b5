//! PyO3's side of the benchmarks (see ../../peers.hpp). A job that needs an attached thread attaches once around its n
//! operations, because PyO3 asks its own counter, not CPython, whether a thread is attached.
//!
//! Attaching is a function of its own, as it is in a program: in a loop the compiler would look for the counter and for
//! the pool only once, for all n. What that saves is shown too (`bench_pyo3_nested_in_loop`).

use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::sync::critical_section::{with_critical_section, with_critical_section2};
use std::ffi::c_long;
use std::hint::black_box;

#[inline(never)]
fn attach() {
    Python::attach(|py| {
        black_box(py);
    });
}

#[no_mangle]
pub extern "C" fn bench_pyo3_attach(n: c_long) {
    for _ in 0..n {
        attach();
    }
}

#[no_mangle]
pub extern "C" fn bench_pyo3_nested_in_loop(n: c_long) {
    Python::attach(|_| {
        for _ in 0..n {
            Python::attach(|py| {
                black_box(py);
            });
        }
    });
}

#[no_mangle]
pub extern "C" fn bench_pyo3_nested(n: c_long) {
    Python::attach(|_| bench_pyo3_attach(n));
}

#[no_mangle]
pub extern "C" fn bench_pyo3_detach(n: c_long) {
    Python::attach(|py| {
        for _ in 0..n {
            py.detach(|| black_box(()));
        }
    });
}

#[inline(never)]
fn call(function: *mut PyObject) {
    Python::attach(|py| {
        let function = unsafe { Bound::from_borrowed_ptr(py, function) };
        black_box(function.call0().unwrap());
    });
}

/// # Safety
/// `function` is a callable object that takes no arguments; the caller keeps it alive.
#[no_mangle]
pub unsafe extern "C" fn bench_pyo3_call(function: *mut PyObject, n: c_long) {
    for _ in 0..n {
        call(function);
    }
}

#[inline(never)]
fn give_back(reference: Py<PyAny>) {
    drop(reference);
}

/// # Safety
/// `references` are `n` owned references; `Py` is one pointer to an object.
#[no_mangle]
pub unsafe extern "C" fn bench_pyo3_drop(references: *const *mut PyObject, n: c_long) {
    let references = references.cast::<Py<PyAny>>();
    for i in 0..n as usize {
        give_back(references.add(i).read());
    }
}

/// # Safety
/// The caller gives `n` references to `object` away.
#[no_mangle]
pub unsafe extern "C" fn bench_pyo3_drop_attached(object: *mut PyObject, n: c_long) {
    let one: *const *mut PyObject = &object;
    Python::attach(|_| {
        for _ in 0..n {
            drop(one.cast::<Py<PyAny>>().read());
        }
    });
}

/// # Safety
/// `one` is an object; the thread is attached.
#[no_mangle]
pub unsafe extern "C" fn bench_pyo3_section(one: *mut PyObject, n: c_long) {
    Python::attach(|py| {
        let one = Bound::from_borrowed_ptr(py, one);
        for _ in 0..n {
            with_critical_section(&one, || black_box(()));
        }
    });
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn bench_pyo3_section2(one: *mut PyObject, two: *mut PyObject, n: c_long) {
    Python::attach(|py| {
        let (one, two) = (Bound::from_borrowed_ptr(py, one), Bound::from_borrowed_ptr(py, two));
        for _ in 0..n {
            with_critical_section2(&one, &two, || black_box(()));
        }
    });
}

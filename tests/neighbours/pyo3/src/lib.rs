//! PyO3's attach and detach beside this library's scopes, nested both ways.
//!
//! PyO3 asks a counter of its own whether a thread is attached, so inside a gap of somebody else's it believes in an
//! attach that is over: each scenario begins inside `py.detach`, where its counter is right.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

#[repr(C)]
struct Storage([*mut c_void; 8]);

#[link(name = "pyattach")]
extern "C" {
    fn pyattach_attached_begin(scope: *mut Storage) -> c_int;
    fn pyattach_attached_end(scope: *mut Storage);
    fn pyattach_detached_begin(scope: *mut Storage) -> c_int;
    fn pyattach_detached_end(scope: *mut Storage) -> c_int;
    fn pyattach_is_attached() -> c_int;
}

fn is_attached() -> bool {
    // SAFETY: may be called at any time.
    unsafe { pyattach_is_attached() == 1 }
}

/// Runs `body` in an attached scope of the C library's, which stays where it is.
fn in_our_scope<T>(body: impl FnOnce() -> T) -> T {
    let mut scope = MaybeUninit::<Storage>::uninit();
    // SAFETY: begun and ended on one thread, in storage that does not move.
    unsafe {
        assert_eq!(pyattach_attached_begin(scope.as_mut_ptr()), 0);
        let result = body();
        pyattach_attached_end(scope.as_mut_ptr());
        result
    }
}

fn in_our_gap<T>(body: impl FnOnce() -> T) -> T {
    let mut scope = MaybeUninit::<Storage>::uninit();
    // SAFETY: as above.
    unsafe {
        assert_eq!(pyattach_detached_begin(scope.as_mut_ptr()), 0);
        let result = body();
        assert_eq!(pyattach_detached_end(scope.as_mut_ptr()), 0);
        result
    }
}

fn use_python(py: Python<'_>) {
    assert!(is_attached());
    let number: i64 = py.eval(c"6 * 7", None, None).unwrap().extract().unwrap();
    assert_eq!(number, 42);
}

fn theirs_in_ours() {
    in_our_scope(|| {
        assert!(is_attached());
        Python::attach(|py| {
            use_python(py);
            in_our_scope(|| use_python(py));
            py.detach(|| assert!(!is_attached()));
            use_python(py);
        });
        assert!(is_attached());
    });
}

fn ours_in_theirs() {
    Python::attach(|py| {
        in_our_scope(|| use_python(py));
        py.detach(|| {
            assert!(!is_attached());
            in_our_scope(|| Python::attach(use_python));
            assert!(!is_attached());
        });
        in_our_gap(|| {
            assert!(!is_attached());
            in_our_scope(|| assert!(is_attached()));
        });
        use_python(py);
    });
}

fn theirs_in_our_gap() {
    in_our_scope(|| {
        in_our_gap(|| {
            assert!(!is_attached());
            Python::attach(|py| {
                use_python(py);
                py.detach(|| assert!(!is_attached()));
            });
            assert!(!is_attached());
        });
        assert!(is_attached());
    });
}

fn in_turn() {
    for _ in 0..4 {
        assert!(!is_attached());
        Python::attach(use_python);
        assert!(!is_attached());
        in_our_scope(|| assert!(is_attached()));
    }
}

/// A reference dropped where PyO3 is detached waits in PyO3's pool, which its next attach empties.
fn references_are_dropped_in_their_gap() {
    let list = Python::attach(|py| py.eval(c"[]", None, None).unwrap().unbind());
    in_our_scope(|| assert!(is_attached()));
    drop(list);
    in_our_scope(|| Python::attach(use_python));
}

fn scenario(name: &str) -> Option<fn()> {
    Some(match name {
        "theirs_in_ours" => theirs_in_ours,
        "ours_in_theirs" => ours_in_theirs,
        "theirs_in_our_gap" => theirs_in_our_gap,
        "in_turn" => in_turn,
        "references_are_dropped_in_their_gap" => references_are_dropped_in_their_gap,
        _ => return None,
    })
}

#[pymodule(gil_used = false)]
mod beside_pyo3 {
    use super::*;

    #[pyfunction]
    fn names() -> &'static str {
        "theirs_in_ours ours_in_theirs theirs_in_our_gap in_turn references_are_dropped_in_their_gap"
    }

    #[pyfunction]
    fn run(py: Python<'_>, name: &str) -> PyResult<()> {
        let one = scenario(name).ok_or_else(|| PyAssertionError::new_err(name.to_owned()))?;
        py.detach(one);
        use_python(py);
        Ok(())
    }

    #[pyfunction]
    fn run_on_thread(py: Python<'_>, name: &str, first: &str, rounds: i32) -> PyResult<()> {
        let one = scenario(name).ok_or_else(|| PyAssertionError::new_err(name.to_owned()))?;
        let is_ours_first = first == "ours";
        let ended = py.detach(|| {
            std::thread::spawn(move || {
                for _ in 0..rounds {
                    assert!(!is_attached());
                    if is_ours_first {
                        in_our_scope(|| in_our_gap(one));
                    } else {
                        Python::attach(|py| py.detach(one));
                    }
                }
                assert!(!is_attached());
            })
            .join()
        });
        ended.map_err(|_| PyAssertionError::new_err("the thread panicked"))
    }

    #[pyfunction]
    fn leave_thread_behind(py: Python<'_>) {
        py.detach(|| {
            let (is_warm, wait) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for _ in 0..3 {
                    in_our_scope(|| assert!(is_attached()));
                    Python::attach(use_python);
                }
                is_warm.send(()).unwrap();
                loop {
                    std::thread::park();
                }
            });
            wait.recv().unwrap();
        });
    }
}

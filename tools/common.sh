# shellcheck shell=bash
# What the commands in this folder share; they source it. Messages are said in the name of the command.
#
#   need_packages NEED...       installs what is missing, or says what to install and ends the command with status 2.
#                               NEED: compiler, meson, ninja, pkg-config, python, headers (of that Python), catch2,
#                               clang-tidy, clang-format, cppcheck, and those of the next line.
#   want_packages WANT...       installs what is missing, or says in one line what to install, and goes on in any case.
#                               WANT: clang, libclang (its Python module), cmake, pybind11, cython, numpy, greenlet,
#                               abigail, spin, valgrind, nbdkit, protoc, gdb.
#   configure_build OPTION...   makes the build directory, or gives an existing one these options (-Dname=value)
#   build_targets TARGET...     builds these targets; all if none is named
#   $python                     a Python of 3.9 or newer with a shared libpython, after `need_packages python`:
#                               $PYTHON if that is set, else the first of python3 and /usr/bin/python3 that will do
#   $build                      the build directory

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck disable=SC2034 # used by those who source this
build=$checkout/build
python=
: "${CXX:=c++}" "${CC:=cc}" "${PKG_CONFIG:=pkg-config}"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$@"
    exit 2
}

is_command() { command -v "$1" >/dev/null; }

# --- Needs: each has a test, and the Debian packages that meet it; names that hold a version are asked for ------------

# CXX and CC may hold arguments too, or a launcher.
has_compiler() { is_command "${CXX%% *}" && is_command "${CC%% *}"; }
packages_compiler() { echo g++; }

# Ends with status 0 if version $1 is $2 or newer.
is_at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }
has_meson() { is_command meson && is_at_least "$(meson --version)" 1.0.0; }
packages_meson() { echo meson; }

has_ninja() { is_command ninja || is_command ninja-build; }
packages_ninja() { echo ninja-build; }

has_pkg-config() { is_command "$PKG_CONFIG"; }
packages_pkg-config() { echo pkg-config; }

has_libpython() {
    [[ $("$1" "$checkout/tests/support/describe_python.py" 2>/dev/null | tail -n 1) == /* ]] &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null
}
has_python() {
    local candidate candidates=(python3 /usr/bin/python3)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if is_command "$candidate" && has_libpython "$candidate"; then
            python=$candidate
            return
        fi
    done
    return 1
}
packages_python() {
    local library
    # The package python3 depends on python3.N, whose shared library is libpython3.N.
    library=$(apt-cache depends python3 2>/dev/null | sed -n 's/^ *Depends: \(python3\.[0-9]*\)$/lib\1/p')
    echo python3 "${library:-libpython3-dev}"
}

has_headers() {
    "${python:-python3}" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null
}
packages_headers() { echo python3-dev; }

has_catch2() { "$PKG_CONFIG" --exists 'catch2 >= 2.13' 2>/dev/null; }
packages_catch2() { echo catch2; }

has_clang-tidy() { is_command clang-tidy; }
packages_clang-tidy() { echo clang-tidy; }
has_clang-format() { is_command clang-format; }
packages_clang-format() { echo clang-format; }
# For the system's own Python: there the package puts it.
has_libclang() { /usr/bin/python3 -c 'import clang.cindex; clang.cindex.Index.create()' 2>/dev/null; }
packages_libclang() { echo python3-clang; }
has_cppcheck() { is_command cppcheck; }
packages_cppcheck() { echo cppcheck; }

# --- Wants: a test that uses one of these is skipped without it -------------------------------------------------------

has_clang() { is_command clang++; }
packages_clang() { echo clang; }
has_cmake() { is_command cmake && is_command make; } # which it builds with, unless told otherwise
packages_cmake() { echo cmake make; }
has_pybind11() { "$PKG_CONFIG" --exists pybind11 2>/dev/null; }
packages_pybind11() { echo pybind11-dev; }
has_cython() { is_command cython3 || is_command cython; }
packages_cython() { echo cython3; }
has_abigail() { is_command abidw && is_command abidiff; }
packages_abigail() { echo abigail-tools; }
has_spin() { is_command spin; }
packages_spin() { echo spin; }
has_protoc() { is_command protoc; }
packages_protoc() { echo protobuf-compiler; }
has_gdb() { is_command gdb; }
packages_gdb() { echo gdb; }
has_valgrind() { is_command valgrind; }
packages_valgrind() { echo valgrind; }
# To serve, to build a plugin, to compare with its own Python plugin, and to copy.
has_nbdkit() {
    is_command nbdkit && is_command nbdcopy && "$PKG_CONFIG" --exists nbdkit 2>/dev/null &&
        nbdkit python --dump-plugin >/dev/null 2>&1
}
packages_nbdkit() { echo nbdkit nbdkit-plugin-dev nbdkit-plugin-python libnbd-bin; }

# A Python of another origin does not see the distribution's modules: there is nothing to install for it.
has_module() {
    [[ $(readlink -f "$(command -v "${python:-python3}")") != "$(readlink -f /usr/bin/python3)" ]] ||
        "${python:-python3}" -c "import $1" 2>/dev/null
}
has_numpy() { has_module numpy; }
packages_numpy() { echo python3-numpy; }
has_greenlet() { has_module greenlet; }
packages_greenlet() { echo python3-greenlet; }

# --- What the commands call -------------------------------------------------------------------------------------------

missing_of() {
    local need
    for need in "$@"; do
        "has_$need" || echo "$need"
    done
}

# In one line.
packages_of() {
    local need
    for need in "$@"; do "packages_$need"; done | paste -s -d ' ' -
}

can_install() { [[ $EUID -eq 0 ]] && is_command apt-get; }
install_packages() { # PACKAGE...
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || return
    hash -r
}

need_packages() {
    local need missing packages
    mapfile -t missing < <(missing_of "$@")
    if [[ ${#missing[@]} -gt 0 ]]; then
        [[ -z ${PYTHON:-} ]] || has_python || die "PYTHON=$PYTHON is no Python of 3.9 or newer with a shared libpython"
        read -r -a packages <<<"$(packages_of "${missing[@]}")"
        if can_install; then
            install_packages "${packages[@]}"
        else
            say "missing: ${missing[*]}"
            say "on Debian or Ubuntu:  sudo apt-get install ${packages[*]}"
            die "elsewhere packages have like names; Meson must be 1.0, Python 3.9 with a shared library, or newer"
        fi
        mapfile -t missing < <(missing_of "$@")
        [[ ${#missing[@]} -eq 0 ]] || die "installed ${packages[*]}, and still missing: ${missing[*]}"
    fi
    # missing_of ran in a shell of its own; what it found is found again here.
    for need in "$@"; do "has_$need"; done
}

want_packages() {
    local missing packages
    mapfile -t missing < <(missing_of "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    read -r -a packages <<<"$(packages_of "${missing[@]}")"
    if can_install; then
        install_packages "${packages[@]}" || say 'apt-get could not install them: see above'
        mapfile -t missing < <(missing_of "$@")
        [[ ${#missing[@]} -gt 0 ]] || return 0
        read -r -a packages <<<"$(packages_of "${missing[@]}")"
    fi
    say "some tests will be skipped for want of ${missing[*]}; on Debian or Ubuntu:  sudo apt-get install ${packages[*]}"
}

# The build directory has this option with another value.
differs() {
    meson introspect --buildoptions "$build" | "${python:-python3}" -c '
import json, sys
name, value = sys.argv[1].removeprefix("-D").split("=", 1)
now = {option["name"]: option["value"] for option in json.load(sys.stdin)}[name]
sys.exit((str(now).lower() if isinstance(now, bool) else str(now)) == value)' "$1"
}

configure_build() {
    local option changed=() place=()
    if [[ ! -f $build/build.ninja ]]; then
        # Meson asks it where Debian has libraries, and takes lib64 without it, where nothing on Debian looks.
        [[ ! -e /etc/debian_version ]] || is_command dpkg-architecture || place=(--libdir=lib)
        meson setup "$build" "$checkout" -Dpython="${python:-python3}" "${place[@]}" "$@"
        return
    fi
    for option in "$@"; do
        if differs "$option"; then changed+=("$option"); fi
    done
    # Not `meson configure`, which takes an option for what it was when the directory was made.
    [[ ${#changed[@]} -eq 0 ]] || meson setup --reconfigure "$build" "$checkout" "${changed[@]}"
}

# Meson looks for what tests want when it configures: it looks again when other wants are met than at the last time.
look_again_for() { # WANT...
    local want met
    met=$(for want in "$@"; do "has_$want" && echo "$want"; done || true)
    [[ $met == "$(cat "$build/wants-met" 2>/dev/null)" ]] || meson setup --reconfigure "$build" "$checkout"
    printf '%s\n' "$met" >"$build/wants-met"
}

build_targets() { meson compile -C "$build" "$@"; }

# shellcheck shell=bash disable=SC2154,SC2164 # its names are set there; each item runs under "set -e"
# How each item of `tools/pythons get` is had, and `build`; sourced by it, whose names and settings these are.

# Whatever is got or built is so in a subshell of its own with "set -e", so what fails ends that alone. The reason given
# here is the one reported; without it the log has to tell.
skip() { printf '%s' "$*" >"$work/reason"; exit 1; }

# Sets apt_options to an apt state of its own for another suite: the system's apt must not learn of that suite, or it
# would upgrade to it. Out-dated lists are fine, since mirrors can be frozen; their signatures are checked all the same.
private_apt() { # deb|deb-src SUITE
    local apt=$work/apt-$2 uri
    uri=$(mirror)
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
    printf '%s %s %s main\n' "$1" "$uri" "$2" >"$apt/sources.list"
    apt_options=(-o "Dir::State=$apt/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$apt/cache"
        -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Acquire::Check-Valid-Until=false)
    apt-get "${apt_options[@]}" update
}

# CPython as released: Debian's own changes, which its source package carries as patches, are about Debian's layout.
cpython_source() {
    [[ ! -d $work/cpython ]] || return 0
    local downloads=$work/downloads
    mkdir -p "$downloads"
    private_apt deb-src "$source_suite"
    (cd "$downloads" && apt-get "${apt_options[@]}" source --download-only "python$source_version")
    dpkg-source --skip-patches -x "$downloads/python${source_version}"_*.dsc "$work/cpython"
}

build_free_threaded() { # ITEM SOURCES CONFIGURE-ARGUMENT...
    local item=$1 sources=$2 version prefix build=$work/build-$1 staged=$work/staged-$1
    shift 2
    need gcc make dpkg-dev pkg-config zlib1g-dev libffi-dev liblzma-dev libbz2-dev libssl-dev libsqlite3-dev
    version=$(sed -n 's/^#define PY_VERSION  *"\(.*\)"/\1/p' "$sources/Include/patchlevel.h")
    prefix=$cache/$item-$version
    mkdir -p "$build"
    cd "$build"
    # The run path lets python3 find its libpython without LD_LIBRARY_PATH. -O2 without profile or link-time
    # optimisation takes minutes instead of an hour.
    nice "$sources/configure" --prefix="$prefix" --disable-gil --enable-shared --without-ensurepip \
        --disable-test-modules CFLAGS=-g OPT='-O2 -DNDEBUG -Wall' LDFLAGS="-Wl,-rpath,$prefix/lib" "$@"
    nice make -j"$(nproc)"
    nice make install DESTDIR="$staged"
    mkdir -p "$staged$prefix/share/tsan"
    cp "$sources"/Tools/tsan/suppressions*.txt "$staged$prefix/share/tsan"
    rm -rf "$prefix"
    mv "$staged$prefix" "$prefix"
    "$prefix/bin/python3" -c 'import bz2, ctypes, lzma, sys, threading, zlib; assert not sys._is_gil_enabled()'
    touch "$prefix/.complete"
    rm -rf "$build" "$staged"
}

get_ft() {
    cpython_source
    build_free_threaded ft "$work/cpython"
}

# Shared like the other one. libpython leaves the sanitizer's functions undefined: a program that embeds it is to be
# built with the same Clang and -fsanitize=thread (GCC's run-time library is another), as python3 itself is.
# share/tsan in its directory has CPython's own suppressions.
get_ft_tsan() {
    # This Clang's run-time library stops every program when the kernel moves mappings about by more bits than this.
    local bits=/proc/sys/vm/mmap_rnd_bits
    [[ ! -r $bits || $(<"$bits") -le 28 ]] || skip "needs sysctl vm.mmap_rnd_bits=28 (it is $(<"$bits"))"
    need "clang-$clang" "libclang-rt-$clang-dev"
    export TSAN_OPTIONS=report_bugs=0 # the build runs what it builds: a data race in it is not a failure of the build
    cpython_source
    build_free_threaded ft-tsan "$work/cpython" --with-thread-sanitizer CC="clang-$clang" CXX="clang++-$clang"
}

get_debug() {
    local python
    python=$(readlink -f /usr/bin/python3) || skip "no /usr/bin/python3"
    need "$(basename "$python")-dbg" # its libpython comes with it, in a package of exactly its version
}

get_chroot() {
    local suite version compiler versions packages partial=$work/chroot
    is_root || skip "needs root: sudo tools/pythons get chroot"
    need mmdebstrap
    for suite in "${chroot_suites[@]}"; do
        private_apt deb "$suite"
        versions=()
        for version in "${chroot_versions[@]}"; do
            ! apt-cache "${apt_options[@]}" show "python$version" >/dev/null 2>&1 || versions+=("$version")
        done
        [[ ${versions[*]} != "${chroot_versions[*]}" ]] || break
    done
    [[ ${versions[*]} == "${chroot_versions[*]}" ]] ||
        say "chroot: no suite has all of Python ${chroot_versions[*]}; $suite has only ${versions[*]}" 2>&3
    packages=(g++ clang make meson ninja-build catch2 pkgconf)
    for version in "${versions[@]}"; do
        packages+=("python$version" "python$version-dev" "python$version-dbg" "libpython$version")
    done
    compiler=$(apt-cache "${apt_options[@]}" pkgnames g++- | grep -xE 'g\+\+-[0-9]+' | sort -V | tail -n 1)
    packages+=("$compiler" "gcc-${compiler##*-}")
    nice mmdebstrap --mode=root --variant=apt --include="${packages[*]}" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        "$suite" "$partial" "$(mirror)"
    touch "$partial/.complete"
    mv -T "$partial" "$cache/chroot-$suite"
}

# What the benchmarks compare with, and the tests use on the same threads.
get_chroot_peers() {
    is_root || skip "needs root: sudo tools/pythons get chroot-peers"
    complete chroot >/dev/null || get_chroot
    local root
    root=$(complete chroot)
    enter "$root" dpkg --configure -a # what an interrupted run left half done
    enter "$root" apt-get update
    enter "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y \
        pybind11-dev nanobind-dev libbenchmark-dev librust-pyo3-dev rustc cargo cython3 python3-numpy python3-greenlet
    enter "$root" apt-get clean
    touch "$root/.complete-peers"
}

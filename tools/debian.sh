# shellcheck shell=bash
# What is had from the distribution that this system is: packages, and the address of its mirror. Sourced by commands that have
# `say`, `is_root`, and `skip REASON`, which ends what was begun.

need() { # PACKAGE..., from this system's distribution
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    is_root || skip "install first: apt-get install ${missing[*]}"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600
        install -y --no-install-recommends "${missing[@]}")
    # A system without package lists, or with old ones, fails the first time.
    "${install[@]}" || { apt-get update && "${install[@]}"; } || skip "apt-get cannot install ${missing[*]}"
}

# The mirror that this system itself is configured with. The label leaves out security, backports and third parties.
mirror() {
    # shellcheck disable=SC2016 # it is apt that expands this
    local targets=(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian')
    [[ $("${targets[@]}") ]] || ! is_root || apt-get update >&2
    "${targets[@]}" | sed -n 1p | grep . || skip "apt knows no Debian mirror on this system: run apt-get update"
}

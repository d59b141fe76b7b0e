# shellcheck shell=bash
# What the scripts share; sourced after `cd` to the root of the repository.

die() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

all_targets() {
    local file
    for file in targets/*.toml; do basename "$file" .toml; done
}

# target_field TRIPLE KEY: prints the value of KEY, which must be there (and may be empty).
target_field() {
    local line
    line=$(grep -m1 "^$2 = " "targets/$1.toml") || die "targets/$1.toml has no '$2'"
    line=${line#"$2 = "}
    line=${line#\"}
    printf '%s\n' "${line%\"}"
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# apt_install PACKAGE...: installs Debian packages, quietly unless that fails.
apt_install() {
    command -v apt-get >/dev/null || die "no apt-get here; install these yourself, then run again: $*"
    say "installing $*"
    local log
    log=$(mktemp)
    if ! { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qy install --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $*"
    fi
    rm -f "$log"
}

# need COMMAND PACKAGE...: installs the packages if the command is missing.
need() {
    command -v "$1" >/dev/null || apt_install "${@:2}"
}

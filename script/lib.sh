# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts of this folder: Debian packages and builds. Source it with bash.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# To build and run the daemon.
PACKAGES_BUILD="gcc libc6-dev cmake ninja-build pkg-config ccache libuv1-dev libc-ares-dev
    libinih-dev libsqlite3-dev libssl-dev libmicrohttpd-dev libjansson-dev"
# To test it: unit tests, checks, a second compiler, and phones and networks for the scenarios.
PACKAGES_TEST="libcmocka-dev clang-14 libclang-rt-14-dev clang-format-14 python3 binutils procps
    sip-tester tshark baresip-core kamailio dnsmasq-base unbound nftables iproute2 valgrind openssl chromium
    python3-jsonschema"
# To make and try the Debian package.
PACKAGES_PACKAGE="dpkg-dev file systemd"
# For the demonstration.
PACKAGES_DEMO="python3 nftables iproute2 procps"

say()
{
    printf '%s\n' "$*"
}

die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command as root.
as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "packages are missing and there is neither root nor sudo: run as root: $*"
    fi
}

# Names those of the packages given that are not installed.
missing_packages()
{
    local package
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ii*) ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# need_packages PACKAGE...: installs the missing ones and says which.
need_packages()
{
    local missing policy=/usr/sbin/policy-rc.d
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die "this is not Debian or a relative of it. Install the equivalents of: $(echo "$@")" \
            "and build with: cmake --preset release && cmake --build --preset release"
    fi
    missing=$(missing_packages "$@")
    if [ -z "$missing" ]; then
        return 0
    fi
    say "installing Debian packages: $missing"
    as_root apt-get update -q </dev/null >/dev/null || die "apt-get update failed"
    # Programs that tests start themselves must not be started as services by their packages.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    else
        policy=
    fi
    local log rc=0
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        $missing </dev/null >"$log" 2>&1 || rc=$?
    if [ -n "$policy" ]; then
        as_root rm -f "$policy"
    fi
    if [ "$rc" -ne 0 ]; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "these packages could not be installed: $missing"
    fi
    rm -f "$log"
}

# Prints the path of promtool, or nothing. Debian has it in the package of the whole server, which is
# unpacked here and not installed.
need_promtool()
{
    local folder=$ROOT/build/promtool
    if command -v promtool; then
        return
    fi
    if [ ! -x "$folder/usr/bin/promtool" ]; then
        mkdir -p "$folder"
        (cd "$folder" && apt-get download prometheus </dev/null && dpkg-deb -x prometheus_*.deb . &&
            rm -f prometheus_*.deb usr/bin/prometheus) >"$folder/log" 2>&1 || return 0
    fi
    printf '%s\n' "$folder/usr/bin/promtool"
}

# build_preset PRESET [TARGET...]: configure and build; quiet when it works, the errors otherwise.
# Compiler warnings are errors.
build_preset()
{
    local preset=$1 log
    shift
    mkdir -p "$ROOT/build/log"
    log=$ROOT/build/log/build-$preset.log
    if ! (cd "$ROOT" && cmake --preset "$preset" -DHOLDFAST_WERROR=ON &&
        cmake --build "build/$preset" ${1:+--target "$@"} -- -k 0) </dev/null >"$log" 2>&1; then
        grep -E -A 12 'error|warning|FAILED|undefined reference' "$log" |
            grep -v -e '-fstack-protector-strong' | head -n 80 >&2
        say "the build $preset failed; everything it said is in ${log#"$ROOT"/}" >&2
        return 1
    fi
}

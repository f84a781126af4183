# Shared by the scripts: where the project is, installing packages, stages with their times. Sourced, never run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

# The container's own interpreters must not stand before Debian's.
export PATH="/usr/local/sbin:/usr/sbin:/sbin:$PATH"
export CCACHE_DIR="${CCACHE_DIR:-/var/cache/ballast-ccache}"
export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-5G}"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# install_packages FILE…: installs what the package lists name and the machine lacks. One apt call, none when nothing is missing.
install_packages() {
    local wanted missing=()
    wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | sort -u)
    local name
    for name in $wanted; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || die "these packages are missing and only root can install them: ${missing[*]}"
    printf 'installing %d packages: %s\n' "${#missing[@]}" "${missing[*]}"
    # No service may start on the machine: the lab runs its own libvirtd, and tests must not meet another.
    local policy=/usr/sbin/policy-rc.d made=""
    if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made=1; fi
    local status=0
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } || status=$?
    [ -n "$made" ] && rm -f "$policy"
    [ $status -eq 0 ] || die "apt-get failed; run it by hand to see why: apt-get install ${missing[*]}"
}

stage_names=()
stage_seconds=()

# stage NAME COMMAND…: runs it and notes how long it took. The command is no condition, so `set -e` holds inside it.
stage() {
    local begin=$SECONDS
    current_stage=$1
    shift
    say "$current_stage"
    "$@"
    stage_names+=("$current_stage")
    stage_seconds+=($((SECONDS - begin)))
    current_stage=""
}

# at_exit COMMAND: runs when the script ends, however it ends. Says which stage failed.
exit_commands=()
at_exit() { exit_commands+=("$1"); }
on_exit() {
    local status=$? command
    [ -z "${current_stage:-}" ] || printf '\n%s failed\n' "$current_stage" >&2
    for command in "${exit_commands[@]}"; do $command || true; done
    exit "$status"
}
trap on_exit EXIT

# Prints what each stage took.
print_stages() {
    say "what each stage took"
    local i total=0
    for i in "${!stage_names[@]}"; do
        printf '%6d s  %s\n' "${stage_seconds[$i]}" "${stage_names[$i]}"
        total=$((total + stage_seconds[i]))
    done
    printf '%6d s  in all\n' "$total"
}

# Make .venv from the pinned lock, once, and say what it does; sourced by ./run and ./test.
#
# Needs Python 3.11 or newer with pip (or venv), and nothing else: uv does the work because it is five
# times faster than pip, pip does it where uv cannot be had. PYTHON=/path/to/python chooses another one.

export OPENBLAS_NUM_THREADS=1 # our matrices are small: more threads made updates five times slower

say() { printf '%s\n' "$*" >&2; }

stop() {
    say "turnpike: $*"
    exit 1
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

can_install() { "$1" -m pip --version >/dev/null 2>&1 || "$1" -c 'import ensurepip' 2>/dev/null; }

find_python() {
    seen=
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else
        set -- python3.13 python3.12 python3.11 python3 python
    fi
    for candidate; do
        if is_new_enough "$candidate"; then
            seen=$candidate
            ! can_install "$candidate" || break
        fi
        candidate=
    done
    [ -n "$seen" ] || stop "Python 3.11 or newer is needed; tried $*," \
        "saw $("${PYTHON:-python3}" -V 2>/dev/null || echo none)." \
        "Install one, or name it: PYTHON=/path/to/python3 $0"
    [ -n "$candidate" ] || stop "$seen has neither pip nor venv; on Debian or Ubuntu:" \
        "apt-get install python3-pip"
    "$candidate" -c 'import sys; print(sys.executable)'
}

# Run a command quietly: one line with its seconds, a dot every two seconds, its output if it fails.
step() {
    printf '  %s ' "$1" >&2
    shift
    started=$(date +%s)
    while sleep 2 2>/dev/null && kill -0 $$ 2>/dev/null; do printf . >&2; done >/dev/null 9>&- &
    heartbeat=$!
    outcome=0
    "$@" >.boot/log 2>&1 || outcome=$?
    kill $heartbeat 2>/dev/null || true
    wait $heartbeat 2>/dev/null || true
    if [ "$outcome" -eq 0 ]; then
        say " $(($(date +%s) - started)) s"
    else
        say " failed"
        tail -n 5 .boot/log | sed 's/^/    /' >&2
    fi
    return "$outcome"
}

# What .venv was made from, compared byte for byte: a new lock, a new Python and a moved folder are seen.
origin() {
    pwd -P
    .venv/bin/python -V
    cat requirements.txt
}

is_current() { [ -x .venv/bin/python ] && origin 2>/dev/null | cmp -s - .venv/origin 2>/dev/null; }

# The lock lives on our descriptor 9, so it goes when we do, however we go.
lock_descriptor() {
    "$1" -c 'import fcntl; fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)' <&9 2>/dev/null && return
    say "  waiting for another ./run or ./test to finish installing"
    "$1" -c 'import fcntl; fcntl.flock(0, fcntl.LOCK_EX)' <&9
}

fetch_uv() {
    cmp -s requirements-boot.txt .boot/uv/origin 2>/dev/null && return
    rm -rf .boot/uv
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 step "fetching uv, the installer" \
        "$1" -m pip install --require-hashes --target .boot/uv -r requirements-boot.txt || return
    cp requirements-boot.txt .boot/uv/origin
}

install_with_uv() {
    .boot/uv/bin/uv venv --clear --force --python "$1" .venv &&
        .boot/uv/bin/uv pip install --python .venv/bin/python --require-hashes -r requirements.txt
}

install_with_pip() {
    "$1" -m venv --clear .venv &&
        PIP_USER=0 .venv/bin/python -m pip install --require-hashes -r requirements.txt
}

make_venv() {
    libraries=$(grep -c == requirements.txt)
    rm -f .venv/origin
    if fetch_uv "$1" && step "installing $libraries pinned libraries into .venv" install_with_uv "$1"; then
        :
    else
        step "installing $libraries pinned libraries into .venv with pip, which takes a minute" \
            install_with_pip "$1" || stop "cannot make .venv: the lines above say why, .boot/log says more"
    fi
    origin >.venv/origin
}

ensure_venv() {
    is_current && return
    python=$(find_python) || exit
    say "setting up, once, with $("$python" -V) ($python)"
    mkdir -p .boot
    exec 9>.boot/lock
    lock_descriptor "$python"
    is_current || make_venv "$python"
    exec 9>&-
}

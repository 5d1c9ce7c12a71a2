#!/bin/sh
# .venv/host, the environment of make itself, from requirements.lock: by this host's Python 3.11 where it has one with
# the module venv, else by one that uv fetches into .venv/python. uv comes with whatever Python there is. Needs no root.
#   sh avatarmake/environments/host.sh PYTHON
set -u
python=$1
home=.venv

fits() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

stop() {
    echo "Python 3.11 is needed, and $have. $1 Install it, or type: make PYTHON=/path/to/python3.11" >&2
    exit 5
}

fetcher() {  # uv: the user's own, else the one that requirements.lock pins, by any Python that has pip
    command -v uv && return
    mkdir -p $home
    sed -n '/^uv==/,/[^\\]$/p' requirements.lock >$home/uv.lock
    for any in "$python" python3 python; do
        if { "$any" -m venv $home/uv && $home/uv/bin/python -m pip install --require-hashes -r $home/uv.lock ||
            "$any" -m pip install --require-hashes --target $home/uv -r $home/uv.lock; } >/dev/null 2>&1; then
            echo $home/uv/bin/uv
            return
        fi
    done
    return 1
}

if ! fits "$python"; then
    if version=$("$python" -c 'import platform; print(platform.python_version())' 2>/dev/null); then
        have="$python is $version"
        case $version in 3.11.*) have="$have without the module venv (Debian: apt-get install python3-venv)" ;; esac
    else
        have="there is no $python"
    fi
    found=$(fetcher) || stop "uv, which could fetch one, cannot be installed here either."
    echo "$have: fetching Python 3.11 with uv" >&2
    export UV_PYTHON_INSTALL_DIR=$PWD/$home/python UV_PYTHON_INSTALL_BIN=0  # nothing of the user's is touched
    said=$("$found" python install --no-progress 3.11 2>&1) \
     || stop "uv cannot fetch one: $(printf '%s' "$said" | tr -s '\n ' ' ' | cut -c1-250)."
    python=$("$found" python find --managed-python 3.11) || exit 5
fi

echo "setting up $home/host" >&2
rm -rf $home/host
"$python" -m venv $home/host || exit 5
if ! $home/host/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock; then
    echo "The packages of requirements.lock cannot be installed. If the registry cannot be reached, give wheels or an" \
         "index in pip's own way: PIP_FIND_LINKS, PIP_INDEX_URL" >&2
    exit 5
fi
cp requirements.lock $home/host/lock

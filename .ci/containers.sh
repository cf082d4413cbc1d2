#!/usr/bin/env bash
# Makes what the container tests need, once: a podman that starts containers here, and a base image with Python.
# Nothing is pulled: the image is made from Debian's packages. Prints where the podman's configuration lies.
set -euo pipefail
folder=${XDG_CACHE_HOME:-$HOME/.cache}/chutes-ci/containers
conf=$folder/containers.conf
base=localhost/chutes-test-python:3.11
mkdir -p "$folder"

# A machine without the right to raise limits, or with control groups of both versions, needs these.
[ -f "$conf" ] || cat >"$conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF=$conf

if ! podman image exists "$base"; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" >"$folder/debootstrap.log" 2>&1 ||
        { tail -n 20 "$folder/debootstrap.log"; exit 1; }
    # Authorities that this machine trusts beyond the usual ones, such as its network's own.
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    # Like the usual images of Python: `python` and `pip` are first on the path, and pip installs for all.
    chroot "$root" python3 -m venv /opt/python
    tar -C "$root" -c . | podman import -q --change 'ENV PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin' \
        --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' - "$base" >/dev/null
fi
echo "$conf"

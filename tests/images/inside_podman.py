"""Runs on the host as a user without rights: one container by Podman, as the engine makes them, and what it saw."""

import json
import os
import sys

from docker.types import DeviceRequest, Mount

from avatarmake.engine import container, docker, podman

LOOK = """
import json, os
open("/data/written", "w").write("x")
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
try:
    open("/written", "w")
    root = "writable"
except OSError:
    root = "read-only"
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(status["CapEff"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip() == "1",
    "root": root,
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "cdi": os.environ.get("AVATARMAKE_CDI"),
}))
"""


def main(image: str, data: str, kind: str) -> None:
    podman.GPU = kind
    client = docker.client()
    gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if kind else []
    settings = container.confinement(client.info()) | {"device_requests": gpus}
    mounts = [Mount("/data", data, type="bind")]
    held = client.containers.create(image, entrypoint=["python", "-c", LOOK], mounts=mounts, **settings)
    try:
        held.start()
        code = held.wait()["StatusCode"]
        said = held.logs().decode()
    finally:
        held.remove(force=True)
    assert code == 0, said
    print(json.dumps(json.loads(said.strip().splitlines()[-1]) | {"owner": os.stat(f"{data}/written").st_uid}))


if __name__ == "__main__":
    main(*sys.argv[1:])

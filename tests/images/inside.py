"""Runs inside an image, by its own interpreter: says as JSON what this container is and may. Standard library only."""

import importlib
import importlib.metadata
import json
import os
import socket
import sys
from pathlib import Path

SECRETS = (".netrc", "pip.conf", "id_rsa", "id_ed25519", ".git-credentials", "uv.toml", ".env", ".pypirc")
LICENSED = ("generic_model.pkl", "FLAME2020.zip", "FLAME2023.zip", "flame2023.pkl", "head_template.obj")


def may_write(folder: str) -> bool:
    try:
        path = Path(folder) / "written-by-the-test"
        path.write_text("x")
        path.unlink()
        return True
    except OSError:
        return False


def may_connect() -> bool:
    try:
        socket.create_connection(("1.1.1.1", 53), timeout=2).close()
        return True
    except OSError:
        return False


def status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


def suspicious() -> list[str]:
    """Files that have no business in an image: credentials, licensed models, the build's leftovers."""
    found = [path for path in ("/wheels", "/pip", "/root/.cache") if os.path.exists(path)]
    for folder in ("/app", "/opt", "/root", "/home", "/etc", "/tmp", "/var/tmp"):
        for path in Path(folder).rglob("*"):
            if path.name in SECRETS + LICENSED or path.suffix in (".key", ".ckpt"):
                found.append(str(path))
    return found


def facts(stage: str) -> dict:
    sys.path.insert(0, "/app")
    importlib.import_module(f"stages.{stage}.__main__")  # every package that it needs is there
    root = importlib.import_module("avatarmake").ROOT
    digests, closure = (importlib.import_module(f"avatarmake.{name}") for name in ("files.digests", "contract.closure"))
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": int(status("CapEff"), 16) | int(status("CapBnd"), 16),
        "no_new_privileges": status("NoNewPrivs") == "1",
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "connects": may_connect(),
        "writes": [folder for folder in ("/", "/app", "/opt/venv", "/etc", "/tmp") if may_write(folder)],
        "versions": {
            d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()
        },
        "code": digests.digest_files(closure.closure(stage), root),
        "lock": digests.digest_path(root / "docker" / stage / "requirements.lock"),
        "suspicious": suspicious(),
        "variables": sorted(os.environ),
    }


if __name__ == "__main__":
    print("\n" + json.dumps(facts(sys.argv[1])))

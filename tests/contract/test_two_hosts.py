"""Two hosts on one volume, as far as one machine can be two: each with a name, a network, a table of processes and a
boot of its own (Linux's namespaces), on the same folder. With locks that reach from one to the other, and without.
"""

import functools
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import SUMS, receipt
from avatarmake.errors import Exit

NAMESPACES = ("--uts", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
RIGHTS = () if os.geteuid() == 0 else ("--user", "--map-root-user")
# A stage that begins, waits until it is let go on, and counts. `apart`: this host's locks are nobody else's
STAGE = """
import fcntl, sys, time
from pathlib import Path
from avatarmake.contract import presence
from avatarmake.contract.command import main
from tests.contract.test_contract import COUNT, count

presence.BEAT, presence.QUIET = 0.1, 1.5
apart, go, name = sys.argv.pop(1) == "apart", Path(sys.argv.pop(1)), sys.argv.pop(1)
if apart:
    fcntl.flock = lambda handle, how: None

def slow(job):
    (job.out / "at-work").open("x").close()  # two at once fail here
    (go.parent / f"{name}.begun").touch()
    while not go.exists():
        time.sleep(0.02)
    (job.out / "at-work").unlink()
    return count(job) if job.config.shard is None else None

main(COUNT, slow)
"""


@functools.cache
def unshared() -> str:
    """Why there can be no two hosts here; empty where there can."""
    if not shutil.which("unshare"):
        return "needs unshare, of util-linux"
    done = subprocess.run(["unshare", *RIGHTS, *NAMESPACES, "hostname", "node1"], capture_output=True, text=True)
    return f"namespaces are not allowed here: {done.stderr.strip()}" if done.returncode else ""


class Volume:
    def __init__(self, folder: Path, locks: str):
        self.folder, self.locks, self.hosts = folder, locks, []
        self.subject = Subject(folder / "data", "roman")

    def start(self, host: str, *options: str, go: str = "go") -> subprocess.Popen:
        """The stage on a host."""
        boot = self.folder / f"{host}.boot"
        boot.write_text(str(uuid.uuid5(uuid.NAMESPACE_DNS, host)))
        shell = f'hostname {host} && mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"'
        words = [sys.executable, "-c", STAGE, self.locks, str(self.folder / go), host]
        words += ["roman", "--data", str(self.subject.data), *options]
        process = subprocess.Popen(
            ["unshare", *RIGHTS, *NAMESPACES, "sh", "-c", shell, "sh", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.hosts.append(process)
        return process

    def begun(self, host: str) -> None:
        end = time.monotonic() + 60
        while not (self.folder / f"{host}.begun").exists():
            assert time.monotonic() < end and self.hosts[-1].poll() is None, self.hosts[-1].stdout.read()
            time.sleep(0.02)

    def let_go(self, go: str = "go") -> None:
        (self.folder / go).touch()


@pytest.fixture(params=["together", "apart"])
def volume(request, tmp_path):
    if unshared():
        pytest.skip(unshared())
    volume = Volume(tmp_path, request.param)
    yield volume
    for host in volume.hosts:
        host.kill()
        host.wait()
        host.stdout.close()


def test_a_stage_runs_on_one_host_at_a_time(volume):
    first = volume.start("node1")
    volume.begun("node1")
    second = volume.start("node2")
    said, _ = second.communicate()
    assert second.returncode == Exit.ENVIRONMENT and "count is already running for this subject" in said
    if volume.locks == "apart":  # nothing but the note speaks of the other
        assert "on node1 (process " in said
    volume.let_go()
    said, _ = first.communicate()
    assert first.returncode == Exit.OK, said
    assert not list(volume.subject.root.glob(".frames.run-*"))


def test_a_host_that_is_killed_holds_nobody_up(volume):
    first = volume.start("node1")
    volume.begun("node1")
    first.kill()
    first.communicate()
    assert list(volume.subject.root.glob(".frames.run-*"))  # its note is there still
    (volume.subject.partial("frames") / "at-work").unlink()
    volume.let_go()
    second = volume.start("node2")
    said, _ = second.communicate()
    assert second.returncode == Exit.OK, said
    done = volume.subject.directory("frames")
    assert receipt(done)["resumed"] and len((done / SUMS).read_text().splitlines()) == 5
    assert not list(volume.subject.root.glob(".frames.run-*"))


@pytest.mark.parametrize("volume", ["apart"], indirect=True)
def test_shards_of_two_hosts_go_together_and_the_whole_does_not(volume):
    first = volume.start("node1", "--shard", "0/2", go="never")
    volume.begun("node1")
    (volume.subject.partial("frames") / "at-work").unlink()
    second = volume.start("node2", "--shard", "1/2")
    volume.begun("node2")
    whole = volume.start("node3")
    said, _ = whole.communicate()
    assert whole.returncode == Exit.ENVIRONMENT and "already running" in said
    volume.let_go()
    said, _ = second.communicate()
    assert second.returncode == Exit.OK, said
    assert first.poll() is None

"""A real SLURM of one node, from Debian's packages: munged, slurmctld and slurmd, all in one folder, as who runs it.

No cgroups and no task plugin: it needs no rights that a container's root does not have.
"""

import os
import platform
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
KillWait=2
MinJobAge=10
ReturnToService=2
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=3 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
SBIN = "/usr/sbin:/sbin"


def missing() -> list[str]:
    return [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")]


class Cluster:
    def __init__(self, folder: Path):
        self.folder, self.daemons = folder, []
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        conf = CONF.format(
            host=platform.node().partition(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            folder=folder,
            ports=[_free_port(), _free_port()],
        )
        (folder / "slurm.conf").write_text(conf)
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")  # one that is said to be there
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        variables = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:{SBIN}"}
        self.environment = os.environ | variables

    def __enter__(self) -> "Cluster":
        files = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log"}
        files |= {"pid-file": "munged.pid", "seed-file": "munged.seed"}
        try:
            self._start("munged", "--foreground", "--force", *(f"--{k}={self.folder / v}" for k, v in files.items()))
            self._start("slurmctld", "-D", "-L", str(self.folder / "slurmctld.log"))
            self._start("slurmd", "-D", "-L", str(self.folder / "slurmd.log"))
            self._wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if len(self.daemons) == 3:
            self.run("scancel", f"--user={os.getuid()}", "--full", "--signal=KILL")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait()

    def run(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip()

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as out:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self.daemons.append(subprocess.Popen(words, env=self.environment, start_new_session=True, **quiet))

    def _wait_until_idle(self) -> None:
        end = time.monotonic() + 60
        while self.run("sinfo", "--noheader", "--format=%T") != "idle":
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self.daemons):
                logs = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
                texts = (path.read_text(errors="replace")[-2000:] for path in logs)
                raise RuntimeError("SLURM does not start:\n" + "\n".join(texts))
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

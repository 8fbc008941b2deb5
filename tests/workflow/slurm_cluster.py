"""A Slurm cluster on this machine, for as long as a test needs it: a controller, two nodes, two GPUs that are none.

Slurm's own programs, as Debian packages them (`slurm-wlm`, `munge`). The configuration has to be at /etc/slurm, since
a job's step sees no variable that would name another place; so this needs root, and leaves a machine alone that has a
configuration already.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
from processes import until

CONFIGURATION = Path("/etc/slurm")
KEY = Path("/etc/munge/munge.key")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo", "scancel")
NODES = {"bench01": 16818, "gpu01": 16819}
GPUS = 2
MEMORY_MB = 9000
"""What each node says it has: two trainings at once."""
PATIENCE_S = 60

MARK = "# Made by the tests of compresslab in "
SLURM_CONF = """\
# Made by the tests of compresslab in {run}
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={run}/munge.socket
SlurmctldPort=16817
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd-%n.pid
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd-%n.log
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
KillWait=2
UnkillableStepTimeout=180
MinJobAge=600
AccountingStorageType=accounting_storage/none
NodeName=DEFAULT CPUs=2 RealMemory={memory} State=UNKNOWN
NodeName=bench01 NodeHostname={host} NodeAddr=127.0.0.1 Port={bench}
NodeName=gpu01 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu} Gres=gpu:{gpus}
PartitionName=cpu Nodes=bench01 Default=YES MaxTime=600 State=UP
PartitionName=gpu Nodes=gpu01 MaxTime=600 State=UP
"""
GRES_CONF = "NodeName=gpu01 Name=gpu File={run}/gpu[0-{last}]\n"


def why_not() -> str:
    """Why no cluster can be started here; empty where one can."""
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"no {', '.join(missing)} (packages slurm-wlm and munge)"
    if os.geteuid() != 0:
        return "the daemons need root"
    if not KEY.exists():
        return f"no {KEY}"
    if (CONFIGURATION / "slurm.conf").exists() and not left_over():
        return f"{CONFIGURATION}/slurm.conf is there already: this machine belongs to a cluster"
    if psutil.virtual_memory().total < 2 * MEMORY_MB * 1_000_000:
        return f"two nodes of {MEMORY_MB} MB do not fit into this machine's memory"
    return ""


def left_over() -> Path | None:
    """The folder of a cluster that killed tests have left behind."""
    first_line = (CONFIGURATION / "slurm.conf").read_text().partition("\n")[0]
    return Path(first_line.removeprefix(MARK)) if first_line.startswith(MARK) else None


class Cluster:
    """The daemons, started by `start` and ended by `stop`; files in ``run``, a folder with a short path."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def start(self) -> None:
        """Write the configuration and start the daemons; back when both nodes are idle."""
        if (CONFIGURATION / "slurm.conf").exists() and (old := left_over()):
            Cluster(old).stop()
        (self.run / "state").mkdir(parents=True)
        for node in NODES:
            (self.run / f"spool-{node}").mkdir()
        for number in range(GPUS):
            # Slurm asks for a device file; this one is another name of /dev/null.
            os.mknod(self.run / f"gpu{number}", 0o20666, os.makedev(1, 3))
        facts = {"host": socket.gethostname().partition(".")[0], "run": self.run, "memory": MEMORY_MB, "gpus": GPUS}
        CONFIGURATION.mkdir(exist_ok=True)
        conf = SLURM_CONF.format(bench=NODES["bench01"], gpu=NODES["gpu01"], **facts)
        (CONFIGURATION / "slurm.conf").write_text(conf)
        (CONFIGURATION / "gres.conf").write_text(GRES_CONF.format(run=self.run, last=GPUS - 1))
        self._start_munge()
        self.start_controller(clean=True)
        for node in NODES:
            subprocess.run(["slurmd", "-N", node], check=True)
        until(lambda: set(self.states().values()) == {"idle"}, PATIENCE_S)

    def _start_munge(self) -> None:
        key = self.run / "munge.key"
        key.write_bytes(KEY.read_bytes())
        key.chmod(0o400)
        files = {"key-file": key, "socket": self.run / "munge.socket", "pid-file": self.run / "munged.pid"}
        files |= {"log-file": self.run / "munged.log", "seed-file": self.run / "munge.seed"}
        subprocess.run(["munged", "--force", *(f"--{name}={path}" for name, path in files.items())], check=True)

    def start_controller(self, *, clean: bool = False) -> None:
        """Start the controller; unless ``clean`` it takes up the jobs that it knew."""
        subprocess.run(["slurmctld", *(["-c"] if clean else [])], check=True)

    def stop_controller(self) -> None:
        """Kill the controller: running jobs run on, and nobody can ask for them."""
        self._kill("slurmctld")

    def stop(self) -> None:
        """End all jobs and daemons, and take the configuration away."""
        subprocess.run(["scancel", "--user", "root"], check=False, capture_output=True, timeout=PATIENCE_S)
        for daemon in ("slurmctld", *(f"slurmd-{node}" for node in NODES), "munged"):
            self._kill(daemon)
        for name in ("slurm.conf", "gres.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)

    def _kill(self, daemon: str) -> None:
        try:
            process = psutil.Process(int((self.run / f"{daemon}.pid").read_text()))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return
        process.kill()
        process.wait(PATIENCE_S)

    def states(self) -> dict[str, str]:
        """What every node is at, in Slurm's words."""
        told = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], check=False, capture_output=True, text=True)
        return dict(line.split() for line in told.stdout.splitlines())

    def queue(self) -> list[dict[str, str]]:
        """Every job that the controller remembers: id, state, reason, node, and the rule that it is of."""
        told = subprocess.run(
            ["squeue", "-h", "--states=all", "-o", "%i|%T|%r|%N|%k"], check=False, capture_output=True, text=True
        )
        names = ("id", "state", "reason", "node", "comment")
        return [dict(zip(names, line.split("|"), strict=True)) for line in told.stdout.splitlines()]

    def set_node(self, node: str, state: str) -> None:
        """Drain a node, or resume it."""
        subprocess.run(["scontrol", "update", f"nodename={node}", f"state={state}", "reason=test"], check=True)

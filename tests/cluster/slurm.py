"""A real Slurm on this machine's loopback: no systemd, no cgroups, two nodes, GPUs that are only names.

Everything lives in one folder and is ended by the process ids recorded there. Needs root and Debian's packages.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "slurm-wlm-basic-plugins")
PROGRAMS = ("slurmctld", "slurmd", "squeue", "munged")
ETC = Path("/etc/slurm")  # where programs look that were started without our environment, as steps inside jobs are
ON_A_NODE = ("RUNNING", "STOPPED", "COMPLETING")  # states of a job that holds its node's parts
NODES = {"n1": 2, "n2": 0}  # node -> GPUs
PORT = 17817
PATH = f"/usr/sbin:/usr/bin:{os.environ['PATH']}"

CONFIG = """\
ClusterName=covidseg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/pids/slurmctld
SlurmdPidFile={folder}/pids/slurmd-%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
ReturnToService=2
SlurmdTimeout=20
KillWait=2
MinJobAge=3600
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Return what keeps Slurm from being started here: nothing, or reasons to say."""
    if os.getuid() != 0:
        return ["it needs root"]
    if all(shutil.which(program, path=PATH) for program in PROGRAMS):
        return ["another Slurm is set up in /etc/slurm"] if (ETC / "slurm.conf").exists() else []
    return [] if shutil.which("apt-get") else ["Slurm is not installed and there is no apt-get"]


def install() -> list[str]:
    """Install Debian's packages where they are missing, without starting a service; return what kept us from it."""
    if all(shutil.which(program, path=PATH) for program in PROGRAMS):
        return []
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            subprocess.run(
                ["apt-get", *command], env=environment, check=True, capture_output=True, text=True, timeout=300
            )
    except subprocess.CalledProcessError as e:
        return [f"apt-get {e.cmd[1]} failed: {(e.stderr.strip().splitlines() or ['no reason given'])[-1]}"]
    except subprocess.TimeoutExpired as e:
        return [f"apt-get {e.cmd[1]} did not end in {e.timeout:.0f} s"]
    else:
        return []
    finally:
        if ours:
            policy.unlink()


class Slurm:
    """A controller and two nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> None:
        """Start everything; return when both nodes are idle."""
        folder = self.folder
        for name in ("state", "pids", "munge", "devices", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)  # munged, another user, wants to see its way
        self._munge()
        host, gres = socket.gethostname().split(".")[0], ""
        lines = CONFIG.format(host=host, port=PORT, folder=folder)
        for k, (node, gpus) in enumerate(NODES.items(), 1):
            lines += f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + k} CPUs=4 RealMemory=16000"
            lines += f" Gres=gpu:{gpus}\n" if gpus else "\n"
            for g in range(gpus):
                os.mknod(folder / "devices" / f"nvidia{g}", stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null
                gres += f"NodeName={node} Name=gpu File={folder}/devices/nvidia{g}\n"
        (folder / "slurm.conf").write_text(lines)
        (folder / "gres.conf").write_text("AutoDetect=off\n" + gres)
        ETC.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).symlink_to(folder / name)
        self.do("slurmctld", "-c")
        self.wait(lambda: "UP" in self.do("scontrol", "ping", fails=True), "the controller")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: self.do("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split() == list(NODES), "the nodes")

    def _munge(self) -> None:
        """Start the service that signs messages, with a key of its own."""
        place = self.folder / "munge"
        (place / "key").write_bytes(os.urandom(1024))
        (place / "key").chmod(0o400)
        for path in (place, place / "key"):
            shutil.chown(path, "munge", "munge")
        files = [f"--{what}={place / name}" for what, name in (("key-file", "key"), ("socket", "socket"),
                 ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]  # fmt: skip
        self.do("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--force", *files)
        shutil.copy(place / "pid", self.folder / "pids" / "munged")

    def start_node(self, node: str) -> None:
        self.do("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Let a node die: its daemon and all that runs there, at once.

        No job may be on its way there: Slurm would start that one again and lose count of the node's GPUs.
        """
        self.do("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=dies")

        def jobs() -> list[str]:
            return self.do("squeue", "-h", "-w", node, "-o", "%i").split()

        self.wait(lambda: all(map(processes_of, jobs())), f"what starts on {node}")
        os.kill(int((self.folder / "pids" / f"slurmd-{node}").read_text()), signal.SIGKILL)
        for job in jobs():
            for process in processes_of(job):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def return_node(self, node: str) -> None:
        self.start_node(node)
        self.wait(lambda: self.do("sinfo", "-h", "-n", node, "-o", "%T").strip() == "drained", f"node {node}")
        self.do("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def stop(self) -> None:
        """Cancel what runs and end every process that was started here, by its id."""
        if (self.folder / "pids" / "slurmctld").exists():
            self.do("scancel", "-u", "root", fails=True)
            deadline = time.monotonic() + 15
            while self.do("squeue", "-h", fails=True).strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        for file in sorted((self.folder / "pids").glob("*"), key=lambda f: "slurmd" not in f.name):
            end(int(file.read_text()), file.name.split("-")[0])
        for name in ("slurm.conf", "gres.conf"):
            if (ETC / name).is_symlink() and (ETC / name).readlink() == self.folder / name:
                (ETC / name).unlink()

    def gpus_of(self, job: str) -> list[str]:
        """Return the indices of the GPUs that a running job was given."""
        found = re.findall(r"GRES=gpu:\d+\(IDX:([\d,]+)\)", self.do("scontrol", "show", "job", "-d", job, fails=True))
        return found[0].split(",") if found else []

    def process_states(self, job: str) -> set[str]:
        """Return the states of a job's processes, as the letters of ``ps``; empty before any has started."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may end while it is looked at
                if f"SLURM_JOB_ID={job}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.add((folder / "stat").read_text().rpartition(")")[2].split()[0])
        return found

    def jobs(self) -> list[dict[str, str]]:
        """Return all jobs, finished ones too: id, name, state, start, end, node, comment."""
        keys = ("id", "name", "state", "start", "end", "node", "comment")
        text = self.do("squeue", "-h", "-t", "all", "-o", "%i|%j|%T|%S|%e|%N|%k")
        return [dict(zip(keys, line.split("|"), strict=True)) for line in text.splitlines()]

    def wait(self, done: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Look until something is so; fail with all that Slurm knows when it does not come."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                looks = (("squeue", "-a"), ("scontrol", "show", "node", "-d"), ("scontrol", "show", "job", "-d"))
                said = [self.do(*look, fails=True) for look in looks]
                said += [f.read_text()[-5000:] for f in self.folder.glob("*.log")]
                raise TimeoutError("\n".join([f"{what} did not come within {seconds:.0f} s:", *said]))
            time.sleep(0.1)

    def do(self, *command: str, fails: bool = False) -> str:
        done = subprocess.run(
            command, text=True, capture_output=True, timeout=60, env=os.environ | {"PATH": PATH}, check=False
        )
        if done.returncode and not fails:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout


def processes_of(job: str) -> list[int]:
    """Return the processes of a Slurm job on this machine, its keepers included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (
                f"slurmstepd: [{job}." in (entry / "cmdline").read_text()
                or f"SLURM_JOB_ID={job}" in (entry / "environ").read_text().split("\0")
            ):
                found.append(int(entry.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def end(process: int, name: str) -> None:
    """End a process by its id if it still is the program of that name."""
    try:
        if Path(f"/proc/{process}/comm").read_text().strip() != name:
            return
        os.kill(process, signal.SIGTERM)
        for _ in range(50):
            if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
            time.sleep(0.1)
        os.kill(process, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return

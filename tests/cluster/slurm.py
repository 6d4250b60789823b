"""A real Slurm on one host, for tests: a controller and two nodes, each with two GPUs that are only declared.

    with SlurmCluster(folder) as cluster:
        subprocess.run([...], env=cluster.environment)

Needs Debian's slurmctld, slurmd and slurm-client. It binds to 127.0.0.1 alone, trusts every local user (`auth/none`, so
that no key daemon is needed: for tests on loopback, never for a cluster), writes only into its folder, and stops what
it started.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from childgait.engine.source_files import ROOT

# What the test cluster is, over profiles/slurm: a small node, a local file system, quick polls.
SMALL = {
    "cores: 16 ": "cores: 2 ",
    "latency-wait: 60 ": "latency-wait: 10 ",
    "slurm-init-seconds-before-status-checks: 20": "slurm-init-seconds-before-status-checks: 9",
}
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if _which(name) is None]


def small_profile(clone: Path, changes: dict[str, str]) -> None:
    """Write the repository's Slurm profile into a clone, adapted to the test cluster, with further changes."""
    folder = clone / "profiles/slurm"
    shutil.copytree(ROOT / "profiles/slurm", folder, dirs_exist_ok=True)
    text = (folder / "config.yaml").read_text()
    for old, new in (SMALL | changes).items():
        assert text.count(old) == 1, f"profiles/slurm/config.yaml holds {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    (folder / "config.yaml").write_text(text)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SlurmCluster:
    """Context manager of the cluster. `environment` is the environment of a user of it."""

    def __init__(
        self, folder: Path, *, nodes: int = 2, cpus: int = 4, memory_mb: int = 12000, first_choice: str = "n1"
    ) -> None:
        self.folder = folder.resolve()
        self.nodes = [f"n{index + 1}" for index in range(nodes)]
        self.cpus, self.memory_mb, self.first_choice = cpus, memory_mb, first_choice
        self.environment = dict(os.environ)

    def __enter__(self) -> SlurmCluster:
        for name in ("state", "log", "run", "dev", "bin", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._configure()
        try:
            self._spawn("slurmctld", "slurmctld", [])
            for node in self.nodes:
                self._spawn(f"slurmd.{node}", "slurmd", ["-N", node])
            self._wait_until_idle()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        controller, *ports = _free_ports(1 + len(self.nodes))
        host, user = socket.gethostname().split(".")[0], getpass.getuser()
        for gpu in (
            "gpu0",
            "gpu1",
        ):  # a GPU without a device file is dropped by this Slurm; any character device will do
            link = self.folder / "dev" / gpu
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        lines = [
            "ClusterName=childgait",
            "SlurmctldHost=localhost(127.0.0.1)",
            f"SlurmctldPort={controller}",
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            "AuthType=auth/none",
            "CredType=cred/none",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool/%n",
            f"SlurmctldPidFile={self.folder}/run/slurmctld.pid",
            f"SlurmdPidFile={self.folder}/run/slurmd.%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log",
            f"SlurmdLogFile={self.folder}/log/slurmd.%n.log",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=2",
            "JobAcctGatherParams=OverMemoryKill",
            "MpiDefault=none",
            "ReturnToService=2",
            "SlurmdTimeout=20",
            "KillWait=3",
            "MinJobAge=3600",
            "SchedulerType=sched/backfill",
            "SchedulerParameters=bf_interval=2,sched_interval=2,requeue_setup_env_fail",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            "EnforcePartLimits=ALL",  # an impossible request is refused at once instead of waiting for ever
            "GresTypes=gpu",
            "SlurmdParameters=config_overrides",
            "AccountingStorageType=accounting_storage/none",
        ]
        for node, port in zip(self.nodes, ports, strict=True):
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
                f"RealMemory={self.memory_mb} Gres=gpu:fake:2 "
                f"Weight={1 if node == self.first_choice else 2} State=UNKNOWN"
            )
        everywhere = ",".join(self.nodes)
        lines += [
            f"PartitionName=cpu Nodes={everywhere} Default=YES MaxTime=360 State=UP",
            f"PartitionName=gpu Nodes={everywhere} MaxTime=360 State=UP",
        ]
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "gres.conf").write_text(
            f"NodeName={everywhere} Name=gpu Type=fake File={self.folder}/dev/gpu[0-1]\n"
        )
        # Snakemake's job step hands no SLURM_CONF to srun, so srun is told here.
        wrapper = self.folder / "bin" / "srun"
        wrapper.write_text(f'#!/bin/sh\nexport SLURM_CONF={self.folder}/slurm.conf\nexec {_which("srun")} "$@"\n')
        wrapper.chmod(0o755)
        self.environment["SLURM_CONF"] = f"{self.folder}/slurm.conf"
        self.environment["PATH"] = f"{self.folder}/bin:{self.environment['PATH']}:/usr/sbin:/sbin"

    def _spawn(self, pid_name: str, program: str, arguments: list[str]) -> None:
        done = self.run(program, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{program} did not start: {done.stderr.strip()}; see {self.folder}/log")

    def _wait_until_idle(self) -> None:
        for _ in range(300):
            states = self.run("sinfo", "-h", "-N", "-p", "cpu", "-o", "%T").stdout.split()
            if states == ["idle"] * len(self.nodes):
                return
            time.sleep(0.1)
        raise RuntimeError(f"the nodes did not become idle: {self.run('sinfo', '-N', '-o', '%N %T %E').stdout}")

    def environment_over(self, other: dict[str, str]) -> dict[str, str]:
        """Extend an environment so that its jobs are sent to this cluster."""
        mine = {"SLURM_CONF": self.environment["SLURM_CONF"], "SNAKEMAKE_PROFILE": "profiles/slurm"}
        return other | mine | {"PATH": f"{self.folder}/bin:{other['PATH']}:/usr/sbin:/sbin"}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user of the cluster."""
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)

    def pid(self, name: str) -> int | None:
        path = self.folder / "run" / f"{name}.pid"
        text = path.read_text().strip() if path.exists() else ""
        return int(text) if text else None

    def jobs(self) -> list[dict[str, str]]:
        """List every job of the controller, ended ones included."""
        fields = (
            "JobId",
            "JobState",
            "Partition",
            "NumCPUs",
            "NodeList",
            "Comment",
            "TRES",
            "TimeLimit",
            "JobName",
            "TresPerJob",
            "Restarts",
            "RunTime",
        )
        found = []
        for line in self.run("scontrol", "show", "job", "--oneliner").stdout.splitlines():
            pairs = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if "JobId" in pairs:
                found.append({field: pairs.get(field, "") for field in fields})
        return found

    def table(self) -> str:
        """Return the jobs as scontrol prints them."""
        fields = ("JobId", "Comment", "Partition", "NodeList", "JobState", "TRES", "TresPerJob", "TimeLimit", "RunTime")
        rows = [
            " | ".join(job[field] for field in fields) for job in sorted(self.jobs(), key=lambda job: int(job["JobId"]))
        ]
        return "\n".join(f"| {row} |" for row in [" | ".join(fields), " | ".join("---" for _ in fields), *rows]) + "\n"

    def kill_node(self, node: str) -> None:
        """Kill a node: its daemon and all of its processes at once."""
        daemon = self.pid(f"slurmd.{node}")
        steps = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _runs_on(entry, node, f"{self.folder}/bin")
        ]
        # The step managers do not carry the node's name; they are the parents of what runs there.
        managers = {parent for parent in map(_parent, steps) if "slurmstepd" in _command(parent)}
        for pid in [*([daemon] if daemon else []), *managers, *steps]:
            _kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop jobs, nodes and controller, in this order, and wait for each."""
        self.run("scancel", "--user", getpass.getuser())
        time.sleep(0.5)
        for name in [*(f"slurmd.{node}" for node in self.nodes), "slurmctld"]:
            pid = self.pid(name)
            if pid is None or not _kill(pid, signal.SIGTERM):
                continue
            for _ in range(100):
                if _gone(pid):
                    break
                time.sleep(0.1)
            else:
                _kill(pid, signal.SIGKILL)


def _runs_on(process: Path, node: str, mark: str) -> bool:
    """Check whether a process is a job of this node, in the cluster whose folder is `mark`."""
    try:
        environment = (process / "environ").read_bytes()
    except OSError:  # it ended, or is another user's
        return False
    return mark.encode() in environment and f"SLURMD_NODENAME={node}\0".encode() in environment


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _gone(pid: int) -> bool:
    """Check whether a process has ended, also if its parent has not collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True

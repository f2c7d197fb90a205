"""Several hosts on one machine: network, process and mount namespaces joined by a bridge, all below this process.

A host has its own address, name, processes, home and /tmp/ray. The file system is otherwise shared, as results are on a
cluster. `Host.end` ends all processes of a host, since they end with its first process.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
TOKEN = "5f1c" * 16
PORT = 6379  # of Ray's head
PATIENCE_S = 240.0  # for steps that take seconds on an idle machine

# Ray notices a lost host after about 12 s rather than a minute.
QUICK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "2",
}
STARTS = 3  # Ray gives a node 30 s to start, which a busy machine can exceed


def why_not(*programs: str) -> str | None:
    """Why hosts with these programs cannot be made here; None if they can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if missing := [name for name in ("ip", "unshare", "nsenter", *programs) if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    name = f"ottt-{os.getpid()}-probe"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        return "needs the right to make network namespaces"
    return None if subprocess.run(["ip", "netns", "del", name]).returncode == 0 else "cannot remove namespaces"


def until(condition: Callable[[], bool], what: str | Callable[[], str], *, seconds: float = PATIENCE_S) -> None:
    """Wait for the condition; `what` is the error message when time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what if isinstance(what, str) else what())
        time.sleep(0.1)


@dataclass
class Host:
    """A host of the lab; see `Lab.host`."""

    name: str
    namespace: str
    address: str
    folder: Path
    variables: Mapping[str, str]
    first: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        for folder in (Path("/tmp/ray"), self.folder / "ray", self.home):
            folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n", encoding="utf-8")
        users = Path("/etc/passwd").read_text(encoding="utf-8").replace(":/root:", f":{self.home}:")
        (self.folder / "passwd").write_text(users, encoding="utf-8")
        # bash, as the first process, adopts processes whose parents ended.
        own = {"ray": "/tmp/ray", "hosts": "/etc/hosts", "passwd": "/etc/passwd"}
        mounts = [f"mount --bind {self.folder / name} {path}" for name, path in own.items()]
        steps = [f"hostname {self.name}", *mounts, "mount --bind /dev/null /etc/resolv.conf", f"touch {self.folder}/up"]
        script = f"{' && '.join(steps)} && while true; do sleep 60; done"
        unshare = ["unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
        self.first = subprocess.Popen(["ip", "netns", "exec", self.namespace, *unshare, "bash", "-c", script])
        until((self.folder / "up").exists, f"{self.name} did not start")

    def command(self, *words: str, variables: Mapping[str, str] | None = None) -> list[str]:
        """The words as a command on this host, without this process's environment."""
        own = {
            "HOME": str(self.home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }
        pairs = [f"{key}={value}" for key, value in (own | dict(self.variables) | dict(variables or {})).items()]
        return ["nsenter", f"--target={self._inside}", "--all", f"--wd={self.folder}", "env", "-i", *pairs, *words]

    def run(self, *words: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = self.command(*words, variables=variables)
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ottt(self, *words: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "experiments.cli", *words, variables=variables)

    def ray(self, *words: str) -> None:
        """Start a Ray node."""
        start = [str(BIN / "ray"), "start", "--disable-usage-stats", f"--node-ip-address={self.address}", *words]
        for _ in range(STARTS):
            done = self.run(*start)
            if done.returncode == 0:
                return
            self.run(str(BIN / "ray"), "stop", "--force")
        raise AssertionError(done.stdout + done.stderr)

    def pids(self, pattern: str) -> list[str]:
        """Process ids, on the host, of processes whose command line matches."""
        return self.run("pgrep", "--full", pattern).stdout.split()

    def kill(self, pattern: str) -> None:
        pids = self.pids(pattern)
        assert pids, f"{pattern} does not run on {self.name}"
        self.run("kill", "-KILL", *pids)

    def link(self, state: str) -> None:
        """Disconnect the host ("down"), or connect it again ("up")."""
        subprocess.run(["ip", "-n", self.namespace, "link", "set", "eth0", state], check=True)

    def end(self) -> None:
        self.first.kill()
        self.first.wait()

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def _inside(self) -> str:
        """Process id, on this machine, of the host's first process."""
        children = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children")
        return children.read_text(encoding="utf-8").split()[0]


@dataclass
class Lab:
    """Hosts on one bridge.

    Attributes:
        folder: folder of the hosts' own files.
        hosts: hosts by name.
    """

    folder: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    @property
    def switch(self) -> str:
        return f"ottt-{os.getpid()}-switch"

    def host(self, name: str, *, token: str | None = TOKEN, variables: Mapping[str, str] | None = None) -> Host:
        """Add a host to the bridge, with the token in its home."""
        number = len(self.hosts) + 1
        namespace, address = f"ottt-{os.getpid()}-{name}", f"10.87.0.{number}"
        ip("netns", "add", namespace)
        folder = self.folder / name
        try:
            ip("link", "add", "eth0", "netns", namespace, "type", "veth", "peer", f"port{number}", "netns", self.switch)
            ip("-n", self.switch, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", namespace, "link", "set", device, "up")
            if token is not None:
                (folder / "home" / ".ray").mkdir(parents=True)
                (folder / "home" / ".ray" / "auth_token").write_text(token, encoding="utf-8")
            self.hosts[name] = Host(name, namespace, address, folder, QUICK | dict(variables or {}))
        except BaseException:
            ip("netns", "del", namespace)
            raise
        return self.hosts[name]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Make a lab without hosts; hosts that are added end with the context."""
    made = Lab(folder)
    ip("netns", "add", made.switch)
    try:
        ip("-n", made.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", made.switch, "link", "set", "bridge", "up")
        yield made
    finally:
        for host in made.hosts.values():
            host.end()
        for name in (*(host.namespace for host in made.hosts.values()), made.switch):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

"""`ray up deploy/onprem.yaml` on three hosts with SSH that stand beside each other in network namespaces.

    python -m tests.experiments.cluster.onprem > docs/onprem.txt

The file is the one that comes with this, with the hosts' addresses, an SSH key and a folder that they share. A fourth
host is the laptop: it brings the cluster up, submits a sweep, looks at it, and removes the cluster. Each host clones
the last commit and installs it; pip finds the other packages in this environment, since the hosts reach no registry.
"""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.experiments.cluster.lab import BIN, ROOT, TOKEN, Host, Lab, lab, until, why_not

SPEC = """\
name: onprem
base: {T: 2, epochs: 4, batch_size: 256, model.width: 0.25, device: cpu}
axes: {rule.update: [accumulate, online]}
seeds: 2
"""
SSHD = """\
HostKey {key}
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
"""
SSH = """\
IdentityFile {key}
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
"""
# What a lab machine has from the start: Python's packages, and where commands lie. No 1 here keeps pip's build inside.
BASHRC = f"""\
export PATH={BIN}:$PATH PYTHONPATH=$HOME/ottt-lab:{sysconfig.get_path("purelib")}
export PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1
"""
PLAIN = ("--log-style=pretty", "--log-color=false")  # as a terminal shows it
NODES = "3 local.cluster.node"  # Ray's status of a head and two workers that are all set up
TRIAL = "^ray::.*Trainable"  # an actor that trains
START_S = 300.0  # the head installs this project on the workers
END_S = 180.0  # a worker looks for its lost head for a minute before it ends itself


def main() -> int:
    if (reason := why_not("sshd", "ssh", "rsync", "git", "curl")) is not None:
        print(reason, file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="onprem-") as folder, lab(Path(folder)) as made:
        laptop, hosts = machines(made)
        file, spec = cluster_file(made.folder, hosts), made.folder / "onprem-study.yaml"
        spec.write_text(SPEC, encoding="utf-8")
        show(laptop, "ottt", "cluster", "check", str(file))
        show(laptop, "ray", "up", "--yes", *PLAIN, str(file))
        laptop.start("ray", "dashboard", str(file))
        print(f"$ ray dashboard {file.name} &\n", flush=True)
        until(lambda: laptop.run("curl", "--silent", "127.0.0.1:8265").returncode == 0, "no dashboard")
        until(lambda: NODES in hosts[0].run("ray", "status").stdout, "not all nodes started", seconds=START_S)
        show(laptop, "ray", "exec", *PLAIN, str(file), "ray status")
        show(laptop, "ottt", "cluster", "submit", str(spec))
        until(lambda: all(host.pids(TRIAL) for host in hosts[1:]), "a worker trains nothing")
        print("Trials run on both workers, none on the head.\n" if not hosts[0].pids(TRIAL) else "", flush=True)
        show(laptop, "ottt", "cluster", "status")
        show(laptop, "ottt", "cluster", "logs", "onprem", "--follow")
        show(laptop, "ottt", "cluster", "status")
        show(laptop, "ray", "down", "--yes", *PLAIN, str(file))
        until(lambda: not any(host.pids("raylet/raylet") for host in hosts), "nodes stay", seconds=END_S)
        print("No Ray node is left on any machine.\n")
        show(laptop, "ssh", f"root@{hosts[0].address}", "~/ottt-lab/deploy/mlflow-server.sh stop ~/ottt-mlflow")
        until(lambda: not hosts[0].pids("mlflow"), "MLflow stays")
        print("Nor a process of MLflow.")
    return 0


def machines(made: Lab) -> tuple[Host, list[Host]]:
    """A laptop, and a head and two workers that listen for SSH."""
    key = made.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (made.folder / "sshd_config").write_text(SSHD.format(key=key), encoding="utf-8")
    Path("/run/sshd").mkdir(exist_ok=True)
    (made.folder / "ottt").write_text(f'#!/bin/sh\nexec {sys.executable} -m experiments.cli "$@"\n', encoding="utf-8")
    (made.folder / "ottt").chmod(0o755)
    path = f"{made.folder}:{BIN}:/usr/local/bin:/usr/bin:/bin"
    laptop = made.host("laptop", variables={"PATH": path, "PYTHONUNBUFFERED": "1", "TERM": "dumb"})
    (laptop.home / ".ssh").mkdir()
    (laptop.home / ".ssh" / "config").write_text(SSH.format(key=key), encoding="utf-8")
    hosts = [made.host(name, token=None, variables={"RAY_AUTH_MODE": "token"}) for name in ("head", "one", "two")]
    for host in hosts:
        (host.home / ".bashrc").write_text(BASHRC, encoding="utf-8")
        host.start("/usr/sbin/sshd", "-D", "-f", str(made.folder / "sshd_config"))
    for host in hosts:
        until(lambda host=host: laptop.run("ssh", f"root@{host.address}", "true").returncode == 0, "no SSH")
    return laptop, hosts


def cluster_file(folder: Path, hosts: list[Host]) -> Path:
    """deploy/onprem.yaml with this lab's values."""
    head, *workers = (host.address for host in hosts)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    text = (ROOT / "deploy" / "onprem.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("head_ip: 192.168.1.10", f"head_ip: {head}"),
        ("[192.168.1.11, 192.168.1.12]", f"[{', '.join(workers)}]"),
        ("ssh_user: ottt", "ssh_user: root"),
        ("~/.ssh/id_ed25519", str(folder / "key")),
        ("/srv/ottt", str(folder / "shared")),
        ("https://example.org/ottt-lab.git", f"file://{ROOT}"),
        ("OTTT_VERSION=v0.1.0", f"OTTT_VERSION={commit.stdout.strip()}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "constraints.txt").symlink_to(ROOT / "constraints.txt")
    (folder / "shared").mkdir()
    path = folder / "onprem.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def show(laptop: Host, *words: str) -> None:
    """Run it on the laptop and print what it says, without what belongs to this machine."""
    command = laptop.command(*words)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)
    said = re.sub(r"\x1b\[\d*m", "", done.stdout)  # the head's commands colour what they say
    text = f"$ {' '.join(word for word in words if word not in PLAIN)}\n{said}"
    for secret, shown in {f"{laptop.folder.parent}/": "", str(ROOT): "<project>", TOKEN: "<token>"}.items():
        text = text.replace(secret, shown)
    print("\n".join(line.rstrip() for line in text.replace("\r", "").splitlines()), end="\n\n", flush=True)
    if done.returncode != 0:
        raise SystemExit(f"ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())

"""`ottt cluster check`: the files of this repository pass; every mistake is reported with its line."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cluster.check import check
from ottt.errors import UserError

ROOT = Path(__file__).parents[3]
FILES = {"cluster": ROOT / "cluster.yaml", "onprem": ROOT / "deploy" / "onprem.yaml"}

Problems = Callable[..., list[str]]


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """Finds the problems of a file after replacements in its text, without the file's name."""

    def examine(name: str, *changes: tuple[str, str]) -> list[str]:
        text = FILES[name].read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        shutil.copy(ROOT / "constraints.txt", tmp_path)
        path = tmp_path / "altered.yaml"
        path.write_text(text, encoding="utf-8")
        return [line.removeprefix(f"{path}") for line in check(path).problems]

    return examine


def line_of(name: str, text: str) -> int:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_repository_pass(name: str) -> None:
    verdict = check(FILES[name])
    assert verdict.problems == ()
    assert any(f"{FILES[name]}:{line_of(name, 'OTTT_VERSION=')}: OTTT_VERSION is still" in one for one in verdict.notes)


@pytest.mark.parametrize("name", FILES)
def test_settings_of_the_user_are_at_the_top_only(name: str) -> None:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    end = next(number for number, line in enumerate(lines) if "End of settings" in line)
    rest = "\n".join(lines[end:])
    for text in ("example", "0123456789abcdef0", "192.168.1", "eu-central-1", "v0.1.0", "id_ed25519"):
        assert text not in rest


def test_spot_machines_are_preferred_to_on_demand_ones() -> None:
    from ottt.config.yaml_reader import read_yaml

    types = read_yaml(FILES["cluster"]).values["available_node_types"]
    spot, fallback = types["gpu_spot"], types["gpu_on_demand"]
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in fallback["node_config"]
    assert spot["priority"] > fallback["priority"]
    assert spot["resources"] == fallback["resources"]


PORTS = "FromPort: 22, ToPort: 22"
EVERYONE = "IpRanges: [{CidrIp: 0.0.0.0/0}]"
ALTERED = [
    # Ray's own schema and rules
    ("cluster", "max_workers: 8  #", "max_workers: many  #", "max_workers: 'many' is not of type 'integer'"),
    ("cluster", "cluster_name: ottt", "cluster_nam: ottt", "Additional properties are not allowed ('cluster_nam'"),
    ("cluster", "head_node_type: head", "head_node_type: chief", "`head_node_type` must be one of"),
    ("cluster", "resources: {CPU: 16, GPU: 1}", "resources: {CPU: 16, GPU: 0.5}", "0.5 is not of type 'integer'"),
    ("onprem", "  head_ip: 192.168.1.10", "  # head_ip: 192.168.1.10", "`head_ip`"),
    # versions
    ("cluster", "ray:2.60.0-py311", "ray:2.50.0-py311", "image must be of Ray 2.60.0, which constraints.txt has"),
    ("cluster", "ray:2.60.0-py311-cu128", "ray:latest", "got rayproject/ray:latest"),
    ("cluster", "--constraint constraints.txt --editable", "--editable", "must install with `--constraint"),
    ("onprem", "--constraint constraints.txt --editable", "--editable", "must install with `--constraint"),
    ("cluster", "OTTT_VERSION=v0.1.0", "OTTT_VERSION=main", "the same on every machine, got 'main'"),
    # storage
    ("cluster", "OTTT_RESULTS=/mnt/ottt/results", "OTTT_RESULTS=/tmp/results", "must be inside /mnt/ottt, got"),
    ("onprem", "OTTT_RESULTS=/srv/ottt/results", "OTTT_RESULTS=/home/results", "must be inside /srv/ottt, got"),
    ("onprem", "OTTT_STORAGE=/srv/ottt", "OTTT_STORAGE=", "OTTT_STORAGE must name the storage"),
    ("cluster", "--volume /mnt/ottt:/mnt/ottt", "--tty", "run_options must mount /mnt/ottt in the container"),
    # network
    ("cluster", PORTS, "FromPort: 8265, ToPort: 8265", "only TCP port 22 may be open to 0.0.0.0/0, got tcp 8265"),
    ("cluster", PORTS, "FromPort: 22, ToPort: 65535", "got tcp 22-65535"),
    ("cluster", "IpProtocol: tcp", "IpProtocol: '-1'", "got -1 22"),
    ("cluster", f"{PORTS}, {EVERYONE}", "IpRanges: [{CidrIp: 0.0.0.0/0}]", "got tcp all"),
    ("cluster", f"{PORTS}, {EVERYONE}", f"FromPort: 0, ToPort: 22, {EVERYONE}", "open to 0.0.0.0/0, got tcp 0-22"),
    *(
        ("cluster", f"{PORTS}, {EVERYONE}", f"FromPort: 5000, ToPort: 5000, {ranges}", f"open to {one}, got tcp 5000")
        for ranges, one in [
            ("Ipv6Ranges: [{CidrIpv6: '::/0'}]", "::/0"),
            ("Ipv6Ranges: [{CidrIpv6: '0:0:0:0:0:0:0:0/0'}]", "0:0:0:0:0:0:0:0/0"),
            ("Ipv6Ranges: [{CidrIpv6: '2000::/3'}]", "2000::/3"),
            ("IpRanges: [{CidrIp: 10.0.0.0/8}, {CidrIp: 8.8.8.8/0}]", "8.8.8.8/0"),
            ("IpRanges: [{CidrIp: 0.0.0.0/1}, {CidrIp: 128.0.0.0/1}]", "0.0.0.0/1"),
            ("IpRanges: [{CidrIp: everyone}]", "everyone"),
            ("PrefixListIds: [{PrefixListId: pl-12345678}]", "pl-12345678"),
        ]
    ),
    ("cluster", "--dashboard-host=127.0.0.1", "--dashboard-host '0.0.0.0'", "--dashboard-host must be 127.0.0.1"),
    ("cluster", "--dashboard-host=127.0.0.1", "--dashboard-host=$(hostname)", "got $(hostname)"),
    ("cluster", "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "--dashboard-host must be 127.0.0.1"),
    ("onprem", " --dashboard-host=127.0.0.1", "", "must start Ray with --dashboard-host=127.0.0.1"),
    # the head
    ("cluster", "resources: {CPU: 0, GPU: 0}", "resources: {CPU: 4, GPU: 0}", "CPU of the head must be 0"),
    ("cluster", "resources: {CPU: 0, GPU: 0}", "resources: {}", "GPU of the head must be 0, so that no trial runs"),
    ("onprem", "--num-cpus=0 ", "", "must start Ray's head with --num-cpus=0"),
    # the token and the password
    ("cluster", "    - --env RAY_AUTH_MODE=token\n", "", "worker_start_ray_commands must start Ray with RAY_AUTH_MODE"),
    ("cluster", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "RAY_AUTH_MODE=token, got disabled"),
    ("onprem", "  ~/.ray/auth_token: ~/.ray/auth_token", "  {}", "file_mounts must copy ~/.ray/auth_token"),
    ("cluster", "~/ottt-lab/deploy/mlflow-server.sh start /var/lib/ottt/mlflow", "ottt mlflow serve", "ask for a pass"),
    ("cluster", "~/ottt-lab/deploy/mlflow-server.sh start /var/lib/ottt/mlflow", "echo", "must start MLflow"),
    ("cluster", "idle_timeout_minutes: 10", "idle_timeout_minutes: 0", "must set when idle machines are terminated"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "expected"), ALTERED)
def test_every_mistake_is_reported(problems: Problems, name: str, old: str, new: str, expected: str) -> None:
    found = problems(name, (old, new))
    assert any(expected in line for line in found), found


def test_all_problems_are_reported_with_their_lines(problems: Problems) -> None:
    found = problems("cluster", (PORTS, "FromPort: 80, ToPort: 80"), ("OTTT_VERSION=v0.1.0", "OTTT_VERSION="))
    assert [line.split(" ")[0] for line in found] == [
        f":{line_of('cluster', 'OTTT_VERSION=')}:",
        f":{line_of('cluster', PORTS)}:",
    ]


def test_another_command_with_a_password_passes(problems: Problems) -> None:
    start = "~/ottt-lab/deploy/mlflow-server.sh start /var/lib/ottt/mlflow"
    assert problems("cluster", (start, "ottt mlflow serve --port 5000 --auth")) == []


def test_a_port_open_to_a_private_network_passes(problems: Problems) -> None:
    permission = (PORTS, "FromPort: 8265, ToPort: 8265"), ("CidrIp: 0.0.0.0/0", "CidrIp: 10.1.0.0/16")
    assert problems("cluster", *permission) == []


def test_without_constraints_nothing_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    shutil.copy(FILES["cluster"], path)
    with pytest.raises(UserError, match=r"constraints\.txt must be beside it or in a folder above, found none"):
        check(path)


def test_the_command_prints_one_line_per_problem(tmp_path: Path) -> None:
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    text = FILES["cluster"].read_text(encoding="utf-8").replace(PORTS, "FromPort: 0, ToPort: 65535")
    (tmp_path / "open.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "experiments.cli", "cluster", "check", str(tmp_path / "open.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, done.stdout, len(errors)) == (2, "", 1)
    assert errors[0].endswith("only TCP port 22 may be open to 0.0.0.0/0, got tcp 0-65535")

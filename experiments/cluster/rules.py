"""Rules for launcher files beyond Ray's schema. A rule yields one line per problem."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from experiments.cluster.layout import Command, Layout, Setting
from ottt.config.yaml_reader import KeyPath

SSH = 22
TOKEN_FILE = ".ray/auth_token"
_WIDE = 8  # prefix bits; shorter prefixes are the world or a large part of it, such as 0.0.0.0/1 and 2000::/3
_HERE = {"127.0.0.1", "localhost", "::1"}
_IMAGES = ("image", "head_image", "worker_image")
_MOVING = {"", "main", "master", "HEAD", "latest"}
_EXAMPLES = re.compile(r"example|0123456789|v0\.1\.0")

_RAY_START = re.compile(r"\bray start\b")
_TOKEN_MODE = re.compile(r"\bRAY_AUTH_MODE[= ]'?\"?(\w+)")
_HOST = re.compile(r"--(dashboard-host|host|ray-client-server-host)(?:=|\s+)[\"']?([^\s\"';]+)")
_MLFLOW = re.compile(r"mlflow-server\.sh[\"']? start\b|mlflow (?:serve|server)\b[^;&|]*")
_INSTALL = re.compile(r"pip install\b[^;&|]*")


def versions(layout: Layout, ray: str) -> Iterator[str]:
    """Ray and all packages have the versions of constraints.txt; this project has one fixed version."""
    for path, image in _images(layout):
        _, _, tag = image.rpartition(":")
        if tag.split("-")[0] != ray:
            yield layout.problem(path, f"{path[-1]} must be of Ray {ray}, which constraints.txt has, got {image}")
    for command in layout.commands():
        for install in _INSTALL.findall(command.text):
            if "constraints.txt" not in install:
                yield _at(layout, command, f"must install with `--constraint constraints.txt`, got `{install.strip()}`")
    version = layout.settings().get("OTTT_VERSION")
    if version is None or version.value in _MOVING:
        yield _at_setting(layout, version, "OTTT_VERSION must be a tag or a commit, the same on every machine")


def storage(layout: Layout) -> Iterator[str]:
    """Results are on storage that all machines share."""
    settings = layout.settings()
    shared, results = settings.get("OTTT_STORAGE"), settings.get("OTTT_RESULTS")
    if shared is None or not shared.value:
        yield _at_setting(layout, shared, "OTTT_STORAGE must name the storage that all machines share")
    if results is None or not results.value.startswith("/"):
        yield _at_setting(layout, results, "OTTT_RESULTS must be a folder on the shared storage, with its full path")
        return
    roots = [shared.value] if shared is not None and shared.value.startswith("/") else _mounted(layout)
    if not any(results.value.startswith(f"{root.rstrip('/')}/") for root in roots):
        there = " or ".join(roots) if roots else "a mount of OTTT_STORAGE, but no command mounts it"
        yield _at_setting(layout, results, f"OTTT_RESULTS must be inside {there}")
    if layout.docker and not any(f"--volume {root}:" in layout.run_options() for root in roots):
        yield layout.problem(("docker", "run_options"), f"run_options must mount {' or '.join(roots)} in the container")


def network(layout: Layout) -> Iterator[str]:
    """Only SSH is open to the world."""
    permissions = layout.provider.get("security_group", {}).get("IpPermissions", [])
    for index, permission in enumerate(permissions):
        path: KeyPath = ("provider", "security_group", "IpPermissions", index)
        open_to = [one for one in _ranges(permission) if _is_world(one)]
        ports = permission.get("FromPort"), permission.get("ToPort")
        if open_to and (ports != (SSH, SSH) or permission.get("IpProtocol") != "tcp"):
            yield layout.problem(path, f"only TCP port {SSH} may be open to {open_to[0]}, got {_ports(permission)}")
    for command in layout.commands():
        for option, host in _HOST.findall(command.text):
            if host not in _HERE:
                yield _at(layout, command, f"--{option} must be 127.0.0.1, reached through SSH, got {host}")
    starts = [one for one in layout.commands("head_start_ray_commands") if _RAY_START.search(one.text)]
    if not starts:  # Ray's default commands for clouds open the dashboard on all interfaces
        yield f"{layout.document.name}: head_start_ray_commands must start Ray with --dashboard-host=127.0.0.1"
    for command in starts:
        if "--dashboard-host" not in command.text:
            yield _at(layout, command, "must start Ray with --dashboard-host=127.0.0.1")


def head(layout: Layout) -> Iterator[str]:
    """The head trains nothing: a trial that exhausts it would take the cluster down."""
    if layout.is_local:
        for command in layout.commands("head_start_ray_commands"):
            if _RAY_START.search(command.text) and not re.search(r"--num-cpus[= ]0\b", command.text):
                yield _at(layout, command, "must start Ray's head with --num-cpus=0, so that no trial runs there")
        return
    name = str(layout.document.values.get("head_node_type", ""))
    path: KeyPath = ("available_node_types", name)
    node = layout.node_types().get(name)
    resources: Any = {} if node is None else node.get("resources")
    for resource in ("CPU", "GPU"):
        if not isinstance(resources, dict) or resources.get(resource) != 0:
            got = "nothing" if not isinstance(resources, dict) else resources.get(resource, "nothing")
            path_of = (*path, "resources")
            yield layout.problem(path_of, f"{resource} of the head must be 0, so that no trial runs there, got {got}")


def token(layout: Layout) -> Iterator[str]:
    """Ray requires the token."""
    mounts = layout.document.values.get("file_mounts")
    if not any(str(target).endswith(TOKEN_FILE) for target in mounts or ()):
        yield layout.problem(
            ("file_mounts",), f"file_mounts must copy ~/{TOKEN_FILE} to every machine (ray get-auth-token --generate)"
        )
    everywhere = _TOKEN_MODE.search(layout.run_options())
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in layout.commands(key) if _RAY_START.search(command.text)]
        if not starts:
            yield f"{layout.document.name}: {key} must start Ray"
        for command in starts:
            mode = _TOKEN_MODE.search(command.text) or everywhere
            if mode is None or mode[1] != "token":
                got = "nothing" if mode is None else mode[1]
                yield _at(layout, command, f"must start Ray with RAY_AUTH_MODE=token, got {got}")


def tracking(layout: Layout) -> Iterator[str]:
    """The head serves MLflow with authentication."""
    found = False
    for command in layout.commands("head_setup_commands", "head_start_ray_commands"):
        for start in _MLFLOW.findall(command.text):
            found = True
            if "mlflow-server.sh" not in start and not re.search(r"--auth\b|--app-name[= ]basic-auth", start):
                yield _at(layout, command, f"must ask for a password: --auth, got `{start.strip()}`")
    if not found:
        yield f"{layout.document.name}: head_start_ray_commands must start MLflow: deploy/mlflow-server.sh start DIR"


def scaling(layout: Layout) -> Iterator[str]:
    """Idle rented machines are terminated."""
    if not layout.is_local and not layout.document.values.get("idle_timeout_minutes"):
        yield layout.problem(
            ("idle_timeout_minutes",), "idle_timeout_minutes must set when idle machines are terminated"
        )


def placeholders(layout: Layout) -> Iterator[str]:
    """Settings that are still those of the example: valid, but hardly intended."""
    for name, setting in layout.settings().items():
        if _EXAMPLES.search(setting.value):
            yield f"{setting.place}: {name} is still the example's {setting.value}"


def _images(layout: Layout) -> Iterator[tuple[KeyPath, str]]:
    for key in _IMAGES:
        if key in layout.docker:
            yield ("docker", key), str(layout.docker[key])
    for name, node in layout.node_types().items():
        if "worker_image" in (docker := node.get("docker") or {}):
            yield ("available_node_types", name, "docker", "worker_image"), str(docker["worker_image"])


def _mounted(layout: Layout) -> list[str]:
    """Folders on which the commands mount OTTT_STORAGE."""
    found = []
    for command in layout.commands("initialization_commands"):
        found += re.findall(r"\bmount\b.*\"?\$\{?OTTT_STORAGE\}?\"?\s+(/\S+)", command.text)
    return found


def _ranges(permission: dict[str, Any]) -> Iterator[str]:
    kinds = ("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId")
    for key, inner in kinds:
        for one in permission.get(key) or ():
            yield str(one.get(inner))


def _is_world(text: str) -> bool:
    """Whether the range is open to the world; anything that is not a range counts as open."""
    try:
        return ipaddress.ip_network(text, strict=False).prefixlen < _WIDE
    except ValueError:
        return True


def _ports(permission: dict[str, Any]) -> str:
    first, last = permission.get("FromPort", "all"), permission.get("ToPort", "all")
    return f"{permission.get('IpProtocol')} {first if first == last else f'{first}-{last}'}"


def _at(layout: Layout, command: Command, text: str) -> str:
    return layout.problem(command.path, f"{command.path[0]} {text}")


def _at_setting(layout: Layout, setting: Setting | None, text: str) -> str:
    if setting is None:
        return f"{layout.problem(('initialization_commands',), text)}, got nothing"
    return f"{setting.place}: {text}, got {setting.value!r}"

"""config/compose.yaml and config/kubernetes: valid by their schemas, and about a dropmill that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from dropmill import __version__
from dropmill.cli.app import app
from dropmill.settings import Loaded, TcpAddress, load
from dropmill.supervisor import LEAST_FINISH_SECONDS
from dropmill.web.checkpoint import OPEN_PATHS
from dropmill.web.server import STOP_SECONDS
from parts import need_module, need_programs

CONFIG = Path(__file__).parents[2] / "config"
COMPOSE = CONFIG / "compose.yaml"
KUBERNETES = CONFIG / "kubernetes"
PODS = ["sidecar.yaml", "deployment.yaml"]
IMAGE = f"dropmill:{__version__}"
TOKEN_FILES = {
    COMPOSE.name: "/run/secrets/dropmill-token",
    **dict.fromkeys(PODS, "/run/secrets/dropmill/token"),
}


def ran(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    need_module(program.replace("-", "_"))
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text("utf-8")))


def of_kind(name: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in documents(name) if one["kind"] == kind]


def pod(name: str) -> dict[str, Any]:
    (deployment,) = of_kind(name, "Deployment")
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def containers(name: str) -> Iterator[dict[str, Any]]:
    spec = pod(name)["spec"]
    yield from (*spec.get("initContainers", []), *spec["containers"])


def daemon(name: str) -> dict[str, Any]:
    (found,) = [one for one in containers(name) if one["image"] == IMAGE and "command" not in one]
    return found


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return found


def image_environment() -> dict[str, str]:
    return dict(
        re.findall(r"\b(DROPMILL_\w+)=(/\S+)", re.sub("#.*", "", (CONFIG.parent / "Dockerfile").read_text("utf-8")))
    )


def configured(name: str, tmp_path: Path) -> Loaded:
    """What dropmill makes of the variables and of the file that a manifest gives it, with a token in the place of its."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n", "utf-8")
    token.chmod(0o440)

    def with_token(text: str) -> str:
        return text.replace(TOKEN_FILES[name], str(token))

    environ = image_environment()
    if name == COMPOSE.name:
        environ |= compose()["services"]["dropmill"]["environment"]
    else:
        environ |= {one["name"]: one["value"] for one in daemon(name)["env"]}
    path = None
    for item in [] if name == COMPOSE.name else of_kind(name, "ConfigMap"):
        path = tmp_path / "dropmill.toml"
        path.write_text(with_token(item["data"]["dropmill.toml"]), "utf-8")
    loaded = load(path, {key: with_token(value) for key, value in environ.items()}, {}, default_path="")
    assert loaded.settings.http.token_file == str(token)
    return loaded


def stopping_seconds(loaded: Loaded) -> float:
    """How long a daemon may take from SIGTERM to its end: jobs, what they owe, and HTTP."""
    return loaded.settings.shutdown_timeout_seconds + LEAST_FINISH_SECONDS + STOP_SECONDS


def test_kubernetes_takes_the_manifests_and_knows_every_field() -> None:
    done = ran("kubernetes-validate", "--strict", *(KUBERNETES / name for name in PODS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed for resource ") == sum(len(documents(name)) for name in PODS)


def test_the_compose_file_is_valid_by_its_specification() -> None:
    done = ran("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_podman_reads_the_compose_file_as_well() -> None:
    done = ran("podman-compose", "-f", COMPOSE, "config")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == {"app", "dropmill", "prometheus"}


# Fields of monitoring.coreos.com/v1 as the operator documents them, as far as they are used here; no schema of it is at hand.
_ENDPOINT = {"port", "portNumber", "path", "scheme", "interval", "scrapeTimeout", "relabelings", "metricRelabelings"}
_RELABELING = {"sourceLabels", "separator", "targetLabel", "regex", "modulus", "replacement", "action"}


def test_the_pod_monitor_has_the_fields_that_the_operator_documents_and_finds_every_pod() -> None:
    (monitor,) = documents("podmonitor.yaml")
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    spec = monitor["spec"]
    assert spec.keys() == {"selector", "podMetricsEndpoints"}
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint.keys() <= _ENDPOINT
    assert endpoint["path"] in OPEN_PATHS, "it has no token"
    for relabeling in endpoint["relabelings"]:
        assert relabeling.keys() <= _RELABELING
    assert {"action": "replace", "targetLabel": "job", "replacement": "dropmill"} in endpoint["relabelings"]
    for name in PODS:
        assert spec["selector"]["matchLabels"].items() <= pod(name)["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in daemon(name)["ports"]}


@pytest.mark.parametrize("name", [COMPOSE.name, *PODS])
def test_what_is_configured_are_settings_that_there_are(name: str, tmp_path: Path) -> None:
    loaded = configured(name, tmp_path)
    assert not loaded.warnings, "an unknown variable is a warning"
    settings = loaded.settings
    assert image_environment().keys() == {"DROPMILL_INBOX", "DROPMILL_OUTPUT", "DROPMILL_STATE_DIR"}
    assert settings.inboxes and settings.state_dir == "/state"
    # The kubelet and Prometheus come from elsewhere.
    assert settings.http.address == TcpAddress("0.0.0.0", 8686)


@pytest.mark.parametrize("name", PODS)
def test_ports_agree(name: str, tmp_path: Path) -> None:
    address = configured(name, tmp_path).settings.http.address
    assert isinstance(address, TcpAddress)
    (port,) = daemon(name)["ports"]
    assert port["containerPort"] == address.port
    for service in of_kind(name, "Service"):
        assert [one["targetPort"] for one in service["spec"]["ports"]] == [port["name"]]


@pytest.mark.parametrize("name", PODS)
def test_probes_ask_for_what_tells_a_start_and_a_hang_and_nothing_decides_about_the_whole_pod(name: str) -> None:
    told = daemon(name)
    (port,) = told["ports"]
    asked = {kind: told[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe")}
    assert asked == {
        "startupProbe": {"path": "/readyz", "port": port["name"]},
        "livenessProbe": {"path": "/livez", "port": port["name"]},
    }
    # They bring no token, and the address of the pod as Host.
    assert {one["path"] for one in asked.values()} <= OPEN_PATHS
    assert "readinessProbe" not in told
    patience = told["startupProbe"]["periodSeconds"] * told["startupProbe"]["failureThreshold"]
    assert patience >= 1800, "a large catalog is checked or upgraded meanwhile"


def test_the_sidecar_is_a_native_one_that_ends_after_the_application() -> None:
    spec = pod("sidecar.yaml")["spec"]
    assert daemon("sidecar.yaml")["restartPolicy"] == "Always"
    assert daemon("sidecar.yaml") in spec["initContainers"]
    assert not [one for one in spec["containers"] if one["image"] == IMAGE]


@pytest.mark.parametrize("name", PODS)
def test_a_daemon_has_the_time_to_stop(name: str, tmp_path: Path) -> None:
    assert pod(name)["spec"]["terminationGracePeriodSeconds"] > 1.5 * stopping_seconds(configured(name, tmp_path))


def test_a_daemon_has_the_time_to_stop_under_compose(tmp_path: Path) -> None:
    grace = compose()["services"]["dropmill"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > 1.5 * stopping_seconds(configured(COMPOSE.name, tmp_path))


@pytest.mark.parametrize("name", PODS)
def test_pods_keep_the_restricted_profile(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and no token of the cluster."""
    spec = pod(name)["spec"]
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    for one in containers(name):
        confined = one["securityContext"]
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_two_daemons_never_meet_and_the_state_is_a_volume_of_one_node(name: str) -> None:
    (deployment,) = of_kind(name, "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    volumes = {one["name"]: one for one in pod(name)["spec"]["volumes"]}
    mounts = {one["mountPath"]: one["name"] for one in daemon(name)["volumeMounts"]}
    claim = volumes[mounts["/state"]]["persistentVolumeClaim"]["claimName"]
    claims = {one["metadata"]["name"]: one["spec"]["accessModes"] for one in of_kind(name, "PersistentVolumeClaim")}
    assert claims[claim] == ["ReadWriteOnce"]
    assert {one["name"] for container in containers(name) for one in container["volumeMounts"]} == volumes.keys()


@pytest.mark.parametrize("name", PODS)
def test_folders_are_on_volumes_and_the_token_comes_from_a_secret(name: str, tmp_path: Path) -> None:
    settings = configured(name, tmp_path).settings
    volumes = {one["name"]: one for one in pod(name)["spec"]["volumes"]}
    mounts = {one["mountPath"]: volumes[one["name"]] for one in daemon(name)["volumeMounts"]}

    def volume_of(path: str) -> dict[str, Any]:
        return next(mounts[str(parent)] for parent in (Path(path), *Path(path).parents) if str(parent) in mounts)

    assert "secret" in volume_of(TOKEN_FILES[name])
    assert "emptyDir" in volume_of("/tmp/x"), "the root is read-only"
    for inbox in settings.inboxes:
        for path in (inbox.path, inbox.output, inbox.archive, inbox.quarantine):
            assert not path or "persistentVolumeClaim" in volume_of(path)


def test_services_of_the_compose_file_are_confined_and_fit_together() -> None:
    services = compose()["services"]
    for service in services.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    mill = services["dropmill"]
    assert mill["image"] == IMAGE
    assert services["app"]["user"] == mill["user"], "a lease on its files needs the same user"
    # Containers are made before any is started: what fills an empty volume, and gives it its owner, is to be dropmill's image.
    shared = {one["source"]: one for one in services["app"]["volumes"]}
    assert shared.keys() == {"inbox", "outbox"}
    assert all(one["type"] == "volume" and one["volume"] == {"nocopy": True} for one in shared.values())
    assert shared["outbox"]["read_only"] is True
    assert {"inbox:/inbox", "outbox:/outbox"} <= set(mill["volumes"])
    assert mill["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert (
        mill["environment"]["DROPMILL_HTTP__TOKEN_FILE"]
        == f"/run/secrets/{mill['secrets'][0]}"
        == TOKEN_FILES[COMPOSE.name]
    )


def test_the_health_check_of_the_compose_file_is_a_command_that_there_is() -> None:
    kind, program, command, *options = compose()["services"]["dropmill"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "dropmill")
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009  # click's Group is not named by typer.
    known = {option for parameter in commands[command].params for option in parameter.opts}
    assert set(options) <= known


def test_prometheus_of_the_compose_file_scrapes_dropmill_with_the_rules_that_there_are(tmp_path: Path) -> None:
    need_programs(promtool="prometheus")
    service = compose()["services"]["prometheus"]
    files = {}
    for volume in service["volumes"]:
        source, _, target = volume.partition(":")
        if source.startswith("./"):
            files[target.removesuffix(":ro")] = COMPOSE.parent / source
            assert files[target.removesuffix(":ro")].is_file()
    for target, source in files.items():
        (tmp_path / Path(target).name).write_text(source.read_text("utf-8"), "utf-8")
    config = tmp_path / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ours = yaml.safe_load(config.read_text("utf-8"))
    alone = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert ours["scrape_configs"][0]["static_configs"] == [{"targets": ["dropmill:8686"]}]
    for one in (ours, alone):
        one["scrape_configs"][0].pop("static_configs")
    assert ours == alone, "only the address differs"

"""What is in deploy/ loads, and asks for metrics, commands and settings that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from registry.metrics import RegistryMetrics
from registry.settings import RegistrySettings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMMANDS = {("registry", "serve"), ("registry", "worker"), ("agent-runtime", "serve")}

_METRIC = re.compile(r"\b(?:agent|registry)_[a-z_]+\b")
_SUFFIX = re.compile(r"_(?:total|bucket|sum|count)$")


def _expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_metric_that_is_asked_for_is_documented_and_those_of_a_registry_are_served():
    asked = {_SUFFIX.sub("", name) for expression in _expressions() for name in _METRIC.findall(expression)}
    documented = {
        _SUFFIX.sub("", name)
        for page in ("operations.md", "registry.md")
        for name in _METRIC.findall((ROOT / "docs" / page).read_text("utf-8"))
    }
    metrics = generate_latest(RegistryMetrics().registry).decode()
    served = {_SUFFIX.sub("", family.name) for family in text_string_to_metric_families(metrics)}
    of_the_pool = {"registry_pool_size", "registry_requests_waiting"}
    assert len(asked) > 20
    assert asked - documented - served - of_the_pool == set()
    assert {name for name in asked if name.startswith("registry_")} - of_the_pool <= served


def test_every_alert_says_what_is_wrong_and_what_to_do():
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))
    for rule in [rule for group in rules["groups"] for rule in group["rules"]]:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule), rule
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap():
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


@pytest.mark.parametrize("unit", ["registry.service", "registry-worker.service", "agent@.service"])
def test_a_unit_runs_a_command_that_there_is_and_waits_for_what_runs(unit):
    text = (DEPLOY / "systemd" / unit).read_text("utf-8")
    program, verb = re.findall(r"^ExecStart=\S*/([\w-]+) (\w+)$", text, re.MULTILINE)[0]
    assert (program, verb) in COMMANDS
    stop = int(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0])
    assert stop > RegistrySettings(_env_file=None).shutdown_grace_seconds


if ANALYZE := shutil.which("systemd-analyze"):  # where there is no systemd, nothing could tell

    def test_systemd_accepts_the_units(tmp_path):
        for unit in (DEPLOY / "systemd").iterdir():
            # The programs are where the units will be, not here.
            text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text("utf-8"), flags=re.MULTILINE)
            (tmp_path / unit.name.replace("@", "@x")).write_text(text, "utf-8")
        units = sorted(tmp_path.iterdir())
        command = [str(ANALYZE), "verify", *map(str, units)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []


def test_the_kubernetes_example_is_whole():
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes/registry.yaml").read_text("utf-8")))
    deployments = [each for each in documents if each["kind"] == "Deployment"]
    [service] = [each for each in documents if each["kind"] == "Service"]
    known = {name.upper() for name in RegistrySettings.model_fields}
    for deployment in deployments:
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        assert tuple(container["command"]) in COMMANDS
        assert {variable["name"] for variable in container.get("env", [])} <= known
        assert spec["terminationGracePeriodSeconds"] > RegistrySettings(_env_file=None).shutdown_grace_seconds
        assert (
            deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
        )
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    assert service["spec"]["selector"] in labels

"""For the tests of an agent project: the agent as `agent-runtime serve` runs it, and somebody to talk to it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import httpx

from agent_runtime.errors import AgentError

START_SECONDS = 60
STOP_SECONDS = 40
ANSWER_SECONDS = 60

# What a project's own settings must not bring into its tests: a paid model, a real database, other people.
_ON_ITS_OWN = {
    "AGENT_HOST": "127.0.0.1",
    "ADMIN_HOST": "",
    "ADMIN_PORT": "",
    "ADMIN_TOKEN": "",
    "A2A_TOKENS": "",
    "PUBLIC_AGENT_URL": "",
    "POSTGRES_DSN": "",
    "MEMORY_BACKEND": "memory",
    "AGENT_MODEL": "",
    "MODEL_BASE_URL": "",
    "REGISTRY_URL": "",
    "LOG_LEVEL": "warning",
}


class AgentDidNotStart(AgentError):
    """`agent-runtime serve` ended, or was not ready in time; the message holds what it printed."""


class AgentRefused(AgentError):
    """The agent answered with a JSON-RPC error."""


@dataclass(frozen=True)
class Answer:
    """What came back for a message. `state` is the task's, such as `completed`; `message` without a task."""

    text: str
    context_id: str
    task_id: str
    state: str
    data: list[Any] = field(default_factory=list)


class _Log:
    """What the agent prints. It goes on to stderr, where pytest shows it with the test that has failed."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._shown = 0

    def read(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def show(self) -> None:
        """Prints what is new since the last time."""
        text = self.read()
        sys.stderr.write(text[self._shown :])
        self._shown = len(text)


@dataclass(frozen=True)
class AgentUnderTest:
    """A running agent at `url`. What it logs while it works on a call is shown by pytest when the test fails."""

    url: str
    _log: _Log = field(repr=False)

    def ask(self, text: str, context_id: str | None = None, task_id: str | None = None) -> Answer:
        """Sends `text` over A2A and waits for the answer: in a new conversation, or in the one named.

        Raises `AgentRefused` when the agent answers with an error.
        """
        message = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
        message |= {"contextId": context_id} if context_id else {}
        message |= {"taskId": task_id} if task_id else {}
        return _read_answer(self.call("SendMessage", {"message": message}))

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of any A2A method over JSON-RPC. Raises `AgentRefused`."""
        request = {"jsonrpc": "2.0", "id": uuid4().hex, "method": method, "params": params}
        headers = {"A2A-Version": "1.0"}
        try:
            response = httpx.post(self.url, json=request, headers=headers, timeout=ANSWER_SECONDS)
        finally:
            self._log.show()
        answer = response.raise_for_status().json()
        if "error" in answer:
            raise AgentRefused(f"{method}: {answer['error']['message']} ({answer['error']['code']})")
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def running_agent(directory: Path | str = ".", **settings: str) -> Iterator[AgentUnderTest]:
    """Runs the project in `directory` on a free port, with the offline model and a memory of its own that is
    gone at the end. `settings` are environment variables that say otherwise. Raises `AgentDidNotStart`."""
    port = _free_port()
    environment = {**os.environ, **_ON_ITS_OWN, "AGENT_PORT": str(port), **settings}
    command = [sys.executable, "-m", "agent_runtime.command.cli", "serve"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603  # this interpreter, and arguments of our own
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            log = _Log(output)
            agent = AgentUnderTest(f"http://127.0.0.1:{port}", log)
            _wait_until_ready(agent.url, process, log)
            yield agent
            log.show()
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: _Log) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _is_ready(url):
            return
        time.sleep(0.05)
    happened = "is not ready" if process.returncode is None else f"ended with status {process.returncode}"
    raise AgentDidNotStart(f"the agent {happened}; it printed:\n{log.read()}")


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_answer(result: dict[str, Any]) -> Answer:
    if message := result.get("message"):
        return _answer(message["parts"], message.get("contextId", ""), "", "message")
    task = result["task"]
    told = [*task.get("artifacts", []), task["status"].get("message", {})]
    parts = [part for one in told for part in one.get("parts", [])]
    state = task["status"]["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")
    return _answer(parts, task["contextId"], task["id"], state)


def _answer(parts: list[dict[str, Any]], context_id: str, task_id: str, state: str) -> Answer:
    texts = [part["text"] for part in parts if "text" in part]
    data = [part["data"] for part in parts if "data" in part]
    return Answer("\n".join(texts), context_id, task_id, state, data)

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import agent_runtime
from agent_runtime.errors import BadProject
from agent_runtime.graph import OfflineChatModel, build_model

REPOSITORY = Path(agent_runtime.__file__).parents[1]


class ChatCompletions(BaseHTTPRequestHandler):
    """Enough of the OpenAI chat completions protocol to answer with the words of the last message."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], request))  # type: ignore[attr-defined]
        words = request["messages"][-1]["content"].split()
        if request.get("stream"):
            self._send(
                "text/event-stream", "".join(f"data: {line}\n\n" for line in [*map(chunk, words), "[DONE]"])
            )
        else:
            self._send("application/json", json.dumps(completion({"message": message(" ".join(words))})))

    def _send(self, content_type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """The test's output stays its own."""


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def chunk(word: str) -> str:
    return json.dumps(completion({"delta": message(f"{word} ")}) | {"object": "chat.completion.chunk"})


def completion(choice: dict[str, Any]) -> dict[str, Any]:
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ChatCompletions) as server:
        server.requests = []  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def base_url(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return f"http://127.0.0.1:{server.server_port}/v1"


def test_no_model_named_is_the_offline_model():
    assert isinstance(build_model(""), OfflineChatModel)


async def test_a_server_of_ones_own_answers_without_a_key(server: Any, base_url: str):
    model = build_model("openai:some-model", base_url, temperature=0.5)
    assert (await model.ainvoke("hello there")).text == "hello there"
    (path, _, request) = server.requests[0]
    assert (path, request["model"], request["temperature"]) == ("/v1/chat/completions", "some-model", 0.5)


async def test_a_server_of_ones_own_streams(base_url: str):
    chunks = [chunk.text async for chunk in build_model("openai:some-model", base_url).astream("a b c")]
    assert [text for text in chunks if text] == ["a ", "b ", "c "]


async def test_the_key_of_the_environment_is_sent(server: Any, base_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    await build_model("openai:some-model", base_url).ainvoke("hi")
    assert server.requests[0][1] == "Bearer the-key"


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the-key")
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    with pytest.raises(BadProject, match=r"pip install 'agent-sidecar\[anthropic\]'"):
        build_model("anthropic:claude-opus-4-5")


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(BadProject, match="set ANTHROPIC_API_KEY"):
        build_model("anthropic:claude-opus-4-5")


@pytest.mark.parametrize("spec", ["nosuch:model", "gpt-4.1-mini", "openai:", ":x"])
def test_what_is_no_provider_and_name_is_refused(spec: str):
    with pytest.raises(BadProject, match=f"AGENT_MODEL='{spec}'"):
        build_model(spec)


def test_a_bad_parameter_is_refused_without_showing_the_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    with pytest.raises(BadProject, match="temperature") as caught:
        build_model("openai:gpt-4.1-mini", temperature="hot")
    assert "the-key" not in str(caught.value)


def test_the_packages_of_providers_are_not_imported_until_they_are_needed():
    code = (
        "import sys, agent_runtime.graph as g; g.build_model('');"
        " print([m for m in ('openai', 'anthropic', 'langchain') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

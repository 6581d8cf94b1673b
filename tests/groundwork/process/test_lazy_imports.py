"""A quick start leaves nothing out that somebody asks for. In processes of their own: it changes imports."""

import subprocess
import sys

import psutil

HURRY = "import sys; from groundwork.process.lazy_imports import hurry, settle; hurry()\n"


def run(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", HURRY + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_an_agent_starts_without_clients_and_command_lines_of_libraries():
    seen = run("import agent_runtime.command.serve\nprint(*sys.modules)").split()
    assert "langgraph.runtime" in seen
    left_out = {"httpx._main", "uvicorn.supervisors.watchfilesreload"}
    put_off = {"charset_normalizer.api", "langgraph_sdk.client", "langsmith.types.run", "psutil._common"}
    assert not (left_out | put_off) & set(seen)


def test_what_was_put_off_is_there_when_it_is_asked_for():
    code = "import langgraph.graph, langgraph_sdk\nfrom langsmith.types import RunSelectField\n"
    assert run(code + "print(langgraph_sdk.get_client.__name__)") == "get_client"


def test_a_library_that_is_imported_just_in_case_can_be_used():
    assert run("import psutil, os; print(psutil.Process().pid == os.getpid())") == "True"
    assert run("import psutil; print(psutil.__version__)") == psutil.__version__


def test_what_was_put_off_is_there_for_threads_that_ask_for_it_at_once():
    code = """
import psutil, os, threading
from concurrent.futures import ThreadPoolExecutor
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)
def ask(_):
    barrier.wait()
    return psutil.Process().pid == os.getpid()
with ThreadPoolExecutor(8) as threads:
    print(*threads.map(ask, range(8)))
"""
    assert run(code).split() == ["True"] * 8


def test_a_text_whose_encoding_nobody_told_is_read_as_ever():
    code = """
import requests
response = requests.Response()
response._content = "Grüße aus Köln, schöne Straße".encode("utf-16")
print(response.apparent_encoding)
"""
    assert run(code) == "UTF-16"


def test_a_message_of_the_older_protocol_is_understood():
    message = {"kind": "message", "messageId": "m1", "role": "user", "parts": [{"kind": "text", "text": "hello"}]}
    code = f"from a2a.compat.v0_3.types import Message\nread = Message.model_validate({message})\n"
    assert run(code + "print(read.parts[0].root.text)") == "hello"


def test_models_that_are_not_named_are_built_at_once_as_ever():
    code = """
import fastapi
from pydantic import BaseModel, RootModel
class Mine(BaseModel):
    number: int
class Mines(RootModel[list[Mine]]):
    pass
print(Mine.__pydantic_complete__, Mines.__pydantic_complete__)
"""
    assert run(code) == "True True"


def test_garbage_is_collected_again_once_the_process_has_settled():
    assert run("import gc; print(gc.isenabled()); settle(); print(gc.isenabled())").split() == ["False", "True"]

"""Served processes that are forked from one that has imported everything: a start costs no imports.

A forked process runs the same command as a started one. Its session, environment, directory and log are its own;
signals are as they are by default. What a start imports, and when, is the subject of
`tests/contract/test_starting.py`, which starts real ones.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

IMPORTED = (
    "agent_runtime.command.cli",
    "agent_runtime.command.serve",
    "agent_runtime.graph",
    "groundwork.postgres.embedded",
    "langgraph.prebuilt",
    "mcp.server.fastmcp",
    "registry.cli.main",
    "registry.cli.serve",
    "registry.serve",
)


class ForkedProcess:
    """A process that another one has forked, with what `subprocess.Popen` has for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def end(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class Forks:
    """The process that forks, and those that it has forked."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
            self._parent = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], start_new_session=True)
        self._connection = ours
        self._answers = ours.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()
        self._started = threading.Semaphore(0)
        self._last: ForkedProcess | None = None
        self._running: dict[int, ForkedProcess] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def start(
        self, module: str, arguments: list[str], log: Path, environment: dict[str, str], directory: Path
    ) -> ForkedProcess:
        """Run `python -m module arguments` in the directory; all that it says is appended to the log."""
        given = {
            "argv": [module, *arguments],
            "log": str(log),
            "environment": environment,
            "directory": str(directory),
        }
        with self._lock:
            self._connection.sendall(json.dumps(given).encode() + b"\n")
            self._started.acquire()
            assert self._last is not None
            return self._last

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._parent.wait(10)

    def _read(self) -> None:
        for line in self._answers:
            said = json.loads(line)
            if "status" in said:
                self._running.pop(said["pid"]).end(said["status"])
            else:
                self._last = self._running[said["pid"]] = ForkedProcess(said["pid"])
                self._started.release()


@cache
def forks() -> Forks:
    """Return the one of this process; `close_forks` ends it."""
    return Forks()


def close_forks() -> None:
    if forks.cache_info().currsize:
        forks().close()


def serve(connection: socket.socket) -> None:
    """Fork a process for each line that is read, until nobody is at the other end."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    asked = connection.makefile("rb", buffering=0)
    while True:
        ready, _, _ = select.select([connection.fileno(), woken.fileno()], [], [])
        if woken.fileno() in ready:
            woken.recv(4096)
            _tell_ended(connection)
        if connection.fileno() in ready:
            line = asked.readline()
            if not line:
                return
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (connection, woken, wake):
                    end.close()
                asked.close()
                become(json.loads(line))
                return
            _say(connection, pid=pid)


def become(given: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    os.setsid()
    os.chdir(given["directory"])
    output = os.open(given["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(given["environment"])
    sys.argv = given["argv"]
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _tell_ended(connection: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(connection, pid=pid, status=os.waitstatus_to_exitcode(status))


def _say(connection: socket.socket, **said: int) -> None:
    connection.sendall(json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""JamJet's own development command runs this registry: it starts whatever `jamjet-server` it finds."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from tests.jamjet import PROGRAMS, jamjet
from tests.processes import environment, free_port

OURS = Path(sys.prefix) / "bin"


async def test_jamjet_dev_starts_the_registry_on_a_database_beside_the_path_it_names(
    data_directory,
):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "jamjet",
        *("dev", "--port", str(port), "--db", "dev.db"),
        cwd=data_directory,
        env=environment() | {"PATH": f"{OURS}{os.pathsep}{os.environ['PATH']}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _answers(url)
        listed = await jamjet("agents", "list", runtime=url)
        assert listed.returncode == 0, listed.stderr
        assert (data_directory / "dev.db.postgres").is_dir()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def _answers(url: str) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"{url}/health")).json()["status"] == "ok":
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)

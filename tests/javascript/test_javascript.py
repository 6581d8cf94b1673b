"""LangGraph's clients for JavaScript, unmodified, before a real agent: the SDK in node, useStream in a browser."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.agent_runtime.langgraph_server.conftest import GRAPH
from tests.agent_runtime.langgraph_server.test_runs import begun
from tests.agents import Agent, running_agent, write_project
from tests.servers import run_server

HERE = Path(__file__).parent
PACKAGES = Path(os.environ["LANGGRAPH_JS"])
CHROMIUM = os.environ.get("CHROMIUM", "")
STEPS = 11

expect.set_options(timeout=20_000)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agent(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agent]:
    directory = write_project(tmp_path_factory.mktemp("javascript") / "project", GRAPH)
    async with running_agent(directory, shared_database_url, cors_origins="*") as agent:
        yield agent


@pytest.mark.parametrize("version", ["1.13", "1.14", "1.15"])
async def test_the_sdk_of_the_last_three_minor_versions_works_as_it_is(agent: Agent, version: str) -> None:
    script = shutil.copy(HERE / "sdk.mjs", PACKAGES)
    process = await asyncio.create_subprocess_exec(
        "node", script, f"sdk-{version}", agent.url, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert len(told.decode().split()) == STEPS


@asynccontextmanager
async def chat_page(agent: Agent, directory: Path) -> AsyncIterator[Page]:
    """A page of another origin, in a browser."""
    source = shutil.copy(HERE / "chat.jsx", PACKAGES)
    options = [
        "--bundle",
        "--jsx=automatic",
        "--define:process.env.NODE_ENV='production'",
        f"--outfile={directory}/chat.js",
    ]
    subprocess.run([PACKAGES / "node_modules/.bin/esbuild", source, *options, "--log-level=error"], check=True)
    (directory / "index.html").write_text('<div id="root"></div><script src="chat.js"></script>')
    async with (
        run_server(Starlette(routes=[Mount("/", StaticFiles(directory=directory, html=True))])) as origin,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        page.set_default_timeout(20_000)
        await page.goto(f"{origin}/?api={agent.url}")
        yield page
        await browser.close()


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message").fill(text)
    await page.keyboard.press("Enter")


if CHROMIUM:

    async def test_a_page_with_use_stream_talks_asks_stops_and_comes_back(agent: Agent, tmp_path: Path) -> None:
        async with chat_page(agent, tmp_path) as page:
            said, status = page.get_by_role("listitem"), page.get_by_role("status")
            await say(page, "say")
            await expect(said).to_have_text(["say", "well said"])
            await say(page, "ask sure?")
            await page.get_by_role("button", name="Answer sure?").click()
            await expect(said).to_have_text(["say", "well said", "ask sure?", "heard yes"])
            await expect(status).to_have_text("ready")
            await say(page, "hold page")
            await begun(agent, "page")
            await expect(status).to_have_text("busy")
            await page.reload()
            await expect(said).to_have_count(5)
            agent.release("page")
            await expect(said.last).to_have_text("page")
            await expect(status).to_have_text("ready")
            await say(page, "hold stop")
            await begun(agent, "stop")
            async with page.expect_response("**/cancel?*") as cancelled:
                await page.get_by_role("button", name="Stop").click()
            assert (await cancelled.value).status == 202
            await expect(status).to_have_text("ready")

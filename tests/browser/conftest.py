"""A browser before a real registry, where `make test-browser` has found one; elsewhere nothing is collected."""

import os
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.registry.conftest import registry_template
from tests.registry.console.conftest import registry
from tests.registry.registries import Served

__all__ = ["registry", "registry_template"]

CHROMIUM = os.environ.get("CHROMIUM", "")

collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


async def enter(context: BrowserContext, registry: Served, token: str) -> Page:
    """Log in as a person does."""
    page = await context.new_page()
    page.set_default_timeout(20_000)
    await page.goto(f"{registry.url}/")
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/agents")
    return page

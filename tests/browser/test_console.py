"""What people do at the console, in a browser."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page, expect

from registry.console.conversations import conversation_path
from tests.browser.conftest import enter
from tests.registry.agents.agents import run_agent
from tests.registry.console.lived_in import SPOKEN, LivedIn
from tests.registry.executions.runs import REVIEW, paused, until
from tests.registry.registries import Served

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTS = [
    *("/console/agents", "/console/executions", "/console/workflows", "/console/components", "/console/cron"),
    *(
        "/console/components/new",
        "/console/workers",
        "/console/usage",
        "/console/audit",
        "/console/tokens",
        "/console/decisions",
        "/console/tenants",
    ),
    *("/console/sessions", "/console/agents/canary", "/console/components/prompt/canary?old=1&new=2"),
    *("/console/agents/helper", "/console/agents/helper/conversations", "/console/agents/helper/turns"),
    *("/console/agents/helper/talk", "/console/workflows/canary", "/console/tenants/acme", "/console/nowhere"),
]
_QUICKLY = {"resultTypes": ["violations"], "preload": False, "iframes": False}
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], **_QUICKLY}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **_QUICKLY}
"""All that may differ in the other scheme."""


@pytest.mark.timeout(300)
async def test_no_page_hinders_anybody_or_scrolls_sideways_in_either_scheme(
    registry: LivedIn, browser: Browser
) -> None:
    problems: list[object] = []
    context = await browser.new_context(viewport={"width": 320, "height": 640})
    page = await enter(context, registry, registry.token)
    _note_errors(page, problems)
    execution = f"/console/executions/{registry.execution_id}"
    spoken = [conversation_path("helper", SPOKEN, view=view) for view in ("messages", "steps")]
    for path in (*LISTS, *spoken, execution, f"{execution}?view=table"):
        await page.goto(registry.url + path)
        wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        problems += [(path, "scrolls sideways")] if wide else []
        await page.evaluate(AXE_SCRIPT)
        problems += await _violations(page, AXE)
        await page.emulate_media(color_scheme="dark")
        problems += await _violations(page, COLOURS)
        await page.emulate_media(color_scheme="light")
    await context.close()
    assert problems == []


async def test_a_list_grows_by_itself_and_stands_still_on_demand(registry: Served, browser: Browser) -> None:
    page = await enter(await browser.new_context(), registry, registry.token)
    await page.goto(f"{registry.url}/console/agents?skill=growing")
    await expect(page.get_by_text("No agent fits this filter")).to_be_visible()
    await run_agent(registry.http, "first", skills=["growing"])
    await expect(page.get_by_role("link", name="first")).to_be_visible()
    await page.get_by_role("button", name="Pause updates").click()
    await run_agent(registry.http, "second", skills=["growing"])
    await page.wait_for_timeout(2500)
    await expect(page.get_by_role("link", name="second")).to_have_count(0)
    await page.get_by_role("button", name="Go on updating").click()
    await expect(page.get_by_role("link", name="second")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_waiting_question_is_answered_by_keyboard_alone_with_and_without_scripts(
    registry: Served, browser: Browser, scripts: bool
) -> None:
    execution_id = await paused(registry.http, REVIEW)
    context = await browser.new_context(java_script_enabled=scripts)
    page = await enter(context, registry, registry.token)
    await _press_to(page, "Executions")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/executions")
    await _press_to(page, f"{execution_id[:13]}…")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/console/executions/{execution_id}")
    await _press_to(page, "Approve")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your decision was taken: approved.")).to_be_visible()
    if scripts:
        await expect(page.locator(".facts").get_by_text("completed")).to_be_visible()


async def test_a_prompt_is_changed_and_rolled_back(registry: Served, browser: Browser) -> None:
    await registry.http.put("/components/prompt/support", json={"template": "One"})
    page = await enter(await browser.new_context(), registry, registry.token)
    await page.goto(f"{registry.url}/console/components/prompt/support")
    await page.get_by_text("Edit", exact=True).click()
    await page.get_by_label("Content, as JSON").fill('{"template": "Two"}')
    await page.get_by_role("button", name="Save as a new version").click()
    await expect(page.get_by_text("A new version was saved.")).to_be_visible()
    await page.get_by_text("Roll back…").click()
    await page.get_by_role("button", name="Roll back").click()
    await expect(page.get_by_text("The earlier version is the latest again")).to_be_visible()
    assert (await registry.http.get("/components/prompt/support")).json()["content"] == {"template": "One"}


async def test_the_longest_waiting_decision_is_taken_by_its_keys(registry: Served, browser: Browser) -> None:
    execution_id = await paused(registry.http, REVIEW | {"workflow_id": "by-keys"})
    page = await enter(await browser.new_context(), registry, registry.token)
    await page.goto(f"{registry.url}/console/decisions?workflow_id=by-keys")
    await expect(page.get_by_text("Pay it?")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(page.get_by_text("Your decision was taken.")).to_be_visible()
    assert (await until(registry.http, execution_id))["status"] == "completed"


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_agent_is_talked_to_and_its_question_answered_in_place(
    registry: Served, browser: Browser, scripts: bool
) -> None:
    page = await enter(await browser.new_context(java_script_enabled=scripts), registry, registry.token)
    await page.goto(f"{registry.url}/console/agents/helper/talk")
    await page.get_by_label("Message").fill("ask for sugar")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await _look_until(page, page.get_by_text("for your answer"), scripts)
    await page.get_by_label("Answer").fill("two")
    await page.get_by_role("button", name="Answer").click()
    await _look_until(page, page.get_by_text("heard two"), scripts)
    await _look_until(page, page.get_by_text("Cost", exact=True), scripts)


async def _look_until(page: Page, what: Locator, scripts: bool) -> None:
    """Without scripts a person looks again, by the link that says so."""
    again = page.get_by_role("link", name="Look again")
    while not scripts and not await what.is_visible() and await again.is_visible():
        await again.click()
    await expect(what).to_be_visible()


def _note_errors(page: Page, problems: list[object]) -> None:
    """Note what a script raises, and what the page's own policy keeps out."""

    def note_message(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            problems.append(message.text)

    def note_error(error: Error) -> None:
        problems.append(error)

    page.on("console", note_message)
    page.on("pageerror", note_error)


async def _violations(page: Page, options: dict[str, object]) -> list[object]:
    found = await page.evaluate("options => axe.run(options)", options)
    return [(page.url, each["id"], each["nodes"][0]["html"]) for each in found["violations"]]


async def _press_to(page: Page, name: str) -> None:
    """Move the focus forward until it is on what has this name, as somebody without a mouse does."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")

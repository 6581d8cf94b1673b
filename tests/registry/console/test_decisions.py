"""All that waits for a person, decided on one page."""

import pytest

from tests.registry.agents.agents import until as until_it_holds
from tests.registry.console.people import Person, log_in
from tests.registry.executions.runs import REVIEW, paused, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_approval_is_taken_once_and_the_second_is_told_who_was_first(registry):
    execution_id = await paused(registry.http, REVIEW | {"workflow_id": "decided-here"})
    [asked] = (await registry.http.get("/decisions?workflow_id=decided-here")).json()["decisions"]
    first, second = await log_in(registry, "developer"), await log_in(registry)
    assert "Pay it?" in (await second.get("/console/decisions?workflow_id=decided-here")).text
    path, form = f"/console/decisions/{asked['decision_id']}", {"digest": asked["digest"], "decision": "reject"}
    taken = await first.post(path, comment="too much", **form)
    assert taken.headers["location"] == "/console/decisions?done=decided"
    late = await second.post(path, **form)
    assert (late.status_code, "was decided by" in late.text) == (409, True)
    assert (await until(registry.http, execution_id))["status"] in ("completed", "failed")
    assert "too much" in (await second.get("/console/decisions?state=decided&workflow_id=decided-here")).text


async def test_what_an_agent_asks_is_answered_in_its_callers_place(registry):
    await registry.agent.send("ask how many", contextId="asked")
    person = await log_in(registry, "developer")
    await until_it_holds(lambda: _shows(person, "/console/decisions?agent_id=helper", "how many"))
    listed = (await registry.http.get("/decisions?agent_id=helper")).json()["decisions"]
    [asked] = [each for each in listed if each["thread_id"] == "asked"]
    answered = await person.post(
        f"/console/decisions/{asked['decision_id']}", digest=asked["digest"], answer="seven"
    )
    assert answered.status_code == 303, answered.text
    said = f"/console/agents/helper/conversation?thread={asked['thread_id']}"
    await until_it_holds(lambda: _shows(person, said, "heard seven"))


async def _shows(person: Person, path: str, text: str) -> bool:
    return text in (await person.get(path)).text

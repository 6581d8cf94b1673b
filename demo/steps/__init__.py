"""The demo, step by step. Another one is a function that takes the `Tour`, and a line here."""

from demo.steps.administration import (
    change_the_card,
    change_the_memory,
    delete_conversations,
    hand_over_conversations,
    look_at_the_status,
    read_conversations,
)
from demo.steps.components import change_the_prompt
from demo.steps.conversation import hold_a_conversation, survive_a_crash
from demo.steps.project import scaffold_a_project
from demo.steps.registry import (
    admit_by_role,
    meet_in_the_registry,
    reach_its_admin_api,
    read_the_audit_log,
    read_the_did_document,
    start_the_registry,
    use_jamjets_client,
)
from demo.steps.start import start_the_agent
from demo.steps.workflow import run_a_workflow
from demo.tour import Step

STEPS = (
    Step("Start a registry", start_the_registry),
    Step("Scaffold an agent", scaffold_a_project),
    Step("Start it", start_the_agent),
    Step("The registry knows it", meet_in_the_registry),
    Step("Talk to it over A2A", hold_a_conversation),
    Step("Kill it in the middle of an answer", survive_a_crash),
    Step("Another prompt, while people talk to it", change_the_prompt),
    Step("Run it with curl: what it is connected to", look_at_the_status),
    Step("The URL on its card", change_the_card),
    Step("Its memory", change_the_memory),
    Step("Its conversations", read_conversations),
    Step("Another name for it", hand_over_conversations),
    Step("Forgetting", delete_conversations),
    Step("Who may do what", admit_by_role),
    Step("One way to every agent's admin API", reach_its_admin_api),
    Step("Who has done what", read_the_audit_log),
    Step("What others may know", read_the_did_document),
    Step("JamJet's own command", use_jamjets_client),
    Step("A workflow: the agent, a person, the end", run_a_workflow),
)

"""What can go wrong in an agent, in our words. Only the edges know codes."""

from collections.abc import Sequence


class AgentError(Exception):
    """The base of everything the agent raises on purpose."""


class BadProject(AgentError):
    """The project directory cannot be served: a file is missing or says something that makes no sense."""


class InvalidValue(AgentError):
    """A value is of the wrong type or out of range; `field` names it, the message says what is accepted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class MemoryDisabled(AgentError):
    """`MEMORY_ENABLED` is off, so there are no threads to speak of."""

    def __init__(self) -> None:
        super().__init__("memory is not enabled; set MEMORY_ENABLED=true and restart the agent")


class AgentIdRequired(AgentError):
    """`AGENT_ID` is not set, so no thread can be this agent's."""

    def __init__(self) -> None:
        super().__init__("AGENT_ID is not set; thread routes need it to know whose threads to show")


class ImmutableField(AgentError):
    """Fields that cannot change while the agent runs."""

    def __init__(self, fields: list[str]) -> None:
        super().__init__(
            f"{', '.join(fields)} cannot change at runtime; edit the environment and restart the agent"
        )
        self.fields = fields


class ThreadError(AgentError):
    """Something about one thread."""

    def __init__(self, thread_id: str, message: str) -> None:
        super().__init__(message)
        self.thread_id = thread_id


class ThreadNotFound(ThreadError):
    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id, f"nothing is stored for thread {thread_id!r}")


class ThreadNotOurs(ThreadError):
    """The thread belongs to another agent."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id, f"thread {thread_id!r} belongs to another agent")


class ThreadUnclaimed(ThreadNotOurs):
    """Another LangGraph program wrote the thread, and no agent has claimed it."""

    def __init__(self, thread_id: str) -> None:
        ThreadError.__init__(
            self,
            thread_id,
            f"thread {thread_id!r} was written by another program and belongs to no agent;"
            " `agent-runtime threads adopt` claims such threads",
        )


class ThreadOfAnotherCaller(ThreadError):
    """The context was opened by another authenticated caller."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id, f"context {thread_id!r} was opened by another caller")


class ThreadUnreadable(ThreadError):
    """A checkpoint of the thread cannot be decoded; other threads are not concerned."""

    def __init__(self, thread_id: str, reason: str) -> None:
        super().__init__(thread_id, f"the latest checkpoint of thread {thread_id!r} cannot be decoded: {reason}")


class StepNotFound(ThreadError):
    """The thread has no such step, or no longer: of those behind it some are removed."""

    def __init__(self, thread_id: str, checkpoint_id: str) -> None:
        super().__init__(thread_id, f"thread {thread_id!r} has no step {checkpoint_id!r}, or no longer")


class ThreadWaitsForInput(ThreadError):
    """A task of the thread waits for an answer; a message that does not name it would discard the pause."""

    def __init__(self, thread_id: str, task_id: str) -> None:
        super().__init__(
            thread_id,
            f"context {thread_id!r} waits for input in task {task_id!r}; send the answer with that task id,"
            " or cancel the task first",
        )
        self.task_id = task_id


class ThreadExists(ThreadError):
    """A thread was to be made under an id that is taken."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id, f"Thread with ID {thread_id} already exists")


class ThreadBusy(ThreadError):
    """Something runs, or waits to, in a thread in which nothing was to."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            thread_id,
            "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.",
        )


class RunNotFound(AgentError):
    """The caller has no such run in that thread."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Run with ID {run_id} not found")


class GraphNotFound(AgentError):
    """The agent has no graph of that name, and no assistant of that id."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        names = ", ".join(known)
        super().__init__(f"Invalid assistant: {name!r}. Must be either an assistant's ID, or one of: {names}")


class AgentStopping(AgentError):
    """The process is shutting down and takes no new turns."""

    def __init__(self) -> None:
        super().__init__("the agent is shutting down; send the message again in a moment")


class AgentPaused(AgentError):
    """Somebody has paused or deactivated the agent in its registry."""

    def __init__(self, status: str) -> None:
        super().__init__(
            f"the agent is {status} in its registry and takes no new messages; what runs is finished, what waits"
            " is kept, and answers to its questions are taken. Once it is active there again, it goes on"
        )


class AgentBusy(AgentError):
    """The process has as many turns in hand as it may, or as it can."""

    def __init__(self) -> None:
        super().__init__("the agent has too much to do at the moment; send the message again in a second")


class AlreadyAccepted(AgentError):
    """The message was sent before, and has a task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the message was accepted before, as task {task_id!r}")
        self.task_id = task_id


class KeyOfAnotherMessage(AgentError):
    """Another message was sent under the same key."""

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key: another message was sent under this key; send the same one again, or take a key that"
            " is new"
        )


class CallerBusy(AgentError):
    """The caller has as many turns in hand as one caller may, whatever the others have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"you have {most} turns in hand, the most that one caller may; wait until one has ended")


class BudgetSpent(AgentError):
    """The turns of the day have used all that they may; more begin when the next day does."""

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(f"{message}; the next day begins in {retry_seconds} seconds")
        self.retry_seconds = retry_seconds


class TurnNotFound(AgentError):
    """The agent has had no turn for the task, or its record is removed."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no turn is known of task {task_id!r}")
        self.task_id = task_id


class DecisionNotFound(AgentError):
    """The agent has no such task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the agent has no task {task_id!r}")
        self.task_id = task_id


class NothingToDecide(AgentError):
    """The task asks nothing: nobody was asked, or somebody else has answered."""

    def __init__(self, task_id: str, state: str, decided_by: str | None) -> None:
        answered = f"; its last question was answered by {decided_by}" if decided_by else ""
        super().__init__(f"task {task_id!r} asks nothing now, it is {state}{answered}")
        self.task_id = task_id
        if decided_by:
            self.decided_by = decided_by


class AnotherQuestion(AgentError):
    """The answer is for a question that the task does not ask any more."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id!r} asks another question by now; read it, and answer with its digest")
        self.task_id = task_id


class TurnSuperseded(AgentError):
    """The turn is no longer this process's to write: it was cancelled, deleted, or taken over."""


class MigrationConcernsOthers(AgentError):
    """Neither of the two ids of a migration is this agent's own."""


class AgentStillAlive(AgentError):
    """Another live process runs under the id whose threads are to be moved."""


class RegistryNotConfigured(AgentError):
    """The agent has no registry, so there is nothing to reload from."""

    def __init__(self) -> None:
        super().__init__("no registry is configured; set REGISTRY_URL and restart the agent")


class RegistryRuntimeUnavailable(AgentError):
    """The agent has a registry, and cannot take anything from it at the moment."""

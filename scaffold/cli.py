"""`scaffold`: what the user says, what is printed, and how the process ends."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.prompt import Prompt

from scaffold.adopt import PROJECT_FILE, write_agent_toml
from scaffold.errors import BadAnswer, ScaffoldError
from scaffold.plan import Answers, Template, build_plan, check_name, check_registry_url
from scaffold.write import check_free, write_project

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def scaffold() -> None:
    """Writes agent projects that run, and whose tests pass, as they are; or an agent.toml for one that is."""


@app.command()
def new_agent(
    name: Annotated[str | None, typer.Argument(help="The agent's name, and its AGENT_ID.")] = None,
    template: Annotated[
        Template | None, typer.Option(help="general: conversation with tools; structured: typed, checked output.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where the project goes.", show_default="./NAME")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="URL of the registry.", show_default="none")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the defaults.")] = False,
) -> None:
    """Writes a new agent project. On a terminal it asks for what is not given."""
    console = Console(highlight=False, soft_wrap=True)
    asking = not yes and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        answers = _complete(name, template, registry, console if asking else None)
        target = directory or Path(answers.name)
        check_free(target.absolute())
        write_project(build_plan(answers), target)
    except BadAnswer as error:
        _fail(error, status=2)
    except ScaffoldError as error:
        _fail(error, status=1)
    _show_next_steps(console, answers, target)


@app.command()
def adopt(
    directory: Annotated[Path, typer.Option("--dir", help="Where the project is.", show_default=".")] = Path(),
) -> None:
    """Writes an agent.toml for a LangGraph project, of what its langgraph.json says, and changes nothing else."""
    try:
        inferred = write_agent_toml(directory)
    except ScaffoldError as error:
        _fail(error, status=1)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{directory / PROJECT_FILE} is written, with {len(inferred.graphs)} graph(s).", markup=False)
    console.print(f"{inferred.name} answers A2A; agent-runtime serve serves all of them.", markup=False)


def main() -> None:
    app()


def _complete(
    name: str | None, template: Template | None, registry: str | None, asking: Console | None
) -> Answers:
    """The answers: what was given, the rest asked for or taken as it usually is. Raises `BadAnswer`."""
    if name is not None:
        check_name(name)
    if registry is not None:
        check_registry_url(registry)
    if asking is None:
        if name is None:
            raise BadAnswer("the name of the agent is missing: scaffold new-agent NAME")
        return Answers(name, template or Template.GENERAL, registry or "")
    return Answers(
        name or _ask(asking, "Name of the agent", check_name),
        template or _ask_template(asking),
        registry if registry is not None else _ask(asking, "URL of the registry, if any", check_registry_url),
    )


def _ask(console: Console, question: str, check: Callable[[str], str]) -> str:
    while True:
        try:
            return check(
                Prompt.ask(f"[bold]{question}[/]", console=console, default="", show_default=False).strip()
            )
        except BadAnswer as error:
            console.print(f"  {error}", style="yellow", markup=False)


def _ask_template(console: Console) -> Template:
    chosen = Prompt.ask("[bold]Template[/]", console=console, choices=[*Template], default=Template.GENERAL.value)
    return Template(chosen)


def _fail(error: ScaffoldError, status: int) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"scaffold: {error}", style="red", markup=False)
    raise typer.Exit(status)


def _show_next_steps(console: Console, answers: Answers, target: Path) -> None:
    commands = ["agent-runtime serve", "pytest"]
    if target.absolute() != Path.cwd():
        commands.insert(0, f"cd {shlex.quote(os.fspath(target))}")
    console.print(f"\n[bold green]{answers.name}[/] is ready, from the template [bold]{answers.template}[/].\n")
    console.print("Next:\n")
    for command in commands:
        console.print(f"    {command}", style="bold cyan", markup=False)
    console.print("\nREADME.md there says what to say to it.")


if __name__ == "__main__":
    main()

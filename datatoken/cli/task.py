"""``datatoken task``: tasks on the market."""

from typing import Annotated

import typer

from datatoken.chain.events import TaskCreated
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Command, Session
from datatoken.ddo.canonical import parse_document
from datatoken.errors import BadInputError, StoreError
from datatoken.roles.market import MAX_TASK_BYTES, DataConsumer, TaskDescription
from datatoken.roles.site import Site
from datatoken.text import show_moment
from datatoken.types import Hex32

app = typer.Typer(help="Tasks on the market; a task holds jobs.", no_args_is_help=True)
TaskNumber = Annotated[int, typer.Argument(min=1, metavar="TASK", help="The task's number.")]
STATUS = {0: "none", 1: "open", 2: "closed"}


@app.command(cls=Command)
def create(
    title: Annotated[str, typer.Argument(help="What the task is for.")],
    description: Annotated[str, typer.Option(help="More words.")] = "",
) -> None:
    """Create a task. Repeating is safe: an open one with the same words is returned.

    **Example**

        datatoken task create "Heart model, spring" --keystore b
    """
    session = Session.current()
    with session.output.progress("Creating …"):
        number = session.role(DataConsumer).create_task(title, description)
    session.output.result({"task": number}, str(number))


@app.command(cls=Command)
def close(task: TaskNumber) -> None:
    """Close an own task: its jobs run no more.

    **Example**

        datatoken task close 1 --keystore b
    """
    session = Session.current()
    with session.output.progress("Closing …"):
        session.role(DataConsumer).close_task(task)
    session.output.result({"task": task, "status": "closed"}, "Closed.")


@app.command(cls=Command)
def show(task: TaskNumber) -> None:
    """Show a task.

    **Example**

        datatoken task show 1
    """
    session = Session.current()
    found = session.site.contracts.market.task(task)
    if found.status == 0:
        raise BadInputError(f"There is no task {task}.", "List them: datatoken task list.")
    text = _description(session.site, found.description)
    value = {
        "task": task,
        "owner": found.owner,
        "status": STATUS[found.status],
        "created_at": found.created_at,
        "title": text.title,
        "description": text.description,
    }
    session.output.result(value, facts({**value, "created_at": show_moment(found.created_at)}))


@app.command("list", cls=Command)
def list_tasks() -> None:
    """List all tasks.

    **Example**

        datatoken task list --format json
    """
    session = Session.current()
    shown = table("task", "title", "status", "owner")
    found = []
    for event in session.site.events.history(TaskCreated):
        assert isinstance(event, TaskCreated)
        status = STATUS[session.site.contracts.market.task(event.id).status]
        title = _description(session.site, event.description).title
        found.append({"task": event.id, "title": title, "status": status, "owner": event.owner})
        row(shown, event.id, title, status, event.owner)
    session.output.result(found, shown)


def _description(site: Site, digest: Hex32) -> TaskDescription:
    """Return a task's description, or a stand-in where the store has not got it."""
    try:
        content = site.store.get(digest, MAX_TASK_BYTES)
        return parse_document(TaskDescription, content, "task description", MAX_TASK_BYTES)
    except (StoreError, BadInputError):
        return TaskDescription(title="(not in the store)")

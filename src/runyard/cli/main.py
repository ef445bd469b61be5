"""``runyard``, also installed as ``qgjob`` and ``jobrunner``: one application, three names.

Each command lives in a module that is imported when it is used: ``--help`` reads only the table
below.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import sys
from typing import NoReturn

import click

from runyard import __version__
from runyard.cli import streams
from runyard.cli.params import printable
from runyard.errors import InvalidRequest, NotFound, RunyardError

# Name of the command: its module under runyard.cli, and the line that --help shows.
COMMANDS = {
    "run": ("run", "Run a file of tasks with the greatest concurrency."),
    "submit": ("submit", "Submit a command, a shell line or a Python snippet."),
    "status": ("show", "Show a job or a batch."),
    "list": ("show", "List jobs, newest first."),
    "batches": ("batches", "List batches, newest first."),
    "logs": ("show", "Print what a job wrote."),
    "explain": ("show", "Say why a job is where it is."),
    "wait": ("control", "Wait until jobs are finished."),
    "cancel": ("control", "Cancel jobs or batches."),
    "retry": ("control", "Run jobs that did not pass again."),
    "force-complete": ("control", "Declare jobs passed that have not ended."),
    "purge": ("control", "Delete jobs and batches that have ended, with their logs."),
    "template": ("template", "Keep job files and run them with other values."),
    "schedule": ("schedule", "Run templates at times of the calendar."),
    "groups": ("yard", "Show groups: who shares an install, and who holds it."),
    "devices": ("yard", "Show devices and other slots; drain and resume them."),
    "workers": ("fleet", "Show the workers that live."),
    "targets": ("fleet", "Show the targets that slots serve."),
    "stats": ("fleet", "Count the jobs of each user."),
    "audit": ("fleet", "Show who changed what."),
    "priority": ("yard", "Move a waiting job in line."),
    "pause": ("yard", "Start nothing more of an org, a target or a group."),
    "resume": ("yard", "Go on with what was paused."),
    "limit": ("yard", "Limit how many jobs run at once."),
    "init": ("init", "Write a commented runyard.toml."),
    "worker": ("worker", "Run a worker in the foreground."),
    "up": ("serve", "Run it all here: REST, the pages and a worker."),
    "api": ("serve", "Serve REST and the pages."),
    "login": ("login", "Sign in to a server, to which commands go from then on."),
    "logout": ("login", "Sign out of the server."),
    "users": ("people", "Manage who may sign in."),
    "tokens": ("people", "Manage the tokens that programs sign in with."),
    "init-db": ("worker", "Create the database or upgrade it."),
    "version": ("version", "Print the version."),
}

# Before click 8.2, a command without arguments just exits when it has shown its help.
NoArguments = getattr(click.exceptions, "NoArgsIsHelpError", click.exceptions.Exit)
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"runyard.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_") + "_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  runyard run build.json               run a graph of tasks here and now
  runyard submit -- make test          run a command in the background
  runyard submit --wait 'echo $HOME'   ... a shell line, and wait for it
  runyard logs -f JOB                  watch what it writes
""",
)
@click.version_option(__version__, prog_name="runyard")
def cli() -> None:
    """Run tests, batch jobs and task graphs on this machine, durably.

    Jobs live in RUNYARD_HOME. Ids may be shortened to any unique beginning. Every command takes
    --json and then prints exactly one JSON object.
    """


def main() -> NoReturn:
    """The console script: run a command, show errors as one sentence, exit."""
    # Importing makes many objects and no garbage; looking for some is a tenth of a short command.
    gc.disable()
    streams.prepare()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except SystemExit:
        code = 0  # click's own end when whoever read our output has seen enough
    except (click.ClickException, RunyardError, UnicodeEncodeError, OSError) as error:
        code = _fail(error)
    streams.settle()
    gc.freeze()  # the end of the process frees all at once: nothing has to be sorted out before
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception) -> int:
    sentence = _sentence(error)
    with contextlib.suppress(RunyardError), streams.reader_may_leave():
        if _wants_json():
            click.echo(json.dumps({"error": sentence}))
        elif isinstance(error, NoArguments):
            click.echo(sentence, err=True)
        else:
            if isinstance(error, click.UsageError) and error.ctx:
                click.echo(f"Usage: {error.ctx.command_path} … (--help shows examples)", err=True)
            click.echo(f"runyard: {printable(' '.join(sentence.split()))}", err=True)
    is_request = isinstance(error, click.ClickException | InvalidRequest | NotFound | UnicodeError)
    return EXIT_USAGE if is_request else 1


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, UnicodeEncodeError):
        return "an argument is not valid Unicode text"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _wants_json() -> bool:
    """What stands behind ``--`` belongs to the command that is submitted."""
    words = sys.argv[1:]
    return "--json" in words[: words.index("--") if "--" in words else None]

"""``up`` and ``api``: REST and pages, with or without a worker beside them."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket

import click

from runyard import bootstrap
from runyard.cli.beside import WorkerBeside, worker_beside
from runyard.cli.params import config_option, json_option, simulate_option
from runyard.cli.session import print_json
from runyard.config import Settings, user_name
from runyard.domain.user import Role
from runyard.errors import InvalidRequest
from runyard.service.accounts import Accounts
from runyard.store.database import Store
from runyard.web import server
from runyard.web.app import create_app
from runyard.web.place import Place
from runyard.web.server import Server

PORT = 8000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen."
)
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 for any."
)


@click.command("up")
@host_option
@port_option
@click.option("--slots", type=click.IntRange(1, 1000), help="Jobs at once.  [default: CPUs]")
@simulate_option
@config_option
@json_option
def up_command(
    host: str,
    port: int,
    slots: int | None,
    simulate: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Run it all on this machine: REST, the pages and a worker.

    Prints a link that signs you in. The first Ctrl-C lets running jobs finish for a while; the
    second ends them and gives them back to the queue.

    \b
    Examples:
      runyard up
      runyard up --port 9000 --slots 8
      runyard up --simulate         with phones and emulators that are only played
    """
    arguments = [
        *(["--slots", str(slots)] if slots else []),
        *(["--simulate"] if simulate else []),
    ]
    _serve(host, port, config_path, as_json, arguments)


@click.command("api")
@host_option
@port_option
@config_option
@json_option
def api_command(host: str, port: int, config_path: str | None, as_json: bool) -> None:
    """Serve REST and the pages; workers run elsewhere, or as "runyard worker".

    \b
    Examples:
      runyard api
      runyard api --host 0.0.0.0 --port 80
    """
    _serve(host, port, config_path, as_json, None)


def _serve(
    host: str, port: int, config_path: str | None, as_json: bool, worker: list[str] | None
) -> None:
    """Serve; with ``worker``, the arguments of one to run beside us."""
    settings = Settings.load()
    sock = server.bind(host, port)
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        store = bootstrap.open_store(settings)
        stack.callback(store.close)
        accounts = bootstrap.accounts(settings, store)
        link = None
        if server.is_loopback(host):
            link = _login_link(accounts)
        else:
            _require_password(accounts)
        place = Place.of(settings, store, config_path)  # before a worker that would be in vain
        beside = None
        if worker is not None:
            beside = stack.enter_context(worker_beside(settings, worker, config_path))
        stack.enter_context(bootstrap.order_kept(settings, store))
        greet = functools.partial(_greet, sock, store, link, as_json)
        running = Server(create_app(place), sock, greet, settings.trusted_proxies)
        _obey_signals(running, beside)
        running.serve_until_told()


def _login_link(accounts: Accounts) -> str:
    """For the first person, who needs no password on their own machine."""
    admins = [user for user in accounts.page() if user.role is Role.ADMIN and not user.disabled_at]
    name = user_name() or "admin"
    if not admins:
        admins = [accounts.add(name, Role.ADMIN)]
    mine = next((user for user in admins if user.name == name), admins[0])
    return accounts.login_link(mine.name)


def _require_password(accounts: Accounts) -> None:
    """Others can reach us: whoever signs in must have a password."""
    if not accounts.exist(with_password=True):
        raise InvalidRequest(
            "nobody could sign in from another machine: first say runyard users add NAME --role "
            "admin, which asks for a password"
        )


def _greet(sock: socket.socket, store: Store, link: str | None, as_json: bool) -> None:
    url = server.url_of(sock)
    login = f"{url}/login?link={link}" if link else None
    if as_json:
        print_json({"url": url, "login": login, "database": store.place})
        return
    click.echo(f"Runyard is at {click.style(url, bold=True)}  (Ctrl-C ends it)")
    if login:
        click.echo(f"Sign in, once: {login}")


def _obey_signals(running: Server, beside: WorkerBeside | None) -> None:
    def stop(*_: object) -> None:
        running.stop()
        if beside is not None:
            beside.tell()

    for number in SIGNALS:
        signal.signal(number, stop)

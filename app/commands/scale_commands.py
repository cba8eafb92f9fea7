"""The commands for those who outgrow one machine: `migrate-to`, `cluster`, and its `balance`."""

import sys

import click

from app.address import HIGHEST_PORT, checked
from app.commands.told import told_plainly
from app.commands.which_log import chosen
from app.settings import Settings


@click.command("migrate-to")
@click.argument("url")
@told_plainly
def migrate_to(url: str) -> None:
    """Copy the log from SQLite to the empty PostgreSQL database at URL, and prove it equal."""
    from app.commands.migrating import migrate_to as run

    run(chosen(is_grave=True), url)


@click.command()
@click.option("--replicas", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--prompts", type=click.IntRange(min=1), default=2_000, show_default=True,
              help="How many the demo sends.")  # fmt: skip
@click.option("--stay", is_flag=True, help="Go on serving after the demo.")
@told_plainly
def cluster(replicas: int, prompts: int, stay: bool) -> None:
    """Try replicas on this machine: PostgreSQL, a load balancer, the demo, and that they agree."""
    from app.commands.cluster import cluster as run

    sys.exit(run(Settings.load(), replicas, prompts, stay=stay))


def _replicas(_context: object, _parameter: object, given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(checked, given))
    except ValueError as error:
        raise click.BadParameter(f"a replica of {', '.join(given)}: {error}") from error


@click.command()
@click.option(
    "--port", type=click.IntRange(1, HIGHEST_PORT), required=True, help="Port on 127.0.0.1."
)
@click.option(
    "--to", multiple=True, required=True, callback=_replicas, help="A replica, as host:port."
)
@told_plainly
def balance(port: int, to: tuple[str, ...]) -> None:
    """Run the load balancer of `cluster` alone."""
    from gevent import monkey

    monkey.patch_all()
    from app.commands.balancer import balance as run
    from app.processes.orphan import end_with_parent

    end_with_parent()
    run(port, to)


COMMANDS = (migrate_to, cluster, balance)

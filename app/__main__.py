"""`python -m app`: the command line."""

from app.commands.cli import main
from app.given import command

main(prog_name=command())

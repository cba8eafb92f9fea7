"""`python -m app`: the command line."""

from app.commands.cli import main

main()

"""Bare ``pop2imap``: what to type first, and what is under way."""

from __future__ import annotations

from pop2imap.cli.output import say

EXAMPLES = """\
pop2imap moves mail from POP3 or mbox files into the folders of an IMAP account. Nothing is deleted at the source.

  See what would happen:   pop2imap plan pop3s://alice@pop.example.com imaps://alice@imap.example.com
  Do it, or go on with it: pop2imap migrate ~/old-mail.mbox imaps://alice@imap.example.com
  Try it on sample mail:   pop2imap demo

pop2imap init asks for the rest and writes it into a file; pop2imap --help tells of everything."""


def introduce() -> None:
    """Print the examples, and a line for each target that a journal knows."""
    say(EXAMPLES)
    from pop2imap.journal.place import DATABASE, TARGETS
    from pop2imap.options import default_state_dir

    state_dir = default_state_dir()
    if not any((state_dir / TARGETS).glob(f"*/{DATABASE}")):
        return
    from pop2imap.cli.status import lines
    from pop2imap.journal.history import accounts, read_history

    for identity in accounts(state_dir):
        history = read_history(state_dir, identity)
        if history is not None:
            say("\n" + "\n".join(lines(history.status())))
            history.close()

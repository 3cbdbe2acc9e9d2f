"""What a person should know of how an mbox was read."""

from __future__ import annotations

from pop2imap.model import Remark
from pop2imap.sources.mbox_found import Totals


def left_out(totals: Totals) -> tuple[Remark, ...]:
    """What is no mail, or not the whole of it."""
    remarks = []
    if totals.internal:
        remarks.append(
            Remark("a message in which the mail program keeps data of its own is left out", totals.internal)
        )
    if totals.partial:
        remarks.append(
            Remark(
                "messages of which the mail program never fetched the whole: what is in the file is moved",
                totals.partial,
            )
        )
    return tuple(remarks)


def suspicious(totals: Totals, *, loose: bool) -> tuple[Remark, ...]:
    """What was taken for text, or for the beginning of a message, and may be the other. ``loose`` as in
    :class:`~pop2imap.sources.mbox_reader.Scanner`."""
    remarks = []
    if loose:
        remarks.append(
            Remark(
                "the messages of this file are not separated by empty lines; they are told by their header"
            )
        )
    if totals.unseparated:
        remarks.append(
            Remark(
                "lines that begin with 'From ' and end in a date, but have no empty line before them, are taken "
                f"as text (the first at octet {totals.unseparated_at:,})",
                totals.unseparated,
            )
        )
    if totals.undated:
        remarks.append(
            Remark(
                "lines that begin with 'From ' after an empty line, but have no date, are taken as text "
                f"(the first at octet {totals.undated_at:,})",
                totals.undated,
            )
        )
    if totals.sealed:
        remarks.append(
            Remark(
                "lines that look like the start of a message are text, as Content-Length says (mboxcl2)",
                totals.sealed,
            )
        )
    return tuple(remarks)

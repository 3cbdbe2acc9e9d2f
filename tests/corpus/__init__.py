"""Awkward but legal mail, as much as wanted, with a manifest of what must become of it.

``corpus(2000, seed=1)`` yields the same 2,000 samples (some 128 MB) every time: 70 % small, 25 % with 20 to
90 kB, 5 % with attachments of up to 1.5 MB. Each :class:`Sample` holds the octets as POP3 gives them, what a mail
program noted about the message, its date and the header that tells it, and the folder and flags that
:data:`RULES_TOML` gives it. ``write_mbox`` and ``write_maildir`` put samples where a source finds them; the Maildir
is for a Dovecot to serve over POP3.

Not every source can hold every message. What the two do (tried with Dovecot 2.3.19; ``test_corpus`` holds it to it):

=================== ====================================== ==============================================
octets              Dovecot's POP3 server, from a Maildir  an mbox
=================== ====================================== ==============================================
bare LF             becomes CRLF, in header and body       exact, if the message is kept with CRLF lines
bare CR, CR CR LF   exact                                  exact
NUL                 exact (``doveadm save`` makes it 0x80) exact
8-bit in the header exact                                  exact
lines of 20 kB      exact                                  exact
leading dots        exact                                  exact
no last line end    gets CRLF, also after a CR             gets a line end
no octets at all    becomes CRLF                           exact
=================== ====================================== ==============================================

``Sample.over("pop3")`` and ``Sample.over("mbox")`` say what arrives; ``Sample.sources`` names those that are exact.
Of the targets, Dovecot rewrites bare LF, CR CR LF, a CR at the end and NUL (to 0x80) when they are appended.
All dates lie before 2025, so that no clock makes them recent.

Mail that is not even legal is in :mod:`tests.corpus.awkward`: some 800 messages, each with a name.
"""

from tests.corpus.files import write_maildir, write_mbox
from tests.corpus.sample import ME, RULES_TOML, Sample, Via, as_dovecot_serves, dates_of, on_dovecot
from tests.corpus.writer import KINDS, corpus

__all__ = [
    "KINDS",
    "ME",
    "RULES_TOML",
    "Sample",
    "Via",
    "as_dovecot_serves",
    "corpus",
    "dates_of",
    "on_dovecot",
    "write_maildir",
    "write_mbox",
]

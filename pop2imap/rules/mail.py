"""What tests look at in one message: gathered when first asked for, kept for the rules that follow."""

from __future__ import annotations

from datetime import datetime

from pop2imap.headers import Headers
from pop2imap.model import Message
from pop2imap.rules.values import Texts
from pop2imap.text import printable

ADDRESSES = {
    "from": ("from",),
    "to": ("to",),
    "cc": ("cc",),
    "recipient": ("to", "cc", "bcc", "delivered-to"),
}
"""Address tests, and the fields whose bare addresses they look at."""

NAMES = {"from-name": "from", "to-name": "to", "cc-name": "cc"}
"""Name tests, and the fields whose display names they look at."""


class Mail:
    """One message, as tests see it. ``me`` holds the folded addresses of the person."""

    def __init__(
        self,
        message: Message,
        headers: Headers,
        date: datetime,
        source_folder: str,
        me: frozenset[str] = frozenset(),
    ) -> None:
        self.message = message
        self.headers = headers
        self.date = date
        self.source_folder = source_folder
        self._me = me
        self._texts: dict[str, Texts] = {}
        self._flags: frozenset[str] | None = None
        self._sent: str | None = None

    def texts(self, look: str) -> Texts:
        """The texts that a test looks at: the name of an address or name test, ``list-id``, or the name of a
        header field as ``header subject``."""
        found = self._texts.get(look)
        if found is None:
            found = self._texts[look] = Texts(self._gathered(look))
        return found

    def _gathered(self, look: str) -> list[str]:
        if fields := ADDRESSES.get(look):
            every = [one.address for field in fields for one in self.headers.addresses(field)]
            return list(filter(None, dict.fromkeys(every)))
        if field := NAMES.get(look):
            return [one.name for one in self.headers.addresses(field) if one.name]
        if look == "source-folder":
            return list(self.message.folders) or [self.source_folder]
        if look == "list-id":
            return list(filter(None, [self.headers.list_id()]))
        return self.headers.values(look.removeprefix("header "))

    @property
    def flags(self) -> frozenset[str]:
        """In lower case; empty where the source knows none."""
        if self._flags is None:
            self._flags = frozenset(map(str.lower, self.message.flags or ()))
        return self._flags

    @property
    def sent(self) -> str:
        """Why this is the person's own mail, in words; an empty string if it is not.

        It is when From is one of ``me`` and the message either was never received (no ``Received`` line) or
        is not addressed to them: so spam in their name and notes to themselves stay out.
        """
        if self._sent is None:
            self._sent = self._why_sent() if self._me else ""
        return self._sent

    def _why_sent(self) -> str:
        texts = self.texts("from")
        for written, folded in zip(texts.written, texts.folded, strict=True):
            if folded in self._me:
                if not self.headers.raw("received"):
                    return f"from {printable(written, 80)}, and it has no Received line"
                if self._me.isdisjoint(self.texts("to").folded + self.texts("cc").folded):
                    return f"from {printable(written, 80)}, and not to or cc the same person"
                return ""
        return ""

    def value(self, placeholder: str) -> str:
        """What a placeholder of a folder name stands for, as it was written; an empty string for nothing."""
        match placeholder:
            case "list-id":
                return self.headers.list_id()
            case "from" | "from-domain":
                sender = next(iter(self.texts("from").folded), "")
                return sender if placeholder == "from" else sender.rpartition("@")[2] if "@" in sender else ""
            case "source-folder":
                return next(iter(self.message.folders), self.source_folder)
        return ""

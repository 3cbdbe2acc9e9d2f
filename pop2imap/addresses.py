"""Address lists and list ids, read the way mail really comes.

The reader is our own: ``email.utils.getaddresses`` changed its mind about malformed lists between Python
releases (its ``strict`` mode drops the whole list), and recurses on nested comments. Ours reads a list in one
pass over tokens, and splits it *before* it decodes names, so that an encoded comma stays in its name. What no
grammar allows but mail programs write is read as it was meant: missing brackets and quotes that never close,
unquoted specials, semicolons between addresses, a whole mailbox inside an encoded word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pop2imap.charsets import decode_words


class Address(NamedTuple):
    """One mailbox of an address field: the display name (decoded) and the bare address; each may be empty.

    The domain is in lower case, with IDN labels as Unicode; the local part is as it was written.
    """

    name: str
    address: str


# What nearly every list is made of, read without taking it apart: <address>, Name <address>, "Name" <address>.
_PLAIN = re.compile(
    r"""[ ]*+(?:"([^"\\=]*)"[ ]*+|([^"<>()\[\]:;,@\\=]*+))<([^\s"<>()\[\]:;,@\\]+@[\w.-]+)>[ ]*+(?:,|$)"""
    r"""|[ ]*+([^\s"<>()\[\]:;,@\\=']+@[\w.-]+)[ ]*+(?:,|$)"""
)
_TOKEN = re.compile(
    r"""(?P<word>=\?[^?\s]{1,80}\?[bBqQ]\?[^?\s]*\?=)"""
    r"""|"(?P<quoted>(?:[^"\\]|\\.)*+)(?P<closed>"?)"""
    r"""|<(?P<angle>[^<>]*)>"""
    r"""|(?P<special>[<>(),:;])"""
    r"""|(?P<space>\s+)"""
    r"""|(?P<text>[^\s"<>(),:;=]+|=)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DOT_ATOM = re.compile(r"[^\s\"<>()\[\]:;,@\\.]+(?:\.[^\s\"<>()\[\]:;,@\\.]+)*")


def iter_addresses(text: str) -> Iterator[Address]:
    """The mailboxes of an unfolded, not yet decoded address list (RFC 5322 3.4, and what passes for it)."""
    at, end = 0, len(text)
    while at < end:
        plain = _PLAIN.match(text, at)
        if plain is None:
            yield from _Reader().read(text[at:])
            return
        quoted, name, address, bare = plain.groups()
        yield Address(_name(quoted or name or ""), _lower_domain(address or bare))
        at = plain.end()


class _Reader:
    """Reads one address list, token by token. A mailbox ends at ``,`` or ``;`` or before a second ``<…>``."""

    def __init__(self, *, decoded: bool = False) -> None:
        self._decoded = decoded  # the text came out of encoded words already
        self._forget()

    def _forget(self) -> None:
        self._words: list[str] = []  # of the display name or of a bare address, with quotes where they stood
        self._comments: list[str] = []
        self._angle: str | None = None
        self._after = 0  # how many words stood before it

    def read(self, text: str) -> Iterator[Address]:
        comments = _comment_ends(text)
        at = 0
        while token := _TOKEN.match(text, at):
            kind = token.lastgroup
            if kind == "closed" and not token["closed"]:
                # a quote that never closes is taken as if it, and those escaped after it, were not there
                text = text[:at] + text[at:].replace('"', "")
                comments = _comment_ends(text)
                continue
            at = token.end()
            if kind == "angle":
                if self._angle is not None:  # a comma is missing: what stands between belongs to the second
                    words = self._words[self._after :]
                    del self._words[self._after :]
                    yield from self._mailbox()
                    self._words = words
                self._angle = token["angle"]
                self._after = len(self._words)
            elif kind != "special":
                self._words.append(" " if kind == "space" else token[0])
            elif token[0] in ",;":
                yield from self._mailbox()
            elif token[0] == ":" and self._angle is None:  # so far it was the name of a group, or "mailto"
                self._forget()
            elif token[0] == "(" and (end := comments.get(at - 1)) is not None:
                self._comments.append(text[at:end])
                at = end + 1
            elif token[0] == "<":  # one that never closes: the address follows
                self._words.append(" ")
        yield from self._mailbox()

    def _mailbox(self) -> Iterator[Address]:
        """What was read since the last mailbox, if it is one."""
        words = "".join(self._words)
        comment = " ".join(self._comments)
        angle = self._angle
        self._forget()
        if angle is not None and angle.strip():
            yield Address(_name(words) or _name(comment), _bare(angle))
        elif not words.strip(" \"'@"):
            return
        elif "@" in words:
            before, address = _bare_among(words)
            yield Address(_name(before) or _name(comment), _bare(address))
        elif "=?" in words and not self._decoded and "@" in (plain := decode_words(words)):
            yield from _Reader(decoded=True).read(plain)  # somebody encoded the whole mailbox
        else:
            name = _name(words)
            lone = angle is None and "=?" not in words and _DOT_ATOM.fullmatch(name)
            yield Address(_name(comment), name) if lone else Address(name, "")


def _comment_ends(text: str) -> dict[int, int]:
    """Where each comment begins and ends; one that never ends is none.

    A parenthesis inside quotes may pair with one outside. No harm: it is inside the token of its quotes, so
    nobody asks for it, and its partner is taken as a comment, or as text, that is in no address.
    """
    ends: dict[int, int] = {}
    opened: list[int] = []
    if "(" in text:
        for mark in re.finditer(r"\\.|[()]", text, re.DOTALL):
            if mark[0] == "(":
                opened.append(mark.start())
            elif mark[0] == ")" and opened:
                ends[opened.pop()] = mark.start()
    return ends


def _name(words: str) -> str:
    """The display name that these words spell: unquoted, unescaped, decoded, on one line."""
    if '"' in words or "\\" in words:
        words = _ESCAPED.sub(r"\1", words.replace('\\"', "\0")).replace('"', "").replace("\0", '"')
    name = " ".join(decode_words(words).split())
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == "'" else name


def _bare_among(words: str) -> tuple[str, str]:
    """Split words that hold an ``@`` into what is before the address, and the address."""
    words = " ".join(words.split()).replace(" @", "@").replace("@ ", "@")
    at = words.rfind("@")
    if words[at - 1 : at] == '"':  # a quoted local part
        start = max(words.rfind('"', 0, at - 1), 0)
    else:
        start = words.rfind(" ", 0, at) + 1
    end = words.find(" ", at)
    return words[:start], words[start : end if end > 0 else len(words)]


def _bare(address: str) -> str:
    """A bare address: without white space, comment, route, ``mailto:`` and needless quotes."""
    address = address.strip() if '"' in address else "".join(address.split())
    if address.startswith("@"):
        address = address.rpartition(":")[2]  # an obsolete route, RFC 5322 4.4
    if address[:7].lower() == "mailto:":
        address = address[7:]
    if "(" in address and '"' not in address:
        address = re.sub(r"\([^()]*\)", "", address)
    address = address.strip("'").rstrip(".,")
    local, at, domain = address.rpartition("@")
    if at and len(local) > 2 and local[0] == local[-1] == '"' and _DOT_ATOM.fullmatch(local[1:-1]):
        address = f"{local[1:-1]}@{domain}"
    return _lower_domain(address)


def _lower_domain(address: str) -> str:
    local, at, domain = address.rpartition("@")
    if not at:
        return address
    domain = domain.lower().rstrip(".")
    if "xn--" in domain:
        domain = unicode_domain(domain)
    return f"{local}@{domain}"


def unicode_domain(domain: str) -> str:
    """``domain`` (lower case) with its IDN labels (``xn--…``) as Unicode, where they are valid."""
    if len(domain) > 255:  # longer than any domain is, and slow to decode
        return domain
    if "xn--" not in domain:
        return domain
    import idna

    labels = []
    for label in domain.split("."):
        try:
            labels.append(idna.ulabel(label) if label.startswith("xn--") else label)
        except (idna.IDNAError, UnicodeError):
            labels.append(label)
    return ".".join(labels)


def parse_list_id(text: str) -> str:
    """The list id in an unfolded ``List-Id`` field, in lower case: what stands between the last ``<`` and its
    ``>`` (a phrase may hold more of them, and some software forgets the ``>``), else the last word."""
    before, opened, rest = text.rpartition("<")
    found = "".join(rest.partition(">")[0].split()) if opened else ""
    if not found:
        words = re.sub(r"\([^()]*\)", " ", before if opened else text).replace(">", " ").split()
        found = words[-1] if words else ""
    return found.strip("\"'").lower()[:255]

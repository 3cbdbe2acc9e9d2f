"""From a message to its decision: rules asked in order, until one settles it.

The first rule that matches decides, unless it says ``continue``: then its folder and flags are kept and the
next rules are asked too. So a message may get several folders (copies); of what can only be one thing (read
or unread, starred or not) the last rule that says it wins; ``skip`` wins over every folder.

A message that has a folder at home keeps it where no rule gives it another.

**Own mail** comes before the rules: what the person wrote goes to the folder of special use ``\\Sent``, seen.
Only rules that say ``sent = true`` are asked before that, and no others after it. What the person has filed in a folder
at home, other than the inbox, is no own mail in this sense: it has its place.

A rule whose folder needs a value that the message does not have does not apply. Folders made from values are
counted, because anybody can make up list ids: once there are ``max_folders`` of them, further ones become the
fixed part of their name, or the default folder. Those of earlier runs count, as far as ``remember`` was told of
them. That count is the only thing that one decision leaves behind for the next; a message asked about again gets
the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from pop2imap.headers import Headers
from pop2imap.model import Decision, Message
from pop2imap.rules.folders import Template, date_part
from pop2imap.rules.mail import Mail
from pop2imap.rules.tree import Hit, SentTest, Test
from pop2imap.text import printable

OWN_MAIL = "own mail"
"""The name of the implicit rule."""

MAX_FOLDERS = 200

NO_FLAGS: frozenset[str] = frozenset()
NOBODY: frozenset[str] = frozenset()

MOST_PLACES = 1000
"""Places at home of which the decision is remembered."""


class Actions(NamedTuple):
    """What a rule does with a message. ``seen`` and ``flagged`` None: nothing is said of that."""

    folder: Template | None = None
    add_flags: tuple[str, ...] = ()
    seen: bool | None = None
    flagged: bool | None = None
    skip: str = ""
    goes_on: bool = False

    def describe(self, folder: str = "") -> str:
        """In words, with ``folder`` for the folder if it is known already."""
        said = []
        if self.skip:
            said.append(f"left out: {printable(self.skip)}")
        if self.folder:
            said.append(folder or self.folder.text)
        if self.add_flags:
            said.append(f"tagged {' '.join(self.add_flags)}")
        if self.seen is not None:
            said.append("marked seen" if self.seen else "marked unseen")
        if self.flagged is not None:
            said.append("flagged" if self.flagged else "not flagged")
        if self.goes_on:
            said.append("then the next rules")
        return ", ".join(said)


class Rule(NamedTuple):
    """One rule. ``label`` is how a sentence begins that speaks of it."""

    name: str
    test: Test
    then: Actions
    label: str = ""

    @property
    def title(self) -> str:
        return self.label or f'rule "{printable(self.name, 60)}"'


class _Verdict:
    """What the rules asked so far say of one message."""

    def __init__(self) -> None:
        self.why: list[str] = []
        self.rules: list[str] = []
        self.folders: dict[str, None] = {}  # in order, each once
        self.add_flags: set[str] = set()
        self.seen: bool | None = None
        self.flagged: bool | None = None
        self.skip = ""

    def take(self, rule: Rule, hit: Hit, folder: str, note: str) -> None:
        then = rule.then
        self.rules.append(rule.name)
        self.why.append(f"{rule.title}: {hit.words()} → {then.describe(folder)}{note}")
        if folder:
            self.folders[folder] = None
        self.add_flags.update(then.add_flags)
        self.seen = self.seen if then.seen is None else then.seen
        self.flagged = self.flagged if then.flagged is None else then.flagged
        self.skip = then.skip

    def decision(self, default_folder: str, places: tuple[str, ...] = ()) -> Decision:
        if self.skip:
            return Decision((), tuple(self.why), tuple(self.rules), skip=self.skip)
        if not self.folders:
            none = "no rule that matches gives a folder" if self.rules else "no rule matches"
            place = f"{', '.join(places)}, as at home" if places else f"{default_folder}, the default folder"
            self.why.append(f"{none} → {place}")
        return Decision(
            folders=tuple(self.folders) or places or (default_folder,),
            why=tuple(self.why),
            rules=tuple(self.rules),
            add_flags=frozenset(self.add_flags) if self.add_flags else NO_FLAGS,
            seen=self.seen,
            flagged=self.flagged,
        )


class RuleList:
    """An ordered set of rules; satisfies :class:`pop2imap.rules.Rules`. ``me`` holds folded addresses."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        digest: str,
        default_folder: str = "INBOX",
        me: frozenset[str] = frozenset(),
        max_folders: int = MAX_FOLDERS,
    ) -> None:
        self.digest = digest
        self.default_folder = default_folder
        self._rules = tuple(rules)
        self._me = me
        self._max_folders = max_folders
        self._made: set[str] = set()
        own_mail = Rule(OWN_MAIL, SentTest(), Actions(folder=Template("\\Sent"), seen=True), OWN_MAIL)
        self._of_own_mail = (*(rule for rule in rules if rule.test.asks_for_sent), own_mail)
        first = (own_mail,) if me else ()
        self.names = tuple(rule.name for rule in (*first, *rules))
        self._no_rule: dict[tuple[str, ...], Decision] = {}  # by place

    def remember(self, folders: Iterable[str]) -> None:
        """See :class:`pop2imap.rules.Rules`. What some rule names as it stands was made by no value."""
        templates = [rule.then.folder for rule in self._rules if rule.then.folder is not None]
        fixed = {self.default_folder, "\\Sent", *(template.literal for template in templates)}
        self._made.update(
            folder
            for folder in folders
            if folder not in fixed and any(template.may_have_made(folder) for template in templates)
        )

    def decide(
        self,
        message: Message,
        headers: Headers,
        date: datetime,
        source_folder: str,
        places: tuple[str, ...] = (),
    ) -> Decision:
        """See :class:`pop2imap.rules.Rules`."""
        is_filed = bool(message.folders) and message.folders != ("INBOX",)
        mail = Mail(message, headers, date, source_folder, NOBODY if is_filed else self._me)
        verdict: _Verdict | None = None  # most mail matches no rule
        for rule in self._of_own_mail if mail.sent else self._rules:
            hit = rule.test.match(mail)
            if hit is None:
                continue
            verdict = verdict or _Verdict()
            folder = note = ""
            if rule.then.folder is not None:
                folder, note = self._folder(rule.then.folder, mail, hit)
                if not folder:
                    verdict.why.append(f"{rule.title} does not apply: {hit.words()}, but {note}")
                    continue
            verdict.take(rule, hit, folder, note)
            if not rule.then.goes_on:
                break
        return verdict.decision(self.default_folder, places) if verdict else self._unruled(places)

    def _unruled(self, places: tuple[str, ...]) -> Decision:
        """The decision for a message that no rule matches; messages share it."""
        found = self._no_rule.get(places)
        if found is None:
            if len(self._no_rule) >= MOST_PLACES:
                self._no_rule.clear()
            found = self._no_rule[places] = _Verdict().decision(self.default_folder, places)
        return found

    def _folder(self, template: Template, mail: Mail, hit: Hit) -> tuple[str, str]:
        """The folder and a remark; or an empty string, and why there is none."""
        if template.is_literal:
            return template.literal, ""

        def lookup(name: str) -> str:
            if name.startswith("date:"):
                return date_part(name, mail.date)
            return mail.value(name) or hit.groups.get(name, "")

        folder, missing = template.fill(lookup)
        if missing:
            return "", f"{{{missing}}} has no value here"
        if folder not in self._made:
            if len(self._made) >= self._max_folders:
                instead = template.literal or self.default_folder
                return (
                    instead,
                    f" (instead of {printable(folder, 80)}: {self._max_folders} folders are made already)",
                )
            self._made.add(folder)
        return folder, ""

    def describe(self) -> list[str]:
        """Every rule in words, one line each, and what becomes of the rest."""
        lines = []
        if self._me:
            lines.append(f"{OWN_MAIL}: from is one of {', '.join(sorted(self._me))} → \\Sent, marked seen")
        lines += [f"{rule.title}: {rule.test.describe()} → {rule.then.describe()}" for rule in self._rules]
        lines.append(f"the rest → {self.default_folder}")
        return lines

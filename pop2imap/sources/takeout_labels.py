"""What Google Takeout says of a message in ``X-Gmail-Labels``: in which folders it lies, and with which flags.

The value is one line of CSV (a label with a comma stands in quotes), put into encoded words as a whole where it is not
ASCII, folded anywhere. The names of Gmail's own labels are in the language of the account.

**Which language** is told from each value alone: it is the one that knows most of its labels. So ``Important`` in a
German account, which calls that ``Wichtig``, is a label that its user has made. What no language knows is a label of
the user's and becomes a folder: a name that is missing in the table below makes a folder too many, and loses nothing.

**How sure the table is**: English and French are as exports show them. In the other languages the places are as Gmail
shows them in its own pages and over IMAP; the words for *opened, unread, archived* there are those that others who read
such exports have noted.

**Folders**, the most telling first, so that whoever wants one takes the first: user labels in their order; Chat;
``\\Drafts``; INBOX; ``\\Sent``; and ``\\Archive`` for what lies nowhere else. What is in the bin or in spam lies there
alone: it would come back to life in the folders that its other labels name.

**Flags**: ``\\Seen`` unless it is unread; ``\\Flagged`` for a star; ``\\Draft``; ``$Important`` (RFC 8457); the
keywords that mail programs have set over IMAP (``IMAP_$Forwarded``). Where no label is one of Gmail's own, in any
language that is known here, nothing is known of the flags. Categories (the tabs of the inbox) are neither.

The file is whole because the table in it belongs beside the words on how sure it is.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal, NamedTuple

from pop2imap.charsets import decode_octets, decode_words
from pop2imap.model import DRAFT, FLAGGED, SEEN

Labels = Literal["", "all", "one"]
"""What is made of the labels of an export: nothing, a folder of each, or one folder."""

IMPORTANT = "$Important"

VALUE_LIMIT = 1 << 15
"""Octets of a value that are looked at."""

LABEL_LIMIT = 200
"""Labels of one message that are looked at; Gmail shows some dozens at most."""

_USUAL = 512  # octets up to which what a value says is remembered: many messages have the same
_KEYWORD_LIMIT = 50


class Own(Enum):
    """What a label of Gmail's own means."""

    INBOX = "INBOX"
    SENT = "\\Sent"
    DRAFTS = "\\Drafts"
    JUNK = "\\Junk"
    TRASH = "\\Trash"
    ARCHIVED = "\\Archive"
    CHAT = "Chat"
    STARRED = "starred"
    IMPORTANT = "important"
    UNREAD = "unread"
    OTHER = "a state that mail programs do not know"

    __hash__ = object.__hash__


# One line for each meaning; names of one meaning are parted by |.
_NAMES: Mapping[str, Mapping[Own, str]] = {
    "en": {
        Own.INBOX: "Inbox",
        Own.SENT: "Sent|Sent Mail",
        Own.DRAFTS: "Drafts|Draft",
        Own.JUNK: "Spam",
        Own.TRASH: "Trash|Bin",
        Own.ARCHIVED: "Archived|All Mail",
        Own.CHAT: "Chat|Chats",
        Own.STARRED: "Starred",
        Own.IMPORTANT: "Important",
        Own.UNREAD: "Unread",
        Own.OTHER: "Opened|Muted|Snoozed|Category Personal|Category Social|Category Promotions|Category Updates|"
        "Category Forums|Category Purchases|Category Reservations|Category Travel",
    },
    "fr": {
        Own.INBOX: "Boîte de réception",
        Own.SENT: "Messages envoyés|Envoyé|Envoyés",
        Own.DRAFTS: "Brouillons|Brouillon",
        Own.JUNK: "Spam",
        Own.TRASH: "Corbeille",
        Own.ARCHIVED: "Messages archivés|Archivés|Tous les messages",
        Own.STARRED: "Favoris|Messages suivis|Suivis",
        Own.IMPORTANT: "Important|Importants",
        Own.UNREAD: "Non lus|Non lu",
        Own.OTHER: "Ouvert|Ouverts",
    },
    "de": {
        Own.INBOX: "Posteingang",
        Own.SENT: "Gesendet",
        Own.DRAFTS: "Entwürfe|Entwurf",
        Own.JUNK: "Spam",
        Own.TRASH: "Papierkorb",
        Own.ARCHIVED: "Archiviert|Alle Nachrichten",
        Own.STARRED: "Markiert",
        Own.IMPORTANT: "Wichtig",
        Own.UNREAD: "Ungelesen",
        Own.OTHER: "Geöffnet",
    },
    "es": {
        Own.INBOX: "Recibidos",
        Own.SENT: "Enviados",
        Own.DRAFTS: "Borradores",
        Own.JUNK: "Spam",
        Own.TRASH: "Papelera",
        Own.ARCHIVED: "Archivados|Todos",
        Own.STARRED: "Destacados",
        Own.IMPORTANT: "Importantes",
        Own.UNREAD: "No leídos",
        Own.OTHER: "Abiertos",
    },
    "it": {
        Own.INBOX: "Posta in arrivo",
        Own.SENT: "Inviati|Posta inviata",
        Own.DRAFTS: "Bozze",
        Own.JUNK: "Spam",
        Own.TRASH: "Cestino",
        Own.ARCHIVED: "Archiviati|Tutti i messaggi",
        Own.STARRED: "Speciali",
        Own.IMPORTANT: "Importanti",
        Own.UNREAD: "Non letti",
        Own.OTHER: "Aperti",
    },
    "pt": {
        Own.INBOX: "Caixa de entrada",
        Own.SENT: "Enviados|E-mails enviados",
        Own.DRAFTS: "Rascunhos",
        Own.JUNK: "Spam",
        Own.TRASH: "Lixeira|Lixo",
        Own.ARCHIVED: "Arquivados|Todos os e-mails",
        Own.STARRED: "Com estrela",
        Own.IMPORTANT: "Importante|Importantes",
        Own.UNREAD: "Não lidos",
        Own.OTHER: "Abertos",
    },
    "nl": {
        Own.INBOX: "Postvak IN|Inbox",
        Own.SENT: "Verzonden|Verzonden items",
        Own.DRAFTS: "Concepten",
        Own.JUNK: "Spam",
        Own.TRASH: "Prullenbak",
        Own.ARCHIVED: "Gearchiveerd|Alle e-mail",
        Own.STARRED: "Met ster",
        Own.IMPORTANT: "Belangrijk",
        Own.UNREAD: "Ongelezen",
        Own.OTHER: "Geopend",
    },
    "pl": {
        Own.INBOX: "Odebrane",
        Own.SENT: "Wysłane",
        Own.DRAFTS: "Wersje robocze",
        Own.JUNK: "Spam",
        Own.TRASH: "Kosz",
        Own.ARCHIVED: "Zarchiwizowane|Wszystkie",
        Own.STARRED: "Oznaczone gwiazdką",
        Own.IMPORTANT: "Ważne",
        Own.UNREAD: "Nieprzeczytane",
        Own.OTHER: "Otworzone|Otwarte",
    },
    "ru": {
        Own.INBOX: "Входящие",
        Own.SENT: "Отправленные",
        Own.DRAFTS: "Черновики",
        Own.JUNK: "Спам",
        Own.TRASH: "Корзина",
        Own.ARCHIVED: "В архиве|Вся почта",
        Own.STARRED: "Помеченные",
        Own.IMPORTANT: "Важное",
        Own.UNREAD: "Непрочитанные",
        Own.OTHER: "Открытые",
    },
    "ja": {
        Own.INBOX: "受信トレイ",
        Own.SENT: "送信済み|送信済みメール",
        Own.DRAFTS: "下書き",
        Own.JUNK: "迷惑メール",
        Own.TRASH: "ゴミ箱",
        Own.ARCHIVED: "アーカイブ済み|すべてのメール",
        Own.STARRED: "スター付き",
        Own.IMPORTANT: "重要",
        Own.UNREAD: "未読",
        Own.OTHER: "開封済み",
    },
    "zh-Hans": {
        Own.INBOX: "收件箱",
        Own.SENT: "已发邮件",
        Own.DRAFTS: "草稿",
        Own.JUNK: "垃圾邮件",
        Own.TRASH: "已删除邮件",
        Own.ARCHIVED: "所有邮件",
        Own.STARRED: "已加星标",
        Own.IMPORTANT: "重要",
        Own.UNREAD: "未读",
    },
    "zh-Hant": {
        Own.INBOX: "收件匣",
        Own.SENT: "寄件備份",
        Own.DRAFTS: "草稿",
        Own.JUNK: "垃圾郵件",
        Own.TRASH: "垃圾桶",
        Own.ARCHIVED: "全部郵件",
        Own.STARRED: "已加星號",
        Own.IMPORTANT: "重要郵件",
        Own.UNREAD: "未讀",
    },
    "sv": {
        Own.INBOX: "Inkorgen|Inkorg",
        Own.SENT: "Skickade|Skickat",
        Own.DRAFTS: "Utkast",
        Own.JUNK: "Skräppost",
        Own.TRASH: "Papperskorgen",
        Own.ARCHIVED: "Arkiverade|Alla mail",
        Own.STARRED: "Stjärnmärkt|Stjärnmärkta",
        Own.IMPORTANT: "Viktigt",
        Own.UNREAD: "Olästa",
        Own.OTHER: "Öppnade",
    },
    "da": {
        Own.INBOX: "Indbakke",
        Own.SENT: "Sendt|Sendte mails",
        Own.DRAFTS: "Kladder",
        Own.JUNK: "Spam",
        Own.TRASH: "Papirkurv",
        Own.ARCHIVED: "Arkiveret|Alle mails",
        Own.STARRED: "Stjernemarkeret",
        Own.IMPORTANT: "Vigtigt",
        Own.UNREAD: "Ulæst",
        Own.OTHER: "Åbnet",
    },
    "nb": {
        Own.INBOX: "Innboks",
        Own.SENT: "Sendt",
        Own.DRAFTS: "Utkast",
        Own.JUNK: "Søppelpost",
        Own.TRASH: "Papirkurv",
        Own.ARCHIVED: "Arkivert|All e-post",
        Own.STARRED: "Stjernemerket",
        Own.IMPORTANT: "Viktig",
        Own.UNREAD: "Ulest",
        Own.OTHER: "Åpnet",
    },
    "fi": {
        Own.INBOX: "Saapuneet|Postilaatikko",
        Own.SENT: "Lähetetyt",
        Own.DRAFTS: "Luonnokset",
        Own.JUNK: "Roskaposti",
        Own.TRASH: "Roskakori",
        Own.ARCHIVED: "Arkistoidut|Kaikki viestit",
        Own.STARRED: "Tähdellä merkityt",
        Own.IMPORTANT: "Tärkeät",
        Own.UNREAD: "Lukemattomat",
        Own.OTHER: "Avatut",
    },
    "cs": {
        Own.INBOX: "Doručená pošta",
        Own.SENT: "Odeslaná pošta|Odeslané",
        Own.DRAFTS: "Koncepty",
        Own.JUNK: "Spam",
        Own.TRASH: "Koš",
        Own.ARCHIVED: "Archivováno|Všechny zprávy",
        Own.STARRED: "S hvězdičkou",
        Own.IMPORTANT: "Důležité",
        Own.UNREAD: "Nepřečtené",
        Own.OTHER: "Otevřené",
    },
    "tr": {
        Own.INBOX: "Gelen Kutusu",
        Own.SENT: "Gönderilmiş Postalar|Gönderilmiş",
        Own.DRAFTS: "Taslaklar",
        Own.JUNK: "Spam",
        Own.TRASH: "Çöp Kutusu",
        Own.ARCHIVED: "Arşivlendi|Tüm Postalar",
        Own.STARRED: "Yıldızlı",
        Own.IMPORTANT: "Önemli",
        Own.UNREAD: "Okunmamış",
        Own.OTHER: "Açıldı",
    },
}

_CATEGORY = re.compile(
    r"(?:cat[ée]gor[iíy]e?[as]?|categorie|[ck]ategor(?:i|ie|ia|ía|y)|категория|カテゴリ|类别|類別) ?[:：„“\"«]",
    re.IGNORECASE,
)
"""How the label of a category begins where it is not English: ``Catégorie : E-mails personnels``. Without a mark after
the word it may be anybody's."""

_SERVERS = re.compile(r"\[(?:gmail|google mail|imap)\]/(.+)", re.IGNORECASE)
"""Names that mail programs made over IMAP, as ``[Imap]/Drafts``."""

_FIELD = re.compile(r'[ \t]*+(?:"((?:[^"]|"")*+)"[ \t]*+(?=,|$)|([^,]*+))(?:,|$)')
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_SAFE_KEYWORD = re.compile(r"[!#$&',\-./0-9:;<=>?@A-Z^_`a-z|}~+]{1,64}")
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_SPACES = re.compile(r"\s+")


class Labelled(NamedTuple):
    """What the labels of a message say. ``folders`` as in :class:`pop2imap.model.Message`, the most telling first.
    ``flags`` is None if they say nothing of its state."""

    folders: tuple[str, ...] = ()
    flags: frozenset[str] | None = None

    def over(self, noted: frozenset[str] | None) -> frozenset[str] | None:
        """The flags, where a mail program has noted some too: labels win in what they tell at all."""
        if self.flags is None:
            return noted
        return self.flags | ((noted or frozenset()) - {SEEN, FLAGGED, DRAFT})


def read_labels(value: bytes) -> Labelled:
    """What the raw value of ``X-Gmail-Labels`` says. Never raises; linear in its length."""
    return _remembered(value) if len(value) <= _USUAL else _read(value)


def _read(value: bytes) -> Labelled:
    return _labelled(split_labels(value))


_remembered = functools.lru_cache(maxsize=2048)(_read)


def split_labels(value: bytes) -> list[str]:
    """The labels in the raw value, as they are called in Gmail, in their order."""
    cut = len(value) > VALUE_LIMIT
    text = decode_words(decode_octets(_FOLD.sub(b"", value[:VALUE_LIMIT])))
    text = _SPACES.sub(" ", text)  # among them the no-break space that French puts before a colon
    labels = []
    for found in _FIELD.finditer(text):
        label = found[2] if found[1] is None else found[1].replace('""', '"')
        if label := label.strip():
            labels.append(label)
        if len(labels) == LABEL_LIMIT:
            break
    if cut and len(labels) < LABEL_LIMIT:
        del labels[-1:]  # it may be a part of one
    return list(dict.fromkeys(labels))


def _labelled(labels: Sequence[str]) -> Labelled:
    own: set[Own] = set()
    users: list[str] = []
    keywords: set[str] = set()
    names = _names_for(labels)
    for label in labels:
        if meaning := names.get(_folded(label)):
            own.add(meaning)
        elif _CATEGORY.match(label):
            own.add(Own.OTHER)
        elif label.startswith("IMAP_") and (keyword := _SAFE_KEYWORD.fullmatch(label[5:])):
            if len(keywords) < _KEYWORD_LIMIT:
                keywords.add(keyword[0])
        elif (server := _SERVERS.match(label)) and (meaning := _every_name().get(_folded(server[1]))):
            own.add(meaning)
        elif folder := _folder(label):
            users.append(folder)
    return Labelled(_folders(own, list(dict.fromkeys(users))), _flags(own, keywords))


def _folders(own: set[Own], users: Sequence[str]) -> tuple[str, ...]:
    for alone in (Own.TRASH, Own.JUNK):
        if alone in own:
            return (alone.value,)
    places = [place.value for place in (Own.CHAT, Own.DRAFTS, Own.INBOX, Own.SENT) if place in own]
    return (*users, *(place for place in places if place not in users)) or (Own.ARCHIVED.value,)


def _flags(own: set[Own], keywords: set[str]) -> frozenset[str] | None:
    if not own:
        return None
    flags = set(keywords)
    flags |= {flag for meaning, flag in _FLAGS.items() if meaning in own}
    if Own.UNREAD not in own:
        flags.add(SEEN)
    return frozenset(flags)


_FLAGS = {Own.STARRED: FLAGGED, Own.DRAFTS: DRAFT, Own.IMPORTANT: IMPORTANT}


def _folder(label: str) -> str:
    """A user's label as the name of a folder: nested by ``/``, without what cannot be seen, and no special use."""
    levels = []
    for level in label.split("/"):
        text = "".join(
            "_" if _is_forbidden(one) else one for one in unicodedata.normalize("NFC", level)
        ).strip()
        if text and text not in (".", ".."):
            levels.append("_" + text[1:] if text.startswith("\\") else text)
    if not levels:
        return ""
    if levels[0].casefold() == "inbox":
        levels[0] = "INBOX"
    return "/".join(levels)


def _is_forbidden(character: str) -> bool:
    return unicodedata.category(character) in _FORBIDDEN and character not in _JOINERS


def _folded(label: str) -> str:
    return unicodedata.normalize("NFC", label).casefold()


def _names_for(labels: Sequence[str]) -> Mapping[str, Own]:
    """The names of Gmail's labels in the language of these ones; if several explain as many, in all of those."""
    folded = [_folded(label) for label in labels]
    known = {language: sum(label in names for label in folded) for language, names in _tables().items()}
    most = max(known.values())
    names: dict[str, Own] = {}
    for language, count in known.items():
        if most and count == most:
            names = {**_tables()[language], **names}
    return names


@functools.cache
def _tables() -> Mapping[str, Mapping[str, Own]]:
    return {
        language: {_folded(name): own for own, names in meanings.items() for name in names.split("|")}
        for language, meanings in _NAMES.items()
    }


@functools.cache
def _every_name() -> Mapping[str, Own]:
    names: dict[str, Own] = {}
    for table in _tables().values():
        names = {**table, **names}
    return names

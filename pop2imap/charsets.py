"""Header octets to text: charsets and encoded words.

Octets become text by one chain: the declared charset, else UTF-8, else windows-1252. Encoded words
(RFC 2047) are read as generously as other mail programs do: inside quotes, next to other text, with spaces in
them, and with a character split over two adjacent words (their octets are joined before they are decoded). A
word whose encoding is broken stays as it stands. Everything is linear in its input and never raises.
"""

from __future__ import annotations

import binascii
import encodings.aliases
import functools
import re

_BEYOND_ALIASES = frozenset({"cp720", "cp737", "cp874", "koi8_t", "koi8_u", "mac_croatian", "mac_romanian"})
_KNOWN_CODECS = encodings.aliases.aliases.keys() | encodings.aliases.aliases.values() | _BEYOND_ALIASES
_MEANT = {
    # what mail programs mean by a name, where Python takes it by the letter (as the WHATWG encodings do)
    "ascii": "utf_8",
    "us_ascii": "utf_8",
    "latin_1": "cp1252",
    "latin1": "cp1252",
    "iso_8859_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_9": "cp1254",
    "iso8859_9": "cp1254",
    "iso_8859_11": "cp874",
    "windows_874": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "x_sjis": "cp932",
    "big5": "big5hkscs",
    "utf8mb4": "utf_8",
    "utf_8_sig": "utf_8",
    "unicode_1_1_utf_7": "utf_7",
}


@functools.lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    """The codec that ``charset`` means. Only names of the standard table reach the codec registry: it also
    knows codecs that are no charsets (and slow ones: ``idna``), and remembers each unknown name for ever."""
    name = encodings.normalize_encoding(charset).lower() if charset.isascii() else ""
    name = _MEANT.get(name, name)
    return name if name in _KNOWN_CODECS else None


def decode_octets(octets: bytes, charset: str = "") -> str:
    """Text by the declared charset, else UTF-8, else windows-1252. Never raises; holds no surrogates."""
    if octets.isascii() and not charset:
        return octets.decode("ascii")
    declared = _codec(charset)
    for codec in (declared, "utf_8"):
        if codec is not None:
            try:
                text = octets.decode(codec)
                text.encode()  # UTF-7 can spell lone surrogates
            except (UnicodeError, LookupError):  # LookupError: base64 and the like are no charsets
                continue
            return text
    return octets.decode("cp1252", "replace")


# Nothing between the question marks goes past the next "=?", so that finding all words is linear.
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?((?:[^=]|=(?!\?[^=]))*?)\?=")
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)=*")


def decode_words(text: str) -> str:
    """``text`` with its encoded words decoded (RFC 2047); white space between two of them goes."""
    if "=?" not in text:
        return text
    done: list[str] = []
    run: list[tuple[str, bytearray]] = []  # adjacent words: (charset, octets), equal charsets joined
    at = 0
    for word in _WORD.finditer(text):
        gap = text[at : word.start()]
        at = word.end()
        octets = _unarmoured(word[2], word[3])
        if octets is None or not run or (gap and not gap.isspace()):
            done += (decode_octets(bytes(part), charset) for charset, part in run)
            done.append(gap)
            run.clear()
        charset = word[1].lower()
        if octets is None:
            done.append(word[0])
        elif run and run[-1][0] == charset:
            run[-1][1].extend(octets)
        else:
            run.append((charset, bytearray(octets)))
    done += (decode_octets(bytes(part), charset) for charset, part in run)
    done.append(text[at:])
    return "".join(done)


def _unarmoured(encoding: str, text: str) -> bytes | None:
    """The octets of an encoded word, or None if its encoding is broken."""
    if encoding in "qQ":
        return binascii.a2b_qp(text.encode("utf-8", "replace"), header=True)
    found = _BASE64.fullmatch("".join(text.split()))
    if found is None or len(found[1]) % 4 == 1:
        return None
    return binascii.a2b_base64(found[1] + "=" * (-len(found[1]) % 4))

"""The options that commands share, and what they say as a :class:`pop2imap.config.CommandLine`.

None always means that nothing was said, so that a ``move.toml`` gets its turn. Every option is also read from the
environment, as ``POP2IMAP_`` and its name; passwords are not here at all, only places where they are, and
those are left to :mod:`pop2imap.credentials`, which knows what comes before what.

It is one list, in the order of the help, and stays whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pop2imap import repair
from pop2imap.cli.kinds import Day, EndpointText, F, FilePath, MarkText, Octets, option

if TYPE_CHECKING:
    from pop2imap.config import CommandLine, Said
    from pop2imap.credentials import Side

ENDS, LOGIN, WHERE, SPEED, REFUSED, READING, STATE, OUTPUT = (
    "Endpoints",
    "Login",
    "What goes where",
    "How fast",
    "What is refused or held",
    "Reading",
    "State",
    "Output",
)

EPILOG = """\b
Endpoints:  pop3s://USER@HOST  pop3+starttls://USER@HOST
            imaps://USER@HOST  imap+starttls://USER@HOST
            a file or folder of mail: an mbox, compressed or not, a Maildir,
            a Thunderbird profile ...; - for an mbox on standard input
Every option can also stand in the environment: POP2IMAP_INTO=Archive.
Passwords never are options: --source-password-file and the like say where
they are, as do POP2IMAP_SOURCE_PASSWORD_FILE, a keyring, or a move.toml.
"""


MOST_CONNECTIONS = 16
"""More sessions than this are taken for an attack by some servers, and help with none."""


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator of several, in the order in which their options shall stand in the help."""
    return lambda function: reduce(lambda done, decorate: decorate(done), reversed(decorators), function)


state_dir = option(
    "--state-dir",
    section=STATE,
    type=FilePath(folder=True),
    help="Where journals are kept.  [default: ~/.local/state/pop2imap]",
)

ends = _all(
    click.argument("endpoints", nargs=-1, type=EndpointText(), metavar="[SOURCE… TARGET]"),
    option(
        "-c",
        "--config",
        section=ENDS,
        type=FilePath(),
        help="A move.toml: endpoints, places of passwords, options, rules. See pop2imap init.",
    ),
    option(
        "--source",
        section=ENDS,
        type=EndpointText(),
        multiple=True,
        help="A source, instead of an argument; repeatable.",
    ),
    option("--target", section=ENDS, type=EndpointText(), help="The target, instead of the last argument."),
    state_dir,
)

_login = [
    decorator
    for side in ("source", "target")
    for decorator in (
        option(
            f"--{side}-password-file",
            section=LOGIN,
            env=False,
            metavar="FILE",
            help=f"The first line of FILE is the password of the {side}; nobody else may read it.",
        ),
        option(
            f"--{side}-password-command",
            section=LOGIN,
            env=False,
            metavar="COMMAND",
            help="COMMAND prints it; started without a shell.",
        ),
        option(
            f"--{side}-login-as",
            section=LOGIN,
            metavar="USER",
            help="Log in as the user of the URL, for the mailbox of USER (SASL PLAIN).",
        ),
        option(
            f"--{side}-ca",
            section=LOGIN,
            type=FilePath(),
            help=f"Certificates (PEM) to trust for the {side} instead of the system's.",
        ),
    )
]
login = _all(
    *_login,
    option(
        "--allow-cleartext/--no-allow-cleartext",
        section=LOGIN,
        default=None,
        help="Let pop3:// and imap:// send passwords and mail in clear text over a network.",
    ),
)

deciding = _all(
    option(
        "--rules", section=WHERE, type=FilePath(), help="Rules in TOML: which mail goes into which folder."
    ),
    option(
        "--into",
        section=WHERE,
        metavar="FOLDER",
        help="Where mail goes that no rule matches.  [default: INBOX]",
    ),
    option(
        "--mark",
        section=WHERE,
        type=MarkText(),
        help="Read or unread, where the source does not know: seen, unseen, older-than:30d, or auto, which is "
        "older-than:14d.  [default: auto]",
    ),
    option("--since", section=WHERE, type=Day(), help="Only mail of this day and later (UTC)."),
    option("--before", section=WHERE, type=Day(), help="Only mail before this day (UTC)."),
)


def limit(section: str) -> Callable[[F], F]:
    return option(
        "--limit",
        section=section,
        type=click.IntRange(min=1),
        metavar="N",
        help="At most so many messages in this run.",
    )


at_home = _all(
    option(
        "--flatten/--no-flatten",
        section=WHERE,
        default=None,
        help="Folders at home say nothing: what no rule matches goes to --into.",
    ),
    option(
        "--with-trash/--no-with-trash",
        section=WHERE,
        default=None,
        help="Move the trash folder of the mail program, too.",
    ),
    option(
        "--with-junk/--no-with-junk",
        section=WHERE,
        default=None,
        help="Move the junk folder of the mail program, too.",
    ),
    option(
        "--deleted-at-home",
        section=WHERE,
        type=click.Choice(("skip", "trash", "keep")),
        help="Mail that is in the maildrop still, but was deleted in the mail program: leave it out, put it into the "
        "trash, or treat it like other mail.  [default: trash]",
    ),
)

keep_duplicates = option(
    "--keep-duplicates/--no-keep-duplicates",
    section=WHERE,
    default=None,
    help="Store the same message from two sources twice.",
)

fence = option("--fence", section=WHERE, type=click.FloatRange(min=0), hidden=True, metavar="SECONDS")

where = _all(
    deciding,
    limit(WHERE),
    option(
        "--assume-empty/--no-assume-empty",
        section=WHERE,
        default=None,
        help="Do not look for the same mail among what folders held before the first run.",
    ),
    at_home,
    keep_duplicates,
    fence,
)

speed = _all(
    option(
        "--connections",
        section=SPEED,
        type=click.IntRange(1, MOST_CONNECTIONS),
        help="Upload sessions at once, each folder in one.  [default: 1; 3 if one message goes at a time]",
    ),
    option(
        "--unordered/--ordered",
        section=SPEED,
        default=None,
        help="Let several sessions upload to one folder: its messages may come in another order.",
    ),
    option(
        "--max-rate",
        section=SPEED,
        type=Octets("rate"),
        help="Send at most so much in a second, such as 5MB/s.",
    ),
    option(
        "--max-messages-per-second",
        section=SPEED,
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Send at most so many messages in a second; 0.5 is one in two seconds.",
    ),
    option(
        "--daily-bytes",
        section=SPEED,
        type=Octets("amount"),
        help="Send at most so much in any 24 hours, over all runs, such as 500MB; then end with 75.",
    ),
    option(
        "--source-daily-bytes",
        section=SPEED,
        type=Octets("amount"),
        help="The same for what is read from each POP3 source.",
    ),
    option(
        "--provider-limits/--no-provider-limits",
        section=SPEED,
        default=None,
        help="Where the last two are not said, keep to what Gmail publishes (pop2imap check names it).  "
        "[default: yes]",
    ),
)

refused = _all(
    option(
        "--quarantine",
        section=REFUSED,
        type=FilePath(folder=True),
        help="Keep each message that the target refuses in this directory, as .eml.",
    ),
    option(
        "--repair",
        section=REFUSED,
        type=click.Choice(repair.NAMES),
        multiple=True,
        help="Change a message that the target refused, in this way alone, and try again; repeatable. Its original "
        "goes to --quarantine.",
    ),
    option(
        "--retry-refused",
        section=REFUSED,
        is_flag=True,
        default=None,
        help="Try those messages again that were refused before, and no others.",
    ),
    option(
        "--on-held",
        section=REFUSED,
        type=click.Choice(("keep", "retry")),
        help="retry: send held messages again if they are not in their folder now; it may be a second copy.  "
        "[default: keep]",
    ),
)

allow_same_account = option(
    "--allow-same-account",
    section=READING,
    is_flag=True,
    default=None,
    help="Go on although source and target look like one mailbox.",
)

lenient_end = option(
    "--lenient-end/--no-lenient-end",
    section=READING,
    default=None,
    help="For POP3 servers that end lines with LF alone.",
)

reading = _all(
    option(
        "--mbox-quoting",
        section=READING,
        type=click.Choice(("auto", "mboxrd", "mboxo", "none")),
        help="How >From lines were made; auto goes by what the file shows.  [default: auto]",
    ),
    option(
        "--keep-mbox-headers/--no-keep-mbox-headers",
        section=READING,
        default=None,
        help="Leave Status, X-Mozilla-Status and the like in the messages.",
    ),
    option(
        "--labels",
        section=READING,
        type=click.Choice(("all", "one")),
        help="Mail of Google Takeout: a copy for each label, or one.  [default: all]",
    ),
    option(
        "--account",
        section=READING,
        multiple=True,
        metavar="NAME",
        help="Of a mail program, move this account alone: its name, user@host or e-mail address; repeatable.",
    ),
    lenient_end,
    option(
        "--max-message-size",
        section=READING,
        type=Octets("size"),
        help="The largest message that is read, such as 50M; others are reported.  [default: 1G]",
    ),
)

accept_renumbered = option(
    "--accept-renumbered",
    section=READING,
    is_flag=True,
    default=None,
    help="Go on although the POP3 server has given most messages new names.",
)

rescan = option(
    "--rescan",
    section=READING,
    is_flag=True,
    default=None,
    help="Read all of each mbox, also where an earlier run knows most of it.",
)

full = option(
    "--full",
    section=READING,
    is_flag=True,
    default=None,
    help="Plan with whole messages (some POP3 servers mark them as read), not with their headers alone.",
)

report = option(
    "--report",
    section=OUTPUT,
    type=FilePath(),
    multiple=True,
    help="Write the report to a file too; .json, .csv or .txt says its form; repeatable.",
)

as_json = option(
    "--json", "as_json", section=OUTPUT, is_flag=True, help="Print one JSON document instead of text."
)

logging_ = _all(
    option(
        "-v",
        "--verbose",
        section=OUTPUT,
        count=True,
        help="Say more, and name every problem; twice for details.",
    ),
    option(
        "-q", "--quiet", section=OUTPUT, is_flag=True, help="No progress, and no report if all went well."
    ),
    option("--log-file", section=OUTPUT, type=FilePath(), help="Add the log to this file."),
    option(
        "--log-format",
        section=OUTPUT,
        type=click.Choice(("text", "json")),
        default="text",
        help="Log in text or in JSON lines.",
    ),
)


def configure_logs(params: dict[str, Any]) -> None:
    """Do what ``-v``, ``-q``, ``--log-file`` and ``--log-format`` say. Raises LocalIOError."""
    from pop2imap import logs

    verbosity = -1 if params["quiet"] else min(params["verbose"], 2)
    logs.configure(verbosity=verbosity, log_file=params["log_file"], form=params["log_format"])


def command_line(ctx: click.Context) -> CommandLine:
    """What was said, by options, arguments and environment. Endpoints that were typed make those of the
    environment void."""
    from pop2imap.config import CommandLine

    params = ctx.params
    typed: tuple[str, ...] = params["endpoints"]
    targets = [text for text in typed if text.lower().startswith("imap")]
    sources, target = params["source"], params["target"]
    if len(typed) > len(targets) and _from_environment(ctx, "source"):
        sources = ()
    if targets and _from_environment(ctx, "target"):
        target = None
    sides: tuple[Side, ...] = ("source", "target")
    return CommandLine(
        arguments=typed,
        sources=sources,
        target=target,
        login_as={side: params[f"{side}_login_as"] for side in sides},
        ca_file={side: params[f"{side}_ca"] for side in sides},
        password_file={side: params[f"{side}_password_file"] for side in sides},
        password_command={side: params[f"{side}_password_command"] for side in sides},
        lenient_end=params.get("lenient_end"),
        max_message_size=params.get("max_message_size"),
        quoting=params.get("mbox_quoting"),
        keep_mbox_headers=params.get("keep_mbox_headers"),
        labels=params.get("labels"),
        accounts=params.get("account") or (),
        read_state_from=params.get("read_state_from"),
        said=_said(params),
    )


def _from_environment(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.ENVIRONMENT


def _said(params: dict[str, Any]) -> Said:
    from pop2imap.config import Said

    values = {name: params.get(name) for name in Said._fields}
    values["reports"] = params.get("report") or None
    values["repair"] = params.get("repair") or None
    return Said(**values)

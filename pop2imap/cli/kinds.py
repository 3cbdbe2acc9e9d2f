"""What options take: types of values, and an option and a command that sort themselves into sections."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.shell_completion import CompletionItem

from pop2imap.errors import LocalIOError
from pop2imap.text import printable

if TYPE_CHECKING:
    from pop2imap.options import Mark

F = TypeVar("F", bound=Callable[..., Any])


class Section(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, section: str = "Other", **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.section = section


class Command(click.Command):
    """A command whose help is in sections, and whose own trouble with files click does not get to see: it takes
    every broken pipe for that of standard output."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            raise LocalIOError(
                error.strerror or type(error).__name__, where=printable(str(error.filename or ""))
            ) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(param, "section", "Other"), []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records, col_max=34)


def option(*names: str, section: str, env: bool = True, **attrs: Any) -> Callable[[F], F]:
    """``click.option`` in a section, also readable from ``POP2IMAP_<LONG NAME>`` unless ``env`` is False."""
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    if env:
        attrs["envvar"] = "POP2IMAP_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, cls=Section, section=section, **attrs)


class FilePath(click.Path):
    """A path, made absolute; ``~`` is the home folder, also where no shell filled it in."""

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(file_okay=not folder, path_type=Path)
        self.name = "dir" if folder else "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value):
            self.fail("a path must not be empty", param, ctx)
        try:
            path = Path(value).expanduser()
        except RuntimeError:
            self.fail("there is no such user", param, ctx)
        super().convert(path, param, ctx)
        return path.absolute()


class EndpointText(click.ParamType[str]):
    """An endpoint as typed. It is read later, when it is known what is allowed; here files are completed."""

    name = "endpoint"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [] if "://" in incomplete else [CompletionItem(incomplete, type="file")]


class Day(click.ParamType[date]):
    """A day such as 2015-01-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail("a day is written like 2015-01-31", param, ctx)


class Octets(click.ParamType[int]):
    """A number of octets, of which ``name`` is a kind."""

    def __init__(self, name: Literal["size", "rate", "amount"]) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from pop2imap import sizes
        from pop2imap.errors import UsageError

        if isinstance(value, int):
            return value
        read = {"size": sizes.message_size, "rate": sizes.per_second, "amount": sizes.per_day}[self.name]
        try:
            return read(value)
        except UsageError as error:
            self.fail(f"{error.what} ({error.todo})", param, ctx)


class Age(click.ParamType[int]):
    """So many days, such as 30d."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = str(value).strip().lower().removesuffix("d")
        if not number.isascii() or not number.isdigit() or len(number) > 5:
            self.fail("an age is written like 30d", param, ctx)
        return int(number)


class MarkText(click.ParamType["Mark"]):
    """How mail of unknown state is marked."""

    name = "how"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mark:
        from pop2imap.errors import UsageError
        from pop2imap.options import Mark

        if isinstance(value, Mark):
            return value
        try:
            return Mark.parse(value)
        except UsageError as error:
            self.fail(f"{error.what} ({error.todo})", param, ctx)

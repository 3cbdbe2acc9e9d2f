"""One Thunderbird without a window, on a profile: started, asked, ended in any case.

Nothing of it leaves the machine: what would ask the network is switched off, and a proxy that is not there takes what
is left. It runs with a home of its own, so that no file of the user's is read or written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.thunderbird.marionette import Marionette

__all__ = ["MISSING", "Preference", "Thunderbird", "installed", "write_preferences"]

PROGRAM = os.environ.get("THUNDERBIRD", "thunderbird")
MISSING = "no Thunderbird here (apt-get install thunderbird)"
Preference = str | int | bool
_ARGUMENTS = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")

_QUIET: dict[str, Preference] = {
    "app.donation.eoy.version.viewed": 999,
    "app.normandy.enabled": False,
    "app.shield.optoutstudies.enabled": False,
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.cache.disk.enable": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultClient": False,
    "calendar.registry.disabled": True,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "devtools.console.stdout.chrome": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "gfx.canvas.accelerated": False,
    "intl.locale.requested": "en-US",
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.inappnotifications.enabled": False,
    "mail.instrumentation.postUrl": "",
    "mail.provider.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mailnews.auto_config.fetchFromISP.enabled": False,
    "mailnews.auto_config.guess.enabled": False,
    "mailnews.auto_config_url": "",
    "mailnews.database.global.indexer.enabled": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page.url": "about:blank",
    "mailnews.start_page_override.mstone": "ignore",
    "mailnews.ui.threadpane.version": 999,
    "messenger.account-wizard.disabled": True,
    "messenger.startup.action": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.type": 1,
    "offline.send.unsent_messages": 2,
    "remote.log.level": "Error",
    "remote.prefs.recommended": False,
    "security.remote_settings.crlite_filters.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",
    "signon.rememberSignons": False,
    "toolkit.telemetry.archive.enabled": False,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
}


def installed() -> bool:
    """Whether this machine has a Thunderbird."""
    return shutil.which(PROGRAM) is not None


def write_preferences(path: Path, preferences: Mapping[str, Preference]) -> None:
    """Write a ``user.js``: Thunderbird takes it over into ``prefs.js`` at its next start."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    path.write_text("".join(lines))


class Thunderbird:
    """A Thunderbird that runs on ``profile``, which is made if it is not there.

    Use it as a context manager: ``with Thunderbird(profile) as it: it.driver.run("return 1;")``. It is ended at the
    close of the block, politely if it can be, within ``patience`` seconds; killed if not.
    """

    def __init__(
        self,
        profile: Path,
        *,
        home: Path | None = None,
        preferences: Mapping[str, Preference] | None = None,
        launcher: Sequence[str] = (),
        timeout: float = 120,
        patience: float = 30,
    ) -> None:
        if not installed():
            raise FileNotFoundError(MISSING)
        self.profile = profile
        self._launcher = launcher
        self._timeout = timeout
        self._patience = patience
        self._own_home = None if home else Path(tempfile.mkdtemp(prefix="p2i-thunderbird-home-"))
        self._home = home or self._own_home
        self._port = _free_port()
        profile.mkdir(parents=True, exist_ok=True)
        write_preferences(
            profile / "user.js", {**_QUIET, **(preferences or {}), "marionette.port": self._port}
        )

    def __enter__(self) -> Thunderbird:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until scripts run. Raises RuntimeError with what it said if they never do."""
        self.log = Path(tempfile.mkstemp(prefix="p2i-thunderbird-", suffix=".log")[1])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._launcher, PROGRAM, *_ARGUMENTS, "--profile", str(self.profile)],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.driver = self._connect()
            self.driver.run(_WAIT_FOR_WINDOW)
        except BaseException:
            self.kill()
            raise

    def call(self, script: str, function: str, **parameters: Any) -> Any:
        """What a function of the file ``script``, which lies beside this one, returns."""
        text = Path(__file__).with_name(script).read_text()
        return self.driver.run(f"{text}\nreturn await {function}(parameters);", parameters)

    def stop(self) -> None:
        """End it as its menu does, so that it writes all that it has to write; kill it if that takes too long."""
        try:
            self.driver.quit()
            self.driver.close()
            self.process.wait(self._patience)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once if it still runs, with the processes that it started; remove what it needed here."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.unlink(missing_ok=True)
        if self._own_home:
            shutil.rmtree(self._own_home, ignore_errors=True)

    def _connect(self) -> Marionette:
        end = time.monotonic() + self._timeout
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return Marionette(self._port, timeout=self._timeout)
            except ConnectionRefusedError:
                time.sleep(0.2)
        raise RuntimeError(f"Thunderbird does not start: {self.log.read_text(errors='replace')[-2000:]}")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR"}}
        return {
            **kept,
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "MOZ_HEADLESS": "1",
            "MOZ_CRASHREPORTER_DISABLE": "1",
            "MOZ_DATA_REPORTING": "0",
        }


_WAIT_FOR_WINDOW = """
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
for (let tries = 0; tries < 600; tries++) {
  const window = Services.wm.getMostRecentWindow("mail:3pane");
  if (window?.document.readyState == "complete") { return true; }
  await new Promise(resolve => setTimeout(resolve, 100));
}
throw new Error("the main window does not come up");
"""


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


@contextlib.contextmanager
def temporary_profile() -> Iterator[Path]:
    """A place for a profile that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="p2i-thunderbird-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "profile"


def preferences_for_tests() -> set[str]:
    """Names of the preferences that are there because a test runs it."""
    return {*_QUIET, "marionette.port"}

"""A browser for tests: headless Chromium, as Debian packages it (chromium, chromium-driver).

``tox run -e browser`` insists on it. Anywhere else a test is skipped where there is no browser, and
says so.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest

# Set by tox for the run that must not be without a browser.
REQUIRED = "AUTOCRON_TEST_BROWSER"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def give_up(reason):
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def found(what, names):
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        give_up(f"no {what} on PATH (apt-get install chromium chromium-driver)")
    return path


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    try:
        from selenium import webdriver
    except ImportError:
        give_up("selenium is not installed (pip install -e '.[browser]')")
    options = webdriver.ChromeOptions()
    options.binary_location = found("browser", BROWSERS)
    for option in OPTIONS:
        options.add_argument(option)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own does not work for root
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(found("driver of the browser", ["chromedriver"]))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


class Browser:
    """A page in the browser, and what a test asks about it.

    Arguments:
        driver: The driver of the browser.
        folder: Where pages are written.
    """

    def __init__(self, driver, folder):
        self.driver = driver
        self._folder = folder

    def open(self, html):
        """Open a page, as somebody who got it as a file; return its address."""
        path = self._folder / "page.html"
        path.write_text(html, encoding="utf-8")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        return path.as_uri()

    def emulate(self, scheme="light", width=1280):
        """Show the page in a colour scheme, on a screen that is so many pixels wide."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def run(self, script, *arguments):
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def errors(self):
        """Return what the console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Return the addresses that were asked for since the page was opened."""
        messages = (
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        )
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def accessible(self):
        """Return what a screen reader is told: pairs of a role and a name."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]


@pytest.fixture
def browser(driver, tmp_path):
    browser = Browser(driver, tmp_path)
    browser.emulate()
    return browser

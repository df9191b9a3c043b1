"""The HTML report in a real Chromium: no violation of accessibility, no script error, nothing leaves the page.

Needs Debian's chromium and the extra `browser`; without them these tests say so and are left out.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import report_samples as samples

from maestro_cli.formats import html_page
from maestro_cli.model import Report

Browser: TypeAlias = Any
BrowserContext: TypeAlias = Any
Page: TypeAlias = Any
# Playwright's own types are there only where the extra is installed; the type check must pass without it.

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs the extra: pip install 'maestro-readiness[browser]'"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a report; at the end of the test nothing may have been logged, thrown or asked for."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def open_report(report: Report, *, width: int = 1280, anchor: str = "", **options: Any) -> Page:
        file = tmp_path / f"report-{len(contexts)}.html"
        file.write_text(html_page.render(report), encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"thrown: {error}"))
        page.on(
            "request", lambda request: None if request.url.startswith(file.as_uri()) else troubles.append(request.url)
        )
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.goto(f"{file.as_uri()}{anchor}")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert [trouble for trouble in troubles if trouble != "data:,"] == []


def with_trend() -> Report:
    return dataclasses.replace(samples.not_ready(), extra={"trend": samples.trend()})


def visible_checks(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        ".check",
        "all => all.filter(one => one.offsetParent !== null).map(one => one.querySelector('.meta code').textContent)",
    )
    return found


def toggle(page: Page, status: str) -> None:
    page.locator(f".toggle.{status} input").click()


@pytest.mark.parametrize("story", ["ready", "not_ready", "outage", "nothing", "empty", "hostile", "trend"])
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_violation(show: Callable[..., Page], story: str, theme: str, width: int) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python", reason="needs the extra: pip install 'maestro-readiness[browser]'"
    )
    script = next(Path(axe.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
    page = show(with_trend() if story == "trend" else getattr(samples, story)(), width=width, color_scheme=theme)
    if page.locator("#reset").count():
        page.locator("#reset").click()
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true }")
    page.evaluate(script)
    violations = page.evaluate("axe.run(document).then(result => result.violations)")
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in violations] == []


@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("story", ["not_ready", "hostile"])
def test_nothing_is_wider_than_the_window(show: Callable[..., Page], story: str, width: int) -> None:
    page = show(getattr(samples, story)(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_hostile_answer_runs_nothing_even_without_the_policy(chromium: Browser, show: Callable[..., Page]) -> None:
    page = show(samples.hostile())
    page.locator("#reset").click()
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main script, main b:has-text('loud')").count() == 0
    unguarded = re.sub(r"<meta http-equiv=.*?>", "", html_page.render(samples.hostile()))
    bare = chromium.new_page()
    bare.set_content(unguarded)
    assert bare.evaluate("window.pwned") is None
    bare.close()


def test_the_policy_stops_what_the_escaping_would_miss(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report = html_page.render(samples.ready())
    file.write_text(
        report.replace("<main", "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'><main"),
        encoding="utf-8",
    )
    page = chromium.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(file.as_uri())
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in text for text in blocked)
    page.close()


def test_problems_come_first_and_the_rest_is_one_click_away(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready())
    assert visible_checks(page) == [
        "security.jwt-signature",
        "security.database-password",
        "readiness.benchmark",
        "security.certificate-days",
    ]
    assert page.locator("#count").inner_text() == "4 of 16 checks are shown."
    assert page.locator("#count").get_attribute("role") == "status"
    toggle(page, "pass")
    assert len(visible_checks(page)) == 15
    page.locator("#reset").click()
    assert len(visible_checks(page)) == 16
    assert page.locator("#count").inner_text() == "All 16 checks are shown."


def test_a_healthy_report_shows_its_passes(show: Callable[..., Page]) -> None:
    assert len(visible_checks(show(samples.ready()))) == 11


def test_component_priority_and_search_narrow_the_list(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready())
    page.locator("#reset").click()
    page.locator("#component").select_option("security")
    assert len(visible_checks(page)) == 6
    page.locator("#priority").select_option("critical")
    assert visible_checks(page) == ["security.jwt-signature", "security.jwt-alg-none"]
    page.locator("#search").fill("Edited 200")
    page.locator("#count", has_text="1 of 16").wait_for()
    assert visible_checks(page) == ["security.jwt-signature"]
    assert page.locator(".group:visible").count() == 1


def test_a_component_card_is_a_filter_for_the_keyboard_too(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready())
    card = page.locator(".components button", has_text="Testing")
    card.focus()
    page.keyboard.press("Enter")
    assert card.get_attribute("aria-pressed") == "true"
    assert visible_checks(page) == ["readiness.tests-pass", "readiness.benchmark"]
    page.keyboard.press("Enter")
    assert card.get_attribute("aria-pressed") == "false"
    assert len(visible_checks(page)) == 16


def test_the_keyboard_reaches_the_list_and_moves_the_toggles(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the checks"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "fail"
    page.keyboard.press("Space")
    assert "security.jwt-signature" not in visible_checks(page)


def test_a_remedy_is_copied_as_it_stands(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready(), permissions=["clipboard-read", "clipboard-write"])
    check = page.locator("[id='check-security.database-password']")
    check.locator(".copy").click()
    check.locator(".face", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "maestro secrets rotate POSTGRES_PASSWORD"
    assert page.locator("#announcer").inner_text() == "The command is copied."


def test_the_theme_follows_the_system_until_the_reader_chooses(show: Callable[..., Page]) -> None:
    page = show(samples.ready(), color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    button = page.locator("#theme")
    assert button.inner_text() == "Light theme"
    button.click()
    assert page.evaluate(background) != dark
    assert button.inner_text() == "Dark theme"
    page.reload()
    assert page.evaluate(background) != dark, "the choice outlives the page"


def test_a_link_to_a_hidden_check_shows_it(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready(), anchor="#check-security.env-mode")
    assert "security.env-mode" in visible_checks(page)


def test_everything_is_there_without_scripts(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready(), java_script_enabled=False)
    assert page.locator(".check:visible").count() == 16
    assert page.locator("#filters:visible").count() == 0
    assert page.locator(".copy:visible, #theme:visible").count() == 0


def test_it_prints_without_its_controls_and_with_its_evidence(show: Callable[..., Page]) -> None:
    page = show(samples.not_ready())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#filters:visible, #theme:visible, .copy:visible").count() == 0
    assert page.locator("[id='check-security.jwt-signature'] dd", has_text="200 OK").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_a_thousand_checks_are_laid_out_only_in_sight(show: Callable[..., Page]) -> None:
    page = show(samples.big(1000))
    assert page.evaluate("getComputedStyle(document.querySelector('.check')).contentVisibility") == "auto"
    page.locator("#reset").click()
    assert page.locator("#count").inner_text() == "All 1000 checks are shown."
    page.locator("#search").fill("generated check number 777")
    page.locator("#count", has_text="1 of 1000").wait_for()
    assert visible_checks(page) == ["security.generated-777"]

"""How fast the app is for people: in a real browser, and for twenty of them at once.

    python -m tests.benchmarks.app HUB                  # a hub that was indexed; 50,000 patterns
    python -m tests.benchmarks.app HUB --part people    # one part alone

The app runs in a process of its own over the patterns of HUB, with settings of its own: its arms
are asked of a stand-in endpoint on loopback, which streams at a fixed pace. Wall times are of this
machine at this moment: its load stands in the first line, and a bare page of Gradio beside ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import httpx
import numpy as np
from fastapi import FastAPI

from hub import Hub
from tests.benchmarks.answering import QUESTIONS, questions
from tests.browser import chromium, served
from tests.chat_server import Handler, chat_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

SEARCHES = 100
LOADS = 10
PIECES, PACE = 30, 0.05  # of an answer, and seconds from one to the next
SLOW = 2  # how much longer an arm with the adapter takes
PEOPLE, THINKING, ROUNDS = 20, 5.0, 6  # seconds between two requests of one person
RESTARTS = 20
NO_FILTER = ["any", "any", "any", "any", 0, ""]
RUN = [
    "scratch.hidden=64", "scratch.layers=1", "scratch.steps=10", "data.max_length=128",
    "quantization=null", "train.precision=fp32", "train.accumulation=1", "train.batch_size=1",
    "train.max_steps=100000", "train.epochs=100000", "train.eval_steps=1000",
    "train.save_steps=1000",
]  # fmt: skip
# From Enter to the first frame after the hits have changed.
WATCH = """() => new Promise((done) => {
  const hits = document.querySelector('#hits');
  const text = () => hits.querySelector('.prose')?.innerText, before = text();
  let began;
  addEventListener('keydown', (e) => { if (e.key === 'Enter') began = performance.now(); },
                   {once: true, capture: true});
  const look = new MutationObserver(() => {
    if (began === undefined || text() === before) return;
    look.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
  });
  look.observe(hits, {childList: true, subtree: true, characterData: true});
})"""
USABLE = """
new MutationObserver((_, look) => {
  const box = document.querySelector('#query textarea');
  if (box && !box.disabled && document.querySelector('#greeting .message, #bare')) {
    look.disconnect();
    window.usable = performance.now();
  }
}).observe(document, {childList: true, subtree: true});
"""
CURVE = """() => {
  window.seen = {};
  const look = () => {
    const text = document.querySelector('#curve').innerText;
    for (const [_, step] of text.matchAll(/^step (\\d+)\\//gm)) {
      window.seen[step] ??= Date.now() / 1000;
    }
  };
  new MutationObserver(look).observe(document.querySelector('#curve'),
                                     {childList: true, subtree: true, characterData: true});
}"""


def main() -> None:
    """Measure one part or all; a line each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("hub", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--dataset", type=Path, help="to train on, for the part curve")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, chat_server(paced) as (endpoint, _):
        folder = Path(scratch)
        (folder / ".patternhub").symlink_to(options.hub.resolve() / ".patternhub")
        (folder / "hub.toml").write_text(
            f'[generator]\nendpoint = "{endpoint}"\nmodel = "base"\n[answering]\nadapter = "team"\n'
        )
        patterns = Hub.open(folder).status()
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        print(f"{patterns.patterns:,} patterns, {patterns.tier} tier; load {load}", flush=True)
        for name in options.part or PARTS:
            PARTS[name](folder, options.dataset)


def paced(handler: Handler, body: dict[str, Any]) -> None:
    """An answer at a fixed pace; what is said depends on the model, so that adapters show."""
    model = body["model"]
    pieces = min(PIECES * (SLOW if model != "base" else 1), body["max_tokens"])
    handler.begin()
    for number in range(pieces):
        handler.piece(f"{model} says {number}. ")
        time.sleep(PACE)
    handler.end(completion_tokens=pieces, prompt_tokens=1)


@contextlib.contextmanager
def app(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The app in a process of its own, once it answers."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    program = "from hub.cli import main; main()"
    command = [sys.executable, "-c", program, "--hub", str(folder), "ui", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/"
        while process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(url, timeout=60)
                break
            time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def told(what: str, seconds: list[float], target: str = "") -> None:
    p50, p95 = np.percentile(seconds, [50, 95])
    print(
        f"{what}: p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms of {len(seconds)} {target}",
        flush=True,
    )


def asked() -> list[str]:
    return [q for path in sorted(QUESTIONS.glob("*.jsonl")) for q, _ in questions(path.stem)]


def search(folder: Path, _dataset: Path | None) -> None:
    """From Enter to hits on the screen."""
    hub = Hub.open(folder)
    with app(folder) as (url, _), chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.locator("#greeting .message").wait_for()
        took = []
        for question in asked()[: SEARCHES + 5]:  # while annotations are still being found
            page.locator("#query textarea").click()
            page.keyboard.press("Control+A")
            page.keyboard.insert_text(question)
            page.evaluate(f"() => {{ window.watched = ({WATCH})(); }}")
            page.keyboard.press("Enter")
            took.append(page.evaluate("() => window.watched") / 1000)
            first = hub.search(question, limit=1)[0].pattern
            assert page.locator("#hits h3").first.inner_text() == f"1. {first.symbol or first.kind}"
        told("search, typed to shown", took[5:], "[p95 <= 300 ms]")


def first_load(folder: Path, _dataset: Path | None) -> None:
    """A browser that was never here, until a question can be typed and the hub has answered."""
    took: dict[str, list[float]] = {"a bare page": [], "the app": []}
    others = set()
    with app(folder) as (url, _), bare() as other, chromium() as browser:
        began = time.perf_counter()
        while "quality" not in Person(url).ask("Search", ["close", *NO_FILTER])[1]:
            time.sleep(1)
        print(f"annotations were found after {time.perf_counter() - began:.0f} s", flush=True)
        for _ in range(LOADS):
            for name, address in (("a bare page", other), ("the app", url)):
                context = browser.new_context()
                page = context.new_page()
                page.on("request", lambda request: others.add(request.url))
                page.add_init_script(USABLE)
                page.goto(address)
                page.wait_for_function("window.usable")
                took[name].append(page.evaluate("window.usable") / 1000)
                context.close()
    foreign = {each for each in others if not each.startswith((url, other, "data:", "blob:"))}
    for name, seconds in took.items():
        told(f"first load to usable, {name}", seconds)
    print(f"[<= 2,000 ms]; requests to other hosts: {len(foreign)} [0]", flush=True)


def bare() -> Any:
    """A page of Gradio with a box to type in and nothing else."""
    with gr.Blocks() as blocks:
        gr.Textbox(elem_id="query")
        gr.HTML("<p id=bare></p>")
    return served(gr.mount_gradio_app(FastAPI(), blocks, path="/", ssr_mode=False))


def panes(folder: Path, _dataset: Path | None) -> None:
    """Four arms at once against the slowest alone."""
    arms = Hub.open(folder).arms()
    alone = [arms.answer(question, "rag+adapter").seconds for question in asked()[:5]]
    with app(folder) as (url, _), chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("tab", name="Compare").click()
        took = []
        for question in asked()[:6]:
            page.locator("#question textarea").click()
            page.keyboard.press("Control+A")
            page.keyboard.insert_text(question)
            began = time.perf_counter()
            page.locator("#ask-all").click()
            page.locator("#told", has_text="Answering").wait_for()
            page.locator("#told", has_text="Done.").wait_for(timeout=120_000)
            took.append(time.perf_counter() - began)
    told("slowest arm alone", alone)
    ratio = np.median(took[1:]) / np.median(alone)
    told("four panes in the browser", took[1:], f"= {ratio:.2f} of it [<= 1.2]")


class Person:
    """One who asks the app as a browser does, over its queue."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=300)
        self.session = uuid.uuid4().hex
        self.config = self.http.get("config").json()

    def ask(self, element: str, data: list[Any]) -> tuple[float, str]:
        """Press the button with this id, or the one with this text; seconds until all is there, and
        what is.

        Raises:
            RuntimeError: the app says that it failed.
        """
        began = time.perf_counter()
        join = {"data": data, "fn_index": self._function(element), "session_hash": self.session}
        self.http.post("gradio_api/queue/join", json=join).raise_for_status()
        where = {"session_hash": self.session}
        with self.http.stream("GET", "gradio_api/queue/data", params=where) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                event = json.loads(line[5:])
                if event["msg"] == "process_completed":
                    text = json.dumps(event["output"])
                    if not event["success"] or 'role=\\"alert' in text or "INCOMPLETE" in text:
                        raise RuntimeError(text[:300])
                    return time.perf_counter() - began, text
        raise RuntimeError("the app ended the stream")

    def _function(self, element: str) -> int:
        ids = {
            c["id"]
            for c in self.config["components"]
            if c["type"] == "button" and element in (c["props"].get("elem_id"), c["props"]["value"])
        }
        for function in self.config["dependencies"]:
            wanted = {target[0] for target in function["targets"] if target[1] == "click"}
            if wanted & ids and function["backend_fn"]:
                return int(function["id"])
        raise RuntimeError(f"nothing happens at {element}")


def people(folder: Path, _dataset: Path | None) -> None:
    """Search and compare, by one person and by twenty, each with pauses to think."""
    with app(folder) as (url, _):
        Person(url).ask("ask-all", [asked()[0], "none", False])  # the arms are open
        seen = {count: crowd(url, count) for count in (1, PEOPLE)}
    for what in ("search", "compare"):
        for count, (took, _) in seen.items():
            told(f"{what}, {count} at once", took[what])
        one, all_ = (np.percentile(seen[count][0][what], 95) for count in (1, PEOPLE))
        print(f"{what}: p95 {all_ / one:.2f} of one [<= 2]; errors: {len(seen[PEOPLE][1])} [0]")
    print("\n".join(seen[PEOPLE][1][:5]), flush=True)


def crowd(url: str, count: int) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds of each request by kind, and what failed."""
    took: dict[str, list[float]] = {"search": [], "compare": []}
    failed: list[str] = []
    rounds = ROUNDS if count > 1 else 4 * ROUNDS

    def live(number: int) -> None:
        person = Person(url)
        time.sleep(THINKING * number / count if count > 1 else 0)
        for turn in range(rounds):
            question = asked()[(7 * number + turn) % len(asked())]
            try:
                took["search"].append(person.ask("Search", [question, *NO_FILTER])[0])
                time.sleep(THINKING if count > 1 else 0.2)
                took["compare"].append(person.ask("ask-all", [question, "none", False])[0])
                time.sleep(THINKING if count > 1 else 0.2)
            except (RuntimeError, httpx.HTTPError) as error:
                failed.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=live, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return took, failed


def curve(folder: Path, dataset: Path | None) -> None:
    """A real run, started in the app: its points, a reload, a second tab, and kills of the app."""
    if dataset is None:
        print("curve: needs --dataset")
        return
    with chromium() as browser:
        with app(folder) as (url, process):
            page = browser.new_page()
            begin(page, url, dataset)
            run = wait_for(lambda: next(iter(Hub.open(folder).runs.list()), None))
            wait_for(lambda: Hub.open(folder).runs.get(run.id).phase == "adapter")
            page.evaluate(CURVE)
            reloads = [reattached(browser, url, run.id) for _ in range(LOADS)]
            differ = [two_tabs(browser, url) for _ in range(LOADS)]
            seen = {int(k): v for k, v in page.evaluate("window.seen").items()}
            log = Hub.open(folder).runs.log(run.id)
            at = {e["step"]: e["time"] for e in log if e["event"] == "step"}
            told("a point, written to shown", [seen[k] - at[k] for k in seen], "[<= 2,000 ms]")
            told("reload to the run", reloads, "[<= 2,000 ms]")
            print(f"two tabs apart by at most {max(differ)} ticks' steps", flush=True)
            process.send_signal(signal.SIGKILL)
        found = sum(survived(browser, folder, run.id) for _ in range(RESTARTS))
        print(f"killed and started again, the run went on and was found: {found} of {RESTARTS}")
        Hub.open(folder).runs.stop(run.id)


def begin(page: Page, url: str, dataset: Path) -> None:
    page.goto(url)
    page.get_by_role("tab", name="Train").click()
    page.locator("#curve [role=status]").wait_for()
    page.locator("#train-dataset textarea, #train-dataset input").fill(str(dataset.resolve()))
    page.locator("#settings textarea").fill("\n".join(RUN))
    page.wait_for_timeout(1000)
    page.locator("#check").click()
    page.locator("#start:not([disabled])").click(timeout=300_000)
    page.get_by_text("has begun").wait_for(timeout=60_000)


def wait_for(what: Callable[[], Any]) -> Any:
    while not (found := what()):
        time.sleep(0.5)
    return found


def step_of(page: Page) -> int:
    found = re.search(r"step (\d+) of", page.locator("#curve").inner_text())
    return int(found[1]) if found else -1


def reattached(browser: Browser, url: str, id: str) -> float:
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Train").click()
    page.locator("#curve", has_text=id).wait_for()
    began = time.perf_counter()
    page.reload(wait_until="commit")
    page.get_by_role("tab", name="Train").click()
    page.locator("#curve", has_text=id).wait_for()
    took = time.perf_counter() - began
    page.close()
    return took


def two_tabs(browser: Browser, url: str) -> int:
    """How many steps two tabs are apart at one moment."""
    pages = [browser.new_page() for _ in range(2)]
    for page in pages:
        page.goto(url)
        page.get_by_role("tab", name="Train").click()
        page.locator("#curve svg").wait_for()
    steps = [step_of(page) for page in pages]
    for page in pages:
        page.close()
    return abs(steps[0] - steps[1])


def survived(browser: Browser, folder: Path, id: str) -> bool:
    """Whether a new app finds the run further on than it was; then that app is killed as well."""
    before = Hub.open(folder).runs.get(id).step
    with app(folder) as (url, _):  # killed at the end of the block
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("tab", name="Train").click()
        page.locator("#curve", has_text=f"{id}: running").wait_for()
        deadline = time.monotonic() + 60
        while step_of(page) <= before and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        now = step_of(page)
        page.close()
    return now > before


PARTS: dict[str, Callable[[Path, Path | None], None]] = {
    "search": search, "load": first_load, "panes": panes, "people": people, "curve": curve,
}  # fmt: skip


if __name__ == "__main__":
    main()

"""The page of running sessions in a real Chromium, where there is one: what strangers wrote pushes no button away."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader

import airflow_provider
from airflow_provider.sessions_page.rows import Row, Table

HERE = Path(airflow_provider.__file__).parent / "sessions_page"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1400, 1100, 390, 320)
#: Puts what it finds where the browser prints it.
PROBE = """
const act = (name) => document.querySelector(`td.act ${name}`);
const at = (element) => { const box = element.getBoundingClientRect(); return [box.left, box.right]; };
const found = { width: innerWidth, page: document.documentElement.scrollWidth, stop: at(act(".stop")) };
act(".stop").click();
found.really = at(act(".really"));
found.keep = at(act(".keep"));
found.focus = document.activeElement.className;
scrollTo(0, document.body.scrollHeight);
found.said = document.getElementById("away").getBoundingClientRect().bottom;
found.below = scrollY;
document.title = JSON.stringify(found);
"""
LONG = "ü" * 300
ROW = Row(
    uuid="11111111-2222-3333-4444-555555555555",
    short="11111111",
    doing="mr · running",
    whose="d" * 80,
    steps=("r" * 80, "t" * 80),
    path="/dags/d",
    detail="k" * 320,
    labels=f"project={LONG}",
    cards=f"8 × NVIDIA {LONG}",
    node="node 1001 · DE",
    age="1h 2m",
    cost="0.1814 OCTA (0.0039 USD)",
    price="0.0976 USD/h",
    may_stop=True,
    kept="its command failed: kept until 2026-11-27 20:05 UTC",
    after_stop="Its command has failed: nothing waits for it.",
)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What a browser of each width makes of a page of thirty such sessions, its last sentence being bad news.

    A browser takes long to start, where it gets little time: one has all of them in it.
    """
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(HERE / "static", folder / "static")
    pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
    drawn = pages.get_template("page.html").render(
        table=Table((ROW,) * 30, "30 sessions run.", ()),
        sentence="OctaSpace can't be asked now.",
        asked_at="2026-11-27T20:00:00+00:00",
        connections=("octa_default",),
        chosen="octa_default",
        refresh_s=3600,
        stop_header="X-Octa-Page",
    )
    # In frames of these widths, as Airflow shows it: a headless window has a least width of its own.
    (folder / "probe.js").write_text(PROBE)
    (folder / "page.html").write_text(drawn.replace("</head>", '<script src="probe.js" defer></script></head>'))
    frame = '<iframe src="page.html" style="width:{}px;height:800px;border:0"></iframe>'
    (folder / "frame.html").write_text(
        "".join(frame.format(width) for width in WIDTHS) + "<pre></pre><script>onload = () => { "
        "const told = Array.from(frames, (frame) => frame.document.title); "
        'document.querySelector("pre").textContent = `[${told.join()}]`; };</script>'
    )
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--allow-file-access-from-files",
    ]
    profile = f"--user-data-dir={folder / 'profile'}"
    dumped = subprocess.run(
        [str(BROWSER), *options, profile, "--virtual-time-budget=2000", "--dump-dom", (folder / "frame.html").as_uri()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=800,
        check=True,
    ).stdout.decode()
    told = re.search("<pre>(.*)</pre>", dumped)
    assert told is not None, dumped
    return dict(zip(WIDTHS, json.loads(unescape(told[1])), strict=True))


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium")
@pytest.mark.parametrize("width", WIDTHS)
def test_every_button_is_within_reach_whatever_strangers_wrote(
    looked_at: dict[int, dict[str, Any]], width: int
) -> None:
    found = looked_at[width]
    assert found["width"] == width
    assert found["page"] <= width
    for name in ("stop", "really", "keep"):
        left, right = found[name]
        assert 0 <= left < right <= width, (name, found)
    # A key that is held down answers the question with no.
    assert found["focus"] == "keep"
    # At the end of a long list it is still seen what became of a stop.
    assert found["below"] > 0
    assert found["said"] > 0

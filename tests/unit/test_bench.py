# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark makes of its figures: a missed limit must be said, a small run not believed."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from bench import report, results
from bench.__main__ import SCENARIOS, main
from bench.results import Result, Row
from bench.usage import held

RESULT = Result("two-80", [], "2026-05-22 07:00", 60.0, "", [0.1, 0.1, 0.1], "abc", {"cpu": "A", "cores": 2})


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (
            Row("stop", 20.0, floor=16.0, bare=17.0, times=1.25),
            ("20.0 s", "16.0 s", "17.0 s", "1.25 x", "1.25 x", "met"),
        ),
        (Row("stop", 20.2, floor=16.0, times=1.25), ("20.2 s", "16.0 s", "", "1.26 x", "1.25 x", "MISSED")),
        (Row("start", 9.5, floor=5.5, plus=4), ("9.5 s", "5.5 s", "", "+ 4.0 s", "+ 4 s", "met")),
        (Row("start", 9.6, floor=5.5, plus=4), ("9.6 s", "5.5 s", "", "+ 4.1 s", "+ 4 s", "MISSED")),
        (Row("memory", 60.1, "MB", most=60), ("60.1 MB", "", "", "", "60 MB", "MISSED")),
        (Row("restarted", 0, "", most=0), ("0", "", "", "", "0", "met")),
        (Row("CPU", 3.0), ("3.0 s", "", "", "", "", "")),
    ],
)
def test_a_figure_beyond_its_limit_is_called_missed(row: Row, cells: tuple[str, ...]) -> None:
    assert row.cells(judged=True)[1:] == cells
    assert row.met == (cells[-1] != "MISSED")
    assert row.cells(judged=False)[-1] == ""


def test_a_quick_run_is_not_judged() -> None:
    missed = Row("stop", 40.0, floor=16.0, times=1.25)
    whole = dataclasses.replace(RESULT, rows=[missed])
    assert whole.missed == [missed]
    assert dataclasses.replace(whole, quick="--scale 0.1").missed == []


def test_a_result_is_read_as_it_was_kept(tmp_path: Path) -> None:
    result = dataclasses.replace(RESULT, rows=[Row("stop", 20.0, floor=16.0, times=1.25), Row("memory", 1.0, "MB")])
    for _ in range(2):
        results.append(result, tmp_path / "bench" / "results.jsonl")
    assert results.read(tmp_path / "bench" / "results.jsonl") == [result, result]


def test_the_report_takes_the_newest_whole_run_of_one_machine() -> None:
    """Else a page would mix a laptop's floor with a server's figures, or show a tenth for the whole."""
    other = dataclasses.replace(RESULT, scenario="tail", machine={"cpu": "B", "cores": 8})
    newer = dataclasses.replace(RESULT, at="2026-05-23 07:00")
    quick = dataclasses.replace(RESULT, at="2026-05-24 07:00", quick="--scale 0.1")
    assert report.latest([other, RESULT, newer, quick]) == [newer]
    assert report.latest([quick]) == []


def test_the_report_fills_its_place_on_the_page_and_names_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, plot, kept = tmp_path / "speed.md", tmp_path / "speed.svg", tmp_path / "results.jsonl"
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PLOT", plot)
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    assert report.main([str(kept)]) == 1
    assert "`make bench` makes them" in capsys.readouterr().err
    row = Row("stop, zip: 2 cameras", 40.0, floor=16.0, times=1.25)
    machine = {**RESULT.machine, "memory_gb": 4, "kernel": "6"}
    results.append(dataclasses.replace(RESULT, rows=[row], machine=machine), kept)
    for _ in range(2):
        assert report.main([str(kept)]) == 0
        text = page.read_text()
        assert text.startswith(f"before\n{report.BEGIN}\n") and text.endswith(f"{report.END}\nafter\n")
        assert "old" not in text and text.count("| 40.0 s |") == 1
        assert "- two-80: stop, zip: 2 cameras" in text
    assert xml.parse(plot).getroot().tag.endswith("svg")
    drawn = plot.read_bytes()
    report.main([str(kept)])
    assert plot.read_bytes() == drawn, "the same figures make the same file"


def test_the_page_has_the_place_that_the_report_fills() -> None:
    text = report.PAGE.read_text()
    assert text.index(report.BEGIN) < text.index(report.END)
    assert all(f"`{scenario.name}`" in text for scenario in SCENARIOS), "a scenario that the page does not explain"


def test_what_processes_hold_is_found_in_either_version_of_control_groups() -> None:
    assert held("cache 9\ntotal_cache 9\ntotal_rss 5\ntotal_mapped_file 2\n") == (5, 2)
    assert held("anon 5\nfile 9\nfile_mapped 2\n") == (5, 2)


@pytest.mark.parametrize(
    "wrong", [["two-8"], ["--scale", "0"], ["--scale", "2"], ["--cameras", "2"], ["--minutes", "1"]]
)
def test_a_mistyped_wish_is_one_clear_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)
    assert wrong[-1] in capsys.readouterr().err.splitlines()[-1]


def test_the_list_says_how_long_each_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [scenario.name for scenario in SCENARIOS]
    assert all("about" in line and "min" in line for line in listed)

"""Frame costs and overhead make the charge, to the wei, whatever the machines, prices and frames."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import pytest
from folder_bench import accepted_files, batch_of, fetched, finals, made, opened, plan_line, take
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.batch.folder.cost import DividedCharge
from octa_provider.batch.folder.work import Spans
from octa_provider.rental.terms import Bill

CHARGES = st.integers(0, 10**24)
TIMES = st.floats(0, 1e6)
SECONDS = st.none() | st.just(0.0) | st.floats(1e-3, 1e5)
SPANS = st.builds(Spans, TIMES, TIMES, TIMES, TIMES)


def rows(root: Path) -> list[dict[str, str]]:
    with (root / "out" / "cost.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@given(charge=CHARGES, spans=SPANS, frames=st.lists(SECONDS, max_size=30), lost=st.lists(SECONDS, max_size=5))
def test_a_charge_is_divided_without_rest(
    charge: int, spans: Spans, frames: list[float | None], lost: list[float | None]
) -> None:
    divided = DividedCharge(charge, spans)
    for seconds in [*frames, *lost]:
        divided.count(seconds)
    costs = [divided.of(seconds) for seconds in frames]
    assert min([*costs, divided.overhead], default=0) >= 0
    assert sum(costs) + divided.overhead == charge
    told = sorted((seconds, cost) for seconds, cost in zip(frames, costs, strict=True) if seconds is not None)
    assert [cost for _, cost in told] == sorted(cost for _, cost in told)


MACHINE = st.tuples(st.none() | CHARGES, SPANS, st.integers(1, 10**21))
FRAME = st.tuples(st.integers(1, 8), st.integers(0, 2), SECONDS, st.booleans())


@settings(max_examples=40)
@given(machines=st.lists(MACHINE, min_size=3, max_size=3), frames=st.lists(FRAME, max_size=12))
def test_the_table_adds_up_to_what_each_machine_was_charged(
    machines: list[tuple[int | None, Spans, int]], frames: list[tuple[int, int, float | None, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        with opened(batch_of(root, "1-8")) as folder:
            for slot, (_, _, price) in enumerate(machines):
                folder.renting(slot, 100 + slot, f"key/m{slot}")
                folder.rented(slot, f"uuid-{slot}", 100 + slot, price, 0.4)
            for number, slot, seconds, is_whole in frames:
                if number in folder.accepted:
                    continue
                if is_whole:
                    take(folder, number, slot=slot, seconds=seconds)
                else:
                    folder.refuse(
                        number, fetched(folder, number, b"bad", slot=slot), "bad", made(slot, seconds=seconds)
                    )
            for slot, (charge, spans, _) in enumerate(machines):
                usd = None if charge is None else charge / 1e19
                folder.ended(slot, Bill(f"uuid-{slot}", charge, usd, 10.0, "done"), spans, "done")
            accepted = list(folder.accepted)
        # As a run does that finds everything done.
        with opened(batch_of(root, "1-8")) as folder:
            folder.write_results()
            known = [charge for charge, _, _ in machines]
            total = None if None in known else sum(filter(None, known))
            assert folder.cost_wei == total
        table = rows(root)
        for slot, (charge, _, _) in enumerate(machines):
            mine = [row["cost_wei"] for row in table if row["slot"] == str(slot)]
            assert mine
            assert all(cost == "" for cost in mine) if charge is None else sum(map(int, mine)) == charge
        assert [int(row["frame"]) for row in table if row["kind"] == "frame"] == accepted
        assert [row["slot"] for row in table if row["kind"] == "overhead"] == ["0", "1", "2"]
        lines = accepted_files(root)
        assert [line["frame"] for line in lines] == accepted
        costs = {row["frame"]: row["cost_wei"] for row in table if row["kind"] == "frame"}
        assert {str(line["frame"]): line["cost_wei"] or "" for line in lines} == costs
        manifest = json.loads((root / "out" / "manifest.json").read_text())
        assert manifest["cost_wei"] == (None if total is None else str(total))
        assert manifest["done"] == len(accepted)
        assert manifest["whole"] == (len(accepted) == 8)


def test_what_was_planned_stands_beside_what_it_cost(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-2")) as folder:
        folder.planned(plan_line())
        folder.renting(0, 100, "key/m0")
        folder.rented(0, "uuid-0", 100, 10**18, 0.4)
        take(folder, 1, seconds=1.0)
        take(folder, 2, seconds=3.0)
        folder.ended(0, Bill("uuid-0", 10**18, 0.4, 100.0, "done"), Spans(40, 10, 40, 10), "done")
        folder.write_results()
    table = rows(tmp_path)
    assert [(row["kind"], row["cost_wei"], row["planned_wei"]) for row in table] == [
        ("frame", "100000000000000000", str(10**18 // 32)),
        ("frame", "300000000000000000", str(10**18 // 32)),
        ("overhead", "600000000000000000", str(10**18 // 4)),
    ]
    assert [float(row["cost_usd"]) for row in table] == pytest.approx([0.04, 0.12, 0.24])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["planned"]["cost_p50_wei"] == str(10**18 + 1)
    assert manifest["planned"]["machines"][0] == {"node_id": 100, "frames": 8, "rent_s": 0.0}
    assert manifest["machines"][0]["transfer_s"] == 10
    assert manifest["machines"][0]["frames"] == 2


def test_a_bill_that_is_told_again_without_its_charge_takes_nothing_away(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        folder.renting(0, 100, "key/m0")
        folder.rented(0, "uuid-0", 100, 10**18, 0.4)
        folder.ended(0, Bill("uuid-0", 5, 0.1, 1.0, "x"), Spans(), "done")
        folder.ended(0, Bill("uuid-0", None, None, None, None), Spans(), "looked again")
        assert folder.cost_wei == 5


def test_a_frame_that_was_rendered_again_is_paid_by_the_machine_that_gave_it(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "1-2")
    for slot in (0, 1):
        with opened(batch) as folder:
            folder.renting(slot, 100 + slot, f"key/m{slot}")
            folder.rented(slot, f"uuid-{slot}", 100 + slot, 10**18, 0.4)
            take(folder, *(number for number in (1, 2) if number not in folder.accepted), slot=slot)
            folder.ended(slot, Bill(f"uuid-{slot}", 100, 0.1, 1.0, "x"), Spans(0, 0, 10, 0), "done")
            folder.write_results()
        if slot == 0:
            (tmp_path / "out" / "frame_0002.png").unlink()
    table = rows(tmp_path)
    assert [(row["kind"], row["frame"], row["slot"], row["cost_wei"]) for row in table] == [
        ("frame", "1", "0", "50"),
        ("frame", "2", "1", "100"),
        ("overhead", "", "0", "50"),
        ("overhead", "", "1", "0"),
    ]
    assert len(finals(tmp_path)) == 2


def test_a_budget_counts_what_is_known_where_the_charge_of_one_machine_is_not_told(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        for slot, charge in ((0, 5 * 10**18), (1, None)):
            folder.renting(slot, 100 + slot, f"key/m{slot}")
            folder.rented(slot, f"uuid-{slot}", 100 + slot, 10**18, 0.4)
            folder.ended(slot, Bill(f"uuid-{slot}", charge, None, None, None), Spans(600, 300, 600, 300), "done")
        assert folder.cost_wei is None
        assert folder.spent_wei == 5 * 10**18 + 10**18 // 2

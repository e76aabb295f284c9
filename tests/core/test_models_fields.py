"""Each quirky field, with the literal value that the API sends."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.wire import fields

UTC = timezone.utc
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
NOON_MS = 1714564800000


@pytest.mark.parametrize(
    ("sent", "wei"),
    [
        (31428028938060847852, 31428028938060847852),
        ("31428028938060847852", 31428028938060847852),
        (" 31428028938060847852 ", 31428028938060847852),
        ("-5", -5),
        (1e18, 10**18),
        ("1e18", 10**18),
        ("1.5E18", 15 * 10**17),
        (3.1428028938060845e19, 31428028938060845000),
        ("31428028938060847852.0", 31428028938060847852),
        (12.9, 12),
        (0, 0),
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_wei_is_exact_whatever_form_it_comes_in(sent: object, wei: int) -> None:
    assert fields.integer(sent) == wei
    assert type(fields.integer(sent)) is int


@pytest.mark.parametrize(
    "odd",
    [
        None,
        True,
        False,
        "",
        "abc",
        "1_000",
        "0x10",
        "1e999",
        "1e99999999",
        "٣",
        [],
        {},
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        -(10**400),
        1e300,
        "9" * 500,
    ],
)
def test_what_is_no_integer_is_none(odd: object) -> None:
    assert fields.integer(odd) is None


@pytest.mark.parametrize(("sent", "value"), [(1, 1.0), (0.62, 0.62), ("0.62", 0.62), (" .5 ", 0.5), ("1e3", 1000.0)])
def test_a_number_is_a_float_also_from_text(sent: object, value: float) -> None:
    assert fields.number(sent) == value
    assert type(fields.number(sent)) is float


@pytest.mark.parametrize(
    "odd", [None, True, "", "x", "nan", "inf", "1e999", math.nan, math.inf, 10**400, [1], {"a": 1}]
)
def test_what_is_no_number_is_none(odd: object) -> None:
    assert fields.number(odd) is None


def test_a_price_below_zero_is_no_price() -> None:
    assert fields.amount(-0.1) is None
    assert fields.amount("-1") is None
    assert fields.amount(math.inf) is None
    assert fields.amount(0) == 0.0


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        ("true", True),
        ("FALSE", False),
        (" yes ", True),
        ("0", False),
        ("perhaps", None),
        (2, None),
        (None, None),
        ([], None),
    ],
)
def test_a_flag_is_read_from_bools_numbers_and_words(sent: object, value: bool | None) -> None:
    assert fields.flag(sent) is value


@pytest.mark.parametrize(("sent", "value"), [("Berlin", "Berlin"), ("", None), (" ", None), (5, None), (None, None)])
def test_blank_text_is_missing_text(sent: object, value: str | None) -> None:
    assert fields.text(sent) == value


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (3, "3"),
        (3.0, "3"),
        (3.5, "3.5"),
        ("expired", "expired"),
        (0, "0"),
        ("", None),
        (True, None),
        ([], None),
        (31428028938060847852, "31428028938060847852"),
    ],
)
def test_a_label_is_text_or_a_number_as_text(sent: object, value: str | None) -> None:
    assert fields.label(sent) == value


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ([5000, 6000], [5000, 6000]),
        ("[5000,6000]", [5000, 6000]),
        ('["5000", "6000"]', [5000, 6000]),
        ("[]", []),
        ("", []),
        (None, []),
        ("{", []),
        ("5000", []),
        ([22, 0, -1, 65535, 65536, True, "x", None, [1]], [22, 65535]),
    ],
)
def test_ports_come_as_arrays_or_as_json_strings(sent: object, value: list[int]) -> None:
    assert fields.ports(sent) == value


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"22": 10022}, {22: 10022}),
        ('{"22": 10022}', {22: 10022}),
        ({"22": "10022"}, {22: 10022}),
        ({"22": 10022, "ssh": 1, "80": None, "81": 99999999}, {22: 10022}),
        ([], {}),
        ("[]", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_ports_matrix_is_an_object_or_a_json_string(sent: object, value: dict[int, int]) -> None:
    assert fields.port_map(sent) == value


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"8080": "https://a.example"}, {8080: "https://a.example"}),
        ('{"8080": "https://a.example"}', {8080: "https://a.example"}),
        ({"8080": None, "81": 5}, {}),
        ({"jupyter": "https://a.example", "81": "https://b"}, {"jupyter": "https://a.example", 81: "https://b"}),
        ({"0": "https://a.example", " ": "https://b"}, {"0": "https://a.example"}),
        ('{"jupyter": "https://a.example"}', {"jupyter": "https://a.example"}),
    ],
)
def test_urls_is_an_object_of_ports_or_names_or_its_json_string(sent: object, value: dict[int | str, str]) -> None:
    assert fields.url_map(sent) == value


def test_environment_values_may_be_null_or_numbers() -> None:
    sent = {"A": "x", "B": None, "C": 5, "D": 1.5, "E": True, "F": {"g": [1]}}
    assert fields.string_map(sent) == {"A": "x", "B": "", "C": "5", "D": "1.5", "E": "true", "F": '{"g": [1]}'}
    assert fields.string_map('{"A": 1}') == {"A": "1"}
    assert fields.string_map([]) == {}


def test_an_environment_value_nested_beyond_reading_is_empty() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert fields.string_map({"A": nested, "B": "b"}) == {"A": "", "B": "b"}


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (940.5, 940.5),
        (100_000, 100_000.0),
        (117_500_000, 940.0),
        ("117500000", 940.0),
        (-1, None),
        ("fast", None),
        (None, None),
    ],
)
def test_bandwidth_above_100000_came_in_bytes_per_second(sent: object, value: float | None) -> None:
    assert fields.bandwidth_mbps(sent) == value


@pytest.mark.parametrize(
    ("sent", "wei"),
    [
        (0.5, 5 * 10**17),
        ("31.428028938060847852", 31428028938060847852),
        ("123456789012345.123456789012345678", 123456789012345123456789012345678),
        (2, 2 * 10**18),
        ("1e999", None),
        (10**400, None),
        (True, None),
        (None, None),
    ],
)
def test_ether_becomes_exact_wei(sent: object, wei: int | None) -> None:
    assert fields.ether_as_wei(sent) == wei


def test_base_usd_counts_ten_thousandths_of_a_dollar() -> None:
    assert fields.usd_from_ten_thousandths(6200) == 0.62
    assert fields.usd_from_ten_thousandths("6200") == 0.62
    assert fields.usd_from_ten_thousandths(None) is None


@pytest.mark.parametrize(
    "sent",
    [
        NOON_MS,
        float(NOON_MS),
        str(NOON_MS),
        "2024-05-01T12:00:00Z",
        "2024-05-01T12:00:00z",
        "2024-05-01T12:00:00",
        "2024-05-01 12:00:00",
        "2024-05-01T12:00Z",
        "2024-05-01T12:00:00.0Z",
        "2024-05-01T12:00:00.000000000Z",
        "2024-05-01T14:00:00+02:00",
        "2024-05-01T14:00:00+0200",
        "2024-05-01 14:00:00+02",
        "2024-05-01T07:30:00,000-04:30",
        " 2024-05-01T12:00:00Z ",
    ],
)
def test_times_are_milliseconds_or_iso_8601_text(sent: object) -> None:
    assert fields.moment(sent) == NOON
    assert fields.moment(sent).tzinfo is UTC  # type: ignore[union-attr]


def test_milliseconds_and_fractions_are_kept() -> None:
    assert fields.moment(NOON_MS + 250) == NOON + timedelta(milliseconds=250)
    assert fields.moment("2024-05-01T12:00:00.25Z") == NOON + timedelta(milliseconds=250)
    assert fields.moment("2024-05-01") == NOON - timedelta(hours=12)


@pytest.mark.parametrize("sent", [NOON_MS // 1000, NOON_MS / 1000, str(NOON_MS // 1000), f"{NOON_MS // 1000}.0"])
def test_a_time_in_seconds_is_told_from_one_in_milliseconds_by_its_size(sent: object) -> None:
    assert fields.moment(sent) == NOON


def test_ten_billion_is_the_first_number_of_milliseconds() -> None:
    assert fields.moment(9_999_999_999) == datetime(2286, 11, 20, 17, 46, 39, tzinfo=UTC)
    assert fields.moment(10_000_000_000) == datetime(1970, 4, 26, 17, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        0,
        "0",
        -1,
        True,
        "",
        "soon",
        10**18,
        1e300,
        math.nan,
        "2024-13-01T00:00:00Z",
        "2024-05-01T25:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2024-05-01T12:00:00+99:00",
        [],
        {},
    ],
)
def test_a_time_that_is_none_or_out_of_range_is_none(odd: object) -> None:
    assert fields.moment(odd) is None


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("abc", ("abc",)),
        (["a", "b"], ("a", "b")),
        ('["a"]', ("a",)),
        (["a", 1, None, ""], ("a",)),
        ("", ()),
        (None, ()),
        ({}, ()),
        (5, ()),
        ("[", ()),
    ],
)
def test_container_ids_are_a_string_or_an_array(sent: object, value: tuple[str, ...]) -> None:
    assert fields.strings(sent) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("name", fields.__all__)
@given(value=JSON | st.from_regex(r"[-+ ]?[0-9TZ:.eE,\[\]{}\" +-]{0,40}", fullmatch=True))
def test_no_decoder_ever_raises(name: str, value: object) -> None:
    getattr(fields, name)(value)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_iso_text_gives_back_the_moment(at: datetime) -> None:
    assert fields.moment(at.isoformat()) == at


@given(st.integers(min_value=-(2**255), max_value=2**255))
def test_wei_of_any_size_goes_through_text_unchanged(wei: int) -> None:
    assert fields.integer(wei) == fields.integer(str(wei)) == fields.integer(f"{wei}.0") == wei

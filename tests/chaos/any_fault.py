"""Any fault at any request, for the models of rentals and jobs."""

from __future__ import annotations

from hypothesis import strategies as st

#: How many seconds of the client's waiting pass in a real one.
SPEED = 200.0
TIMEOUT_S = 0.1
#: Of a client that meets no faults: a busy computer answers nobody in so short a time.
PATIENT_S = 300.0
#: Real seconds; the settle time of 20 s takes 0.1 s here.
LATE_S = 0.03

PATHS = (
    "*",
    "/sessions",
    "/services/mr",
    "/services/render",
    "/accounts/balance",
    "/services/*/info",
    "/services/*/logs",
    "/services/*/stop",
)
#: After one of these two sessions of a key can run at once: a list that lacks one is believed.
BLINDING = {"missing_entry", "late_listing", "no_user_envs"}

#: Hours by which somebody sets the wall clock.
hours = st.sampled_from((-26.0, -1.0, 0.5, 2.0, 26.0))

anywhere = {"method": st.sampled_from(("*", "GET", "POST")), "path": st.sampled_from(PATHS), "times": st.integers(1, 3)}
faults = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(("drop_before", "drop_after")), "reset": st.booleans(), **anywhere}),
    st.fixed_dictionaries(
        {
            "kind": st.just("status"),
            "status": st.sampled_from((200, 404, 408, 422, 429, 500, 502, 503)),
            "effect": st.booleans(),
            **anywhere,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("garbage"),
            "body": st.sampled_from(("", "[", "null", "[]", "{}", '"ok"', "<html>")),
            **anywhere,
        }
    ),
    st.fixed_dictionaries({"kind": st.just("truncate"), **anywhere}),
    st.fixed_dictionaries({"kind": st.just("delay"), "seconds": st.just(0.12), "after_effect": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("refuse"), "times": st.integers(1, 3)}),
    st.fixed_dictionaries(
        {"kind": st.just("late_commit"), "seconds": st.just(LATE_S), "answer": st.sampled_from((500, "drop", "hang"))}
    ),
    st.fixed_dictionaries({"kind": st.just("late_listing"), "seconds": st.just(LATE_S)}),
    st.fixed_dictionaries({"kind": st.just("never_ready")}),
    st.fixed_dictionaries({"kind": st.just("no_user_envs"), "times": st.integers(1, 3)}),
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(("missing_entry", "duplicate_entry")),
            "times": st.integers(1, 2),
            "all": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("raise_price"), "factor": st.just(3), "times": st.just(1)}),
)

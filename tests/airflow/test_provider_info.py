"""What Airflow learns about the provider, through its own providers manager."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import sys
import warnings
from collections.abc import Mapping
from importlib import resources
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers_manager import ProvidersManager

import airflow_provider
from airflow_provider.connection_form import CONN_FIELDS
from airflow_provider.get_provider_info import get_provider_info
from airflow_provider.hooks.octa import OctaHook

FIELD_KINDS = ("BooleanField", "IntegerField", "PasswordField", "StringField")


def test_airflow_finds_the_provider() -> None:
    provider = ProvidersManager().providers["octa-provider"]
    assert provider.data["name"] == "OctaSpace"


def test_airflow_finds_the_hook() -> None:
    hook = hooks(ProvidersManager())["octa"]
    assert hook is not None
    assert hook.hook_name == "OctaSpace"
    assert hook.connection_id_attribute_name == "octa_conn_id"
    assert hook.hook_class_name == "airflow_provider.hooks.octa.OctaHook"


def test_the_form_has_our_fields() -> None:
    manager = ProvidersManager()
    assert hooks(manager)["octa"] is not None
    found = {name: widget for name, widget in manager.connection_form_widgets.items() if "__octa__" in name}
    assert set(found) == {f"extra__octa__{name}" for name in CONN_FIELDS}
    assert found["extra__octa__ssh_private_key"].is_sensitive
    assert not found["extra__octa__timeout"].is_sensitive


def test_the_form_names_its_fields() -> None:
    manager = ProvidersManager()
    assert hooks(manager)["octa"] is not None
    behaviour = manager.field_behaviours["octa"]
    assert behaviour["hidden_fields"] == ["login", "schema", "port"]
    assert behaviour["relabeling"] == {"host": "Base URL", "password": "API key"}
    assert behaviour["placeholders"]["extra__octa__timeout"] == "30"


def test_the_info_is_valid() -> None:
    import jsonschema

    schema = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_info_lists_every_module() -> None:
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors"):
        package = importlib.import_module(f"airflow_provider.{kind}")
        modules = {f"airflow_provider.{kind}.{module.name}" for module in pkgutil.iter_modules(package.__path__)}
        assert {name for entry in info[kind] for name in entry["python-modules"]} == modules


def test_every_module_names_what_is_public() -> None:
    for module in pkgutil.walk_packages(airflow_provider.__path__, "airflow_provider."):
        if not module.ispkg:
            imported = importlib.import_module(module.name)
            assert all(hasattr(imported, name) for name in imported.__all__), module.name


def test_the_hook_draws_the_form_for_older_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_flask_forms():
        # Airflow 3.2 and newer come without them, and never ask.
        widgets = {"BS3PasswordFieldWidget": object, "BS3TextFieldWidget": object}
        monkeypatch.setitem(sys.modules, "flask_appbuilder", ModuleType("flask_appbuilder"))
        monkeypatch.setitem(sys.modules, "flask_appbuilder.fieldwidgets", SimpleNamespace(**widgets))
        monkeypatch.setitem(sys.modules, "wtforms", SimpleNamespace(**dict.fromkeys(FIELD_KINDS, dict)))
        monkeypatch.setitem(sys.modules, "wtforms.validators", SimpleNamespace(Optional=object))
        monkeypatch.setitem(sys.modules, "flask_babel", SimpleNamespace(lazy_gettext=lambda text: {"label": text}))
    assert set(OctaHook.get_connection_form_widgets()) == set(CONN_FIELDS)
    assert OctaHook.get_ui_field_behaviour()["relabeling"]["password"] == "API key"


def hooks(manager: ProvidersManager) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        # Airflow 3.3 would rather have this asked elsewhere; older ones have it only here.
        warnings.simplefilter("ignore")
        return manager.hooks


def has_flask_forms() -> bool:
    return importlib.util.find_spec("flask_appbuilder") is not None

"""The command line, and the child process behind the fixture."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tenancy import Tenant, eventually

from octa_provider.emulator import command
from octa_provider.emulator.container.process import SESSION_MARK, STATE_MARK, marked_pids
from octa_provider.emulator.settings import EmulatorSettings, is_loopback
from octa_provider.emulator.testing import EmulatorHandle, command_line, octa_emulator, start_emulator
from octa_provider.errors import OctaConfigError

__all__ = ["octa_emulator"]

RUN = [sys.executable, "-m", "octa_provider.emulator", "--port=0", "--start-delay=0.01"]


def launch(*arguments, **options):
    child = subprocess.Popen([*RUN, *arguments], stdout=subprocess.PIPE, text=True, **options)
    return child, json.loads(child.stdout.readline())


def finish(child):
    with child:
        return child.wait(600)


def test_it_prints_one_line_and_ends_well_on_a_signal(tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        child, said = launch(f"--state={tmp_path}")
        assert set(said) == {"base_url", "api_key", "ssh_private_key", "pid"}
        assert said["pid"] == child.pid
        assert Path(said["ssh_private_key"]).stat().st_mode & 0o777 == 0o600
        with EmulatorHandle(said, tmp_path) as handle:
            uuid = Tenant(handle).ready("sleep 1000")
        assert marked_pids(SESSION_MARK, uuid)
        child.send_signal(number)
        rest = child.stdout.read()
        assert finish(child) == 0
        assert rest == ""
        assert marked_pids(SESSION_MARK, uuid) == []


def test_it_ends_when_its_input_closes(tmp_path):
    child, _ = launch(f"--state={tmp_path}", "--until-stdin-closes", stdin=subprocess.PIPE)
    child.stdin.write("ignored\n")
    child.stdin.flush()
    time.sleep(0.05)
    assert child.poll() is None
    child.stdin.close()
    assert finish(child) == 0


def test_it_ends_with_the_process_it_was_given(tmp_path):
    with subprocess.Popen(["sleep", "1000"]) as parent:
        child, _ = launch(f"--state={tmp_path}", f"--parent={parent.pid}")
        parent.kill()
        assert finish(child) == 0


def test_a_killed_emulator_is_replaced_by_one_that_adopts(tmp_path):
    child, said = launch(f"--state={tmp_path}")
    with EmulatorHandle(said, tmp_path) as handle:
        uuid = Tenant(handle).ready("sleep 1000")
    child.kill()
    finish(child)
    assert marked_pids(SESSION_MARK, uuid)
    child, said = launch(f"--state={tmp_path}")
    with EmulatorHandle(said, tmp_path) as handle:
        assert Tenant(handle).listed() == [uuid]
    child.terminate()
    assert finish(child) == 0
    assert marked_pids(STATE_MARK, str(tmp_path)) == []


def test_the_fixture_is_ready_for_a_users_test(octa_emulator):
    tenant = Tenant(octa_emulator)
    uuid = tenant.ready("echo hi")
    assert octa_emulator.env() == {"OCTA_API_KEY": octa_emulator.api_key, "OCTA_BASE_URL": octa_emulator.base_url}
    assert octa_emulator.api_key not in repr(octa_emulator)
    assert octa_emulator.ledger()["running_uuids"] == [uuid]


def test_nothing_is_left_when_the_emulator_was_killed_inside_the_block():
    with start_emulator() as emulator:
        uuid = Tenant(emulator).ready("sleep 1000")
        os.kill(emulator.pid, signal.SIGKILL)
        assert marked_pids(SESSION_MARK, uuid)
    assert marked_pids(SESSION_MARK, uuid) == []
    assert not emulator.state.exists()


def test_options_travel_to_the_child():
    options = {
        "machines": 4,
        "quirks": False,
        "balance_octa": 2.5,
        "api_key": "my key",
        "room": 3,
        "faults": ({"kind": "status", "status": 418, "path": "/network"},),
        "allow_any_host": True,
    }
    with start_emulator(**options) as emulator:
        tenant = Tenant(emulator)
        assert emulator.api_key == "my key"
        # The key runs commands, and everybody on this computer can read a command line.
        assert b"my key" not in Path(f"/proc/{emulator.pid}/cmdline").read_bytes()
        assert len(tenant.get("/services/mr")) == 4
        assert emulator.ledger()["balance_wei"] == 25 * 10**17
        assert tenant.call("GET", "/network").status_code == 418


def test_a_child_that_cannot_start_is_told_at_once(capfd):
    with pytest.raises(RuntimeError, match="exit status 2"), start_emulator(blender_python="/no/python"):
        pass
    assert "/no/python is not an interpreter" in capfd.readouterr().err


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_defaults_are_those_of_the_settings():
    arguments = parsed()
    assert arguments.port == 8787
    settings = EmulatorSettings(state=Path("x"))
    same = parsed(*command_line(settings)[3:])
    assert command.settings_of(same, Path("x")) == settings


@pytest.mark.parametrize("bad", ["--balance=much", "--balance=NaN", "--fault={", "--fault=[]"])
def test_options_that_make_no_sense_are_refused(bad, capsys):
    with pytest.raises(SystemExit):
        parsed(bad)
    assert "argument" in capsys.readouterr().err


def test_it_only_listens_to_this_machine(capsys):
    assert command.main(["--host=0.0.0.0"]) == 2
    assert "--i-know-this-runs-commands" in capsys.readouterr().err
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert is_loopback("127.1.2.3")
    assert not is_loopback("example.com")


@pytest.mark.parametrize(
    "change",
    [{"machines": 0}, {"speed": -1}, {"balance_wei": -5}, {"api_key": "ключ"}, {"log_limit_bytes": 0}],
)
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(OctaConfigError):
        EmulatorSettings(state=Path("x"), **change)


def test_other_loopback_addresses_work_too(hire):
    tenant = hire(host="::1")
    assert tenant.emulator.base_url.startswith("http://[::1]:")
    assert tenant.info(tenant.ready())["ssh_direct"]["host"] == "127.0.0.1"


def test_a_port_that_is_taken_is_said(hire, capsys):
    taken = hire().emulator.base_url.rpartition(":")[2]
    assert command.main([f"--port={taken}"]) == 2
    assert "address already in use" in capsys.readouterr().err


def test_the_command_serves_in_this_process_too(capsys, tmp_path):
    box = []

    def visit():
        eventually(lambda: box.append(capsys.readouterr().out) or "".join(box).strip())
        with EmulatorHandle(json.loads("".join(box)), tmp_path) as handle:
            box.append(Tenant(handle).get("/network"))
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    assert command.main(["--port=0", f"--parent={os.getppid()}"]) == 0
    visitor.join()
    assert box[-1]["nodes"]["count"] == 12


def test_it_ends_in_this_process_when_its_input_closes(monkeypatch, capsys):
    reading, writing = os.pipe()
    os.write(writing, b"x")
    with open(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        threading.Timer(0.2, os.close, (writing,)).start()
        assert command.main(["--port=0", "--until-stdin-closes"]) == 0
    assert json.loads(capsys.readouterr().out)["base_url"]


def test_it_ends_in_this_process_with_its_parent(capsys):
    with subprocess.Popen(["sleep", "0.2"]) as parent:
        assert command.main(["--port=0", f"--parent={parent.pid}"]) == 0

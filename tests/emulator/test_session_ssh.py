"""A session over SSH, as any SSH client sees it."""

import asyncio
import contextlib

import asyncssh
import pytest
from tenancy import eventually

from octa_provider.emulator.container.process import SESSION_MARK, marked_pids


@contextlib.asynccontextmanager
async def connected(tenant, uuid, endpoint="ssh_direct", **options):
    where = tenant.info(uuid)[endpoint]
    defaults = {"username": "root", "client_keys": [str(tenant.emulator.ssh_private_key)], "known_hosts": None}
    async with asyncssh.connect(where["host"], where["port"], config=None, **(defaults | options)) as connection:
        yield connection


def over_ssh(tenant, uuid, work, **options):
    async def main():
        async with connected(tenant, uuid, **options) as connection:
            return await work(connection)

    return asyncio.run(main())


@pytest.fixture
def session(tenant):
    return tenant.ready(envs={"SCENE": "cube"}, ports=[22])


@pytest.mark.parametrize("endpoint", ["ssh_direct", "ssh_proxy"])
def test_a_command_runs_in_the_session_with_its_environment(tenant, session, endpoint):
    result = over_ssh(tenant, session, lambda c: c.run("echo $SCENE; pwd; echo bad >&2; exit 3"), endpoint=endpoint)
    assert result.exit_status == 3
    assert result.stdout == f"cube\n{tenant.emulator.state / 'sessions' / session}\n"
    assert result.stderr == "bad\n"


def test_streams_carry_any_bytes_both_ways(tenant, session):
    data = bytes(range(256)) * 4000
    result = over_ssh(tenant, session, lambda c: c.run("cat", input=data, encoding=None))
    assert result.stdout == data


def test_a_command_that_reads_nothing_still_ends(tenant, session):
    result = over_ssh(tenant, session, lambda c: c.run("exec 0<&-; echo fine", input=b"x" * 10**6, encoding=None))
    assert result.stdout == b"fine\n"


def test_a_signal_is_told_apart_from_an_exit_code(tenant, session):
    result = over_ssh(tenant, session, lambda c: c.run("kill -KILL $$"))
    assert result.exit_signal[0] == "KILL"


def test_without_a_command_a_shell_reads_its_input(tenant, session):
    result = over_ssh(tenant, session, lambda c: c.run(input="echo one\nexit 5\n"))
    assert (result.stdout, result.exit_status) == ("one\n", 5)


def test_only_root_with_the_accounts_key_gets_in(tenant, session):
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for options in ({"client_keys": [stranger]}, {"username": "ubuntu"}, {"client_keys": None, "password": "root"}):
        with pytest.raises(asyncssh.PermissionDenied):
            over_ssh(tenant, session, lambda c: c.run("true"), **options)


def test_each_session_has_a_port_and_a_host_key_of_its_own(tenant, session):
    other = tenant.ready()

    async def host_key(connection):
        return connection.get_server_host_key().export_public_key()

    keys = {over_ssh(tenant, uuid, host_key) for uuid in (session, other)}
    ports = {tenant.info(uuid)["ports_matrix"]["22"] for uuid in (session, other)}
    assert len(keys) == len(ports) == 2


def test_a_detached_command_survives_the_connection_but_not_the_session(tenant, session):
    command = "nohup sh -c 'sleep 0.2; echo survived > note; sleep 1000' >/dev/null 2>&1 </dev/null & echo $!"
    over_ssh(tenant, session, lambda c: c.run(command))
    note = tenant.emulator.state / "sessions" / session / "note"
    eventually(lambda: note.exists() and note.read_text() == "survived\n")
    assert marked_pids(SESSION_MARK, session)
    tenant.stop(session)
    assert marked_pids(SESSION_MARK, session) == []


def test_a_lost_connection_breaks_the_pipe_of_a_command_that_was_not_detached(tenant, session):
    async def leave(connection):
        process = await connection.create_process("while sleep 0.02; do echo tick; done")
        await process.stdout.readline()
        connection.abort()

    with contextlib.suppress(asyncssh.Error):
        over_ssh(tenant, session, leave)
    eventually(lambda: not marked_pids(SESSION_MARK, session))


def test_stopping_the_session_cuts_the_connection(tenant, session):
    async def stay(connection):
        process = await connection.create_process("echo up; sleep 1000")
        await process.stdout.readline()
        await asyncio.to_thread(tenant.stop, session)
        await asyncio.wait_for(connection.wait_closed(), 600)

    over_ssh(tenant, session, stay)
    assert marked_pids(SESSION_MARK, session) == []


def test_an_image_without_a_shell_says_so(tenant):
    uuid = tenant.ready(image="scratch")
    result = over_ssh(tenant, uuid, lambda c: c.run("echo hi"))
    assert result.exit_status == 127
    assert 'exec: "/bin/sh"' in result.stderr


def test_a_command_that_cannot_be_started_says_why(tenant, session):
    result = over_ssh(tenant, session, lambda c: c.run("echo " + "x" * 200_000))
    assert result.exit_status == 126
    assert "too long" in result.stderr


def test_files_go_up_and_down_whole(tenant, session, tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "scene.blend").write_bytes(data)

    async def there_and_back(connection):
        async with connection.start_sftp_client() as sftp:
            await sftp.makedirs("in/deep")
            await sftp.put(str(tmp_path / "scene.blend"), "in/deep/scene.blend")
            size = (await connection.run("stat -c %s in/deep/scene.blend")).stdout
            await sftp.get("in", str(tmp_path / "back"), recurse=True)
            await sftp.chmod("in/deep/scene.blend", 0o600)
            await sftp.rename("in/deep/scene.blend", "moved")
            return size, sorted(await sftp.listdir("."))

    size, names = over_ssh(tenant, session, there_and_back)
    assert int(size) == len(data)
    assert (tmp_path / "back" / "deep" / "scene.blend").read_bytes() == data
    assert {"in", "moved"} <= set(names)


def test_scp_works_as_well(tenant, session, tmp_path):
    (tmp_path / "a.txt").write_text("hello")

    async def copy(connection):
        await asyncssh.scp(str(tmp_path / "a.txt"), (connection, "b.txt"))
        return (await connection.run("cat b.txt")).stdout

    assert over_ssh(tenant, session, copy) == "hello"


def test_commands_and_sftp_mean_the_same_file_by_the_same_path(tenant, session):
    async def compare(connection):
        async with connection.start_sftp_client() as sftp:
            await connection.run("echo x > here")
            folder = (await connection.run("pwd")).stdout.strip()
            return folder, await sftp.realpath("."), await sftp.exists(folder + "/here")

    folder, real, exists = over_ssh(tenant, session, compare)
    assert folder == real
    assert exists


@pytest.mark.parametrize("path", ["/etc/passwd", "../../id_ed25519", "link", "linked-folder/id_ed25519"])
def test_nothing_outside_of_the_folder_can_be_read_or_written(tenant, session, path):
    async def try_it(connection):
        await connection.run("ln -s /etc/passwd link; ln -s ../.. linked-folder")
        async with connection.start_sftp_client() as sftp:
            for mode in ("rb", "wb"):
                with pytest.raises(asyncssh.SFTPPermissionDenied):
                    await sftp.open(path, mode)
            for verb in (sftp.stat, sftp.listdir, sftp.realpath):
                with pytest.raises(asyncssh.SFTPPermissionDenied):
                    await verb(path)
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await sftp.chmod(path, 0o777)

    over_ssh(tenant, session, try_it)


def test_a_link_that_leads_out_can_be_seen_and_removed_but_not_followed(tenant, session):
    async def look(connection):
        async with connection.start_sftp_client() as sftp:
            await sftp.symlink("/etc/passwd", "out")
            target, kind = await sftp.readlink("out"), (await sftp.lstat("out")).type
            await sftp.remove("out")
            return target, kind, await sftp.listdir(".")

    target, kind, names = over_ssh(tenant, session, look)
    assert target == "/etc/passwd"
    assert kind == asyncssh.FILEXFER_TYPE_SYMLINK
    assert "out" not in names


def test_the_newer_sftp_protocol_is_confined_too(tenant, session):
    async def look(connection):
        async with connection.start_sftp_client(sftp_version=6) as sftp:
            async with sftp.open("mine", "wb") as file:
                await file.write(b"1")
            with pytest.raises(asyncssh.SFTPError):
                await sftp.open("/etc/passwd", "rb")

    over_ssh(tenant, session, look)

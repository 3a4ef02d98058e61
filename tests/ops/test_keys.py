"""Where keys are found, what refuses them, and that they show nowhere."""

import copy
import json
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.errors import KeysError
from passivbot.ops import environment, vault
from passivbot.ops.importing import import_file, remove_account
from passivbot.ops.keys import Keys, accounts, resolve
from passivbot.ops.redact import MASK, redacted, register
from passivbot.ops.vault import Vault, default_vault
from tests.ops.conftest import BYBIT, KEY, PASSPHRASE, SECRET

Writer = Callable[..., Path]
REAL_COST = dict(vault._COST)


def set_environment(monkeypatch: pytest.MonkeyPatch, account: str, **fields: str) -> None:
    for field, value in fields.items():
        monkeypatch.setenv(f"PASSIVBOT_ACCOUNT_{account}_{field.upper()}", value)


# ---- the three places


def test_environment_then_keyring_then_file(
    monkeypatch: pytest.MonkeyPatch, ring_file: Path, passphrase: str, key_file: Writer
) -> None:
    import_file(key_file({"a_1": {**BYBIT, "secret": "from-the-file-1"}}), to="file")
    assert resolve("a_1").credentials()["secret"] == "from-the-file-1"
    import_file(key_file({"a_1": {**BYBIT, "secret": "from-the-ring-1"}}), to="keyring")
    assert resolve("a_1").credentials()["secret"] == "from-the-ring-1"
    set_environment(
        monkeypatch, "A_1", exchange="okx", key=KEY, secret="from-the-env-1", passphrase="pp-pp-pp"
    )
    found = resolve("a_1")
    assert found.credentials() == {"apiKey": KEY, "secret": "from-the-env-1", "password": "pp-pp-pp"}
    assert (found.exchange, found.origin) == ("okx", "environment")
    assert [(a.account, a.exchange, a.origin) for a in accounts()] == [("a_1", "okx", "environment")]


def test_an_account_name_with_dashes_has_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, "MY_BOT_2", exchange="bybit", key=KEY, secret=SECRET)
    assert resolve("my-bot.2").credentials()["apiKey"] == KEY


def test_hyperliquid_needs_other_fields_and_keeps_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, "HL", exchange="hyperliquid", wallet_address="0xabc", is_vault="true")
    with pytest.raises(
        KeysError, match=r"HL\.private_key is missing; hyperliquid needs wallet_address, private_key"
    ):
        resolve("HL")
    set_environment(monkeypatch, "HL", private_key="0x" + "1" * 64)
    found = resolve("HL")
    assert found.credentials() == {"walletAddress": "0xabc", "privateKey": "0x" + "1" * 64}
    assert found.settings == {"is_vault": True}


def test_no_keys_name_all_places_and_the_nearest(ring_file: Path, key_file: Writer) -> None:
    import_file(key_file(), to="keyring")
    with pytest.raises(KeysError) as caught:
        resolve("bybit_02")
    text = str(caught.value)
    assert "PASSIVBOT_ACCOUNT_BYBIT_02_KEY" in text
    assert "keys.enc" in text
    assert "(nearest: bybit_01)" in text
    with pytest.raises(KeysError, match=r"ACCOUNT is '\.\./x'"):
        resolve("../x")


def test_a_machine_without_keyring_uses_the_file(passphrase: str, key_file: Writer) -> None:
    imported = import_file(key_file())
    assert imported.store == str(default_vault().path)
    assert resolve("bybit_01").origin == imported.store
    with pytest.raises(KeysError, match="this machine has none; import with --to file"):
        import_file(key_file(), to="keyring")


def test_a_locked_keyring_is_passed_over_and_said(ring_file: Path, passphrase: str, key_file: Writer) -> None:
    import_file(key_file(), to="keyring")
    ring_file.with_suffix(".locked").touch()
    with pytest.raises(
        KeysError, match=r"no keys of the account bybit_01.*; keyring: can't be read .*locked"
    ):
        resolve("bybit_01")
    with pytest.raises(KeysError, match=r"^keyring: can't be read .*locked"):
        import_file(key_file(), to="keyring")
    import_file(key_file(), to="file")
    assert resolve("bybit_01").origin == str(default_vault().path)


# ---- the encrypted file


def test_the_file_is_private_and_shows_nothing(
    passphrase: str, key_file: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "_COST", REAL_COST)
    import_file(key_file(), to="file")
    path = default_vault().path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert SECRET not in content
    assert KEY not in content
    assert "bybit_01" not in content
    before = content
    import_file(key_file({"b": BYBIT}), to="file")
    assert json.loads(before)["scrypt"]["n"] >= 2**17
    assert json.loads(path.read_text())["scrypt"]["salt"] != json.loads(before)["scrypt"]["salt"]
    assert sorted(default_vault().entries()) == ["b", "bybit_01"]
    assert [p.name for p in path.parent.glob(".*.part")] == []


def test_a_wrong_passphrase_or_a_changed_file_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, passphrase: str, key_file: Writer
) -> None:
    import_file(key_file(), to="file")
    path = default_vault().path
    monkeypatch.setenv("PASSIVBOT_KEYS_PASSPHRASE", "another one")
    with pytest.raises(KeysError, match="the passphrase is wrong, or the file was changed"):
        resolve("bybit_01")
    monkeypatch.setenv("PASSIVBOT_KEYS_PASSPHRASE", passphrase)
    document = json.loads(path.read_text())
    token = document["token"]
    document["token"] = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    path.write_text(json.dumps(document))
    with pytest.raises(KeysError, match="the passphrase is wrong, or the file was changed"):
        resolve("bybit_01")
    path.write_text("{}")
    with pytest.raises(KeysError, match="no file of encrypted keys, or damaged"):
        resolve("bybit_01")
    document["scrypt"]["n"] = 2**30
    path.write_text(json.dumps(document))
    with pytest.raises(KeysError, match="more work than this program ever wrote"):
        resolve("bybit_01")


@pytest.mark.parametrize("way", ["file", "credential"])
def test_a_passphrase_from_a_file(
    way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key_file: Writer
) -> None:
    if way == "file":
        path = tmp_path / "passphrase"
        monkeypatch.setenv("PASSIVBOT_KEYS_PASSPHRASE_FILE", str(path))
    else:
        path = tmp_path / "passivbot-passphrase"
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    import_file(key_file(), to="file")
    assert Vault(default_vault().path, lambda _path, _new: PASSPHRASE).find("bybit_01") == BYBIT
    if way == "file":
        path.chmod(0o640)
        with pytest.raises(KeysError, match=r"others can read it \(mode 0640\)"):
            resolve("bybit_01")


def test_without_a_passphrase_the_message_says_how(key_file: Writer) -> None:
    with pytest.raises(KeysError, match="needs a passphrase: set PASSIVBOT_KEYS_PASSPHRASE_FILE"):
        import_file(key_file(), to="file")


# ---- import


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_file_that_others_can_read_is_refused(mode: int, ring_file: Path, key_file: Writer) -> None:
    path = key_file(mode=mode)
    with pytest.raises(KeysError, match=rf"others can read it \(mode {mode:04o}\); .*chmod 600 "):
        import_file(path)
    assert not ring_file.exists()


def test_import_is_all_or_nothing(ring_file: Path, key_file: Writer) -> None:
    path = key_file({"good": BYBIT, "bad": {"exchange": "okx", "key": KEY, "secret": SECRET}})
    with pytest.raises(KeysError, match=r"bad\.passphrase is missing; okx needs key, secret, passphrase"):
        import_file(path)
    assert not ring_file.exists()
    with pytest.raises(KeysError, match="there is no such file"):
        import_file(path.with_name("none.json"))


def test_what_is_no_account_is_left_out_with_a_note(ring_file: Path, key_file: Writer) -> None:
    imported = import_file(key_file({"referrals": {"binance": "x"}, "bybit_01": BYBIT}))
    assert imported.accounts == (("bybit_01", "bybit"),)
    assert "referrals is no account" in imported.notes[0]
    with pytest.raises(KeysError, match="bybit_01 is stored already; --replace replaces it"):
        import_file(key_file())
    import_file(key_file(), replace=True)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"a": ' + f'"{SECRET}"' + "}", f'{{"a": "{SECRET}'])
def test_a_damaged_file_is_an_error_that_shows_none_of_it(
    text: str, ring_file: Path, key_file: Writer
) -> None:
    with pytest.raises(KeysError) as caught:
        import_file(key_file(text))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_remove_takes_it_from_everywhere(ring_file: Path, passphrase: str, key_file: Writer) -> None:
    import_file(key_file(), to="file")
    import_file(key_file(), to="keyring")
    assert len(remove_account("bybit_01")) == 2
    with pytest.raises(KeysError, match="there are no keys of the account bybit_01"):
        remove_account("bybit_01")
    assert SECRET not in ring_file.read_text()
    assert accounts() == []


# ---- nothing shows


def test_keys_show_nothing_and_can_not_leave(capsys: pytest.CaptureFixture[str]) -> None:
    keys = Keys("bybit_01", BYBIT, "here")
    shown = f"{keys} {keys!r} {keys!s} {[keys]} {vars(Keys).keys()}"
    print(keys)
    shown += capsys.readouterr().out
    try:
        raise ValueError(keys)
    except ValueError as error:
        shown += "".join(traceback.format_exception(error))
    assert SECRET not in shown
    assert KEY not in shown
    assert "bybit_01" in shown
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="do not leave the process"):
            way(keys)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(keys)
    assert not hasattr(keys, "__dict__")


def test_ray_can_not_take_keys() -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    keys = Keys("bybit_01", BYBIT, "here")
    with pytest.raises(TypeError, match="do not leave the process"):
        cloudpickle.dumps({"keys": keys})


def test_text_is_redacted_by_value_and_by_form() -> None:
    register(["pem-1\nline+/two==", "short"])
    assert redacted("x pem-1\nline+/two== y") == f"x {MASK} y"
    assert redacted(json.dumps({"k": "pem-1\nline+/two=="})) == json.dumps({"k": MASK})
    assert redacted("q=pem-1%0Aline%2B%2Ftwo%3D%3D&r=1") == f"q={MASK}&r=1"
    assert redacted("short") == "short"
    url = "GET https://x/fapi/v1/order?symbol=BTC&timestamp=1&signature=0123456789abcdef"
    assert redacted(url) == f"GET https://x/fapi/v1/order?symbol=BTC&timestamp=1&signature={MASK}"
    for header in ("X-MBX-APIKEY", "OK-ACCESS-PASSPHRASE", "X-BAPI-SIGN", "Authorization"):
        assert redacted(f'{{"{header}": "abcdefgh123"}}') == f'{{"{header}": "{MASK}"}}'
    assert redacted("signal=abcdefghi design: abcdefgh") == "signal=abcdefghi design: abcdefgh"


def test_an_environment_forgets_what_is_private() -> None:
    held = {
        "PASSIVBOT_ACCOUNT_A_SECRET": "x",
        "PASSIVBOT_KEYS_PASSPHRASE": "x",
        "PASSIVBOT_KEYS_PASSPHRASE_FILE": "x",
        "PASSIVBOT_WEBHOOK": "x",
        "PASSIVBOT_PORT": "1",
        "PATH": "p",
    }
    environment.forget(held)
    assert held == {"PASSIVBOT_PORT": "1", "PATH": "p"}


# ---- the command


def test_the_commands(ring_file: Path, key_file: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    assert "no keys yet" in capsys.readouterr().out
    assert main(["keys", "import", str(key_file(mode=0o644))]) == 2
    assert "chmod 600" in capsys.readouterr().err
    assert main(["keys", "import", str(key_file())]) == 0
    assert "bybit_01: bybit, into keyring" in capsys.readouterr().out
    assert main(["keys", "list"]) == 0
    assert main(["keys", "check", "bybit_01", "--offline"]) == 0
    assert main(["keys", "check", "bybit_02", "--offline"]) == 2
    assert main(["keys", "remove", "bybit_01"]) == 0
    shown = capsys.readouterr()
    assert "bybit_01" in shown.out
    assert SECRET not in shown.out + shown.err
    assert KEY not in shown.out + shown.err


def test_keys_of_an_exchange_that_is_gone(
    ring_file: Path, key_file: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "import", str(key_file({"d": {**BYBIT, "exchange": "defx"}}))]) == 0
    assert main(["keys", "check", "d", "--offline"]) == 2
    assert "defx closed its API" in capsys.readouterr().err

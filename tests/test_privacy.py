"""Privacy: what is secret or personal is found whatever stands around it; nothing else moves."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.curate.detector import ANCHORS, plugins
from hub.curate.privacy import PLACEHOLDER, find, redact, redact_json
from tests.fakes import ENTROPY_ONLY, MAKERS, every_fake

AT = "@"
HOST = "acme-corp" + ".io"
MAIL = f"jane.doe{AT}{HOST}"
CODE = "def total(rows):\n    # sums\n    return sum(row.price for row in rows)\n"
PARTS = [
    *"ab1@.:/=+\"' \n-<>",
    "password",
    MAIL,
    "<EMAIL>",
    "://",
    "?key=",
    "+49 30",
    "a1B2c3D4e5F6",
]
ANY_TEXT = st.text(st.characters(), max_size=60)  # surrogates too


def kinds(text: str) -> list[str]:
    return [finding.kind for finding in find(text)]


def test_every_plugin_of_the_detector_is_run_and_has_a_fake() -> None:
    """A release with another plugin fails here."""
    by_shape = {name for name, plugin in plugins().items() if hasattr(plugin, "denylist")}
    assert by_shape - {"PrivateKeyDetector", "IPPublicDetector"} == set(ANCHORS)
    assert set(MAKERS) == set(plugins())


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_no_planted_secret_survives(name: str) -> None:
    random = Random(name)
    fakes = [every_fake(random)[name] for _ in range(50)]
    assert not [f.text for f in fakes if f.value in redact(f"{CODE}    {f.text}\n{CODE}")[0]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.lists(ANY_TEXT, min_size=3, max_size=3))
def test_secrets_are_found_between_any_texts_and_redacting_twice_changes_nothing(
    seed: int, around: list[str]
) -> None:
    """Each on a line of its own, as a quote or a bracket beside a secret changes what it is."""
    fakes = every_fake(Random(seed))
    one, two = Random(seed).sample(sorted(fakes.keys() - ENTROPY_ONLY), 2)
    lines = [around[0], fakes[one].text, around[1], fakes[two].text, around[2]]
    text = "\n".join(lines)
    redacted, _ = redact(text)
    assert fakes[one].value not in redacted
    assert fakes[two].value not in redacted
    assert redact(redacted) == (redacted, [])
    check_findings(text)


def check_findings(text: str) -> None:
    """In order, without overlaps, and each says where its value stands."""
    done = 0
    for finding in find(text):
        assert done <= finding.start < finding.end
        done = finding.end
        value = text[finding.start : finding.end].encode("utf-8", "surrogatepass")
        assert finding.digest == hashlib.sha256(value).hexdigest()
        assert finding.line == text.count("\n", 0, finding.start) + 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_redacting_is_idempotent_on_texts_made_of_what_rules_look_for(text: str) -> None:
    redacted, _ = redact(text)
    assert redact(redacted) == (redacted, [])
    check_findings(text)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_offsets_and_lines_hold_with_astral_characters_and_both_line_ends(newline: str) -> None:
    text = newline.join(["🙂 İstanbul 🙂", f"mail: {MAIL} 🙂", "end"])
    (finding,) = find(text)
    assert text[finding.start : finding.end] == MAIL
    assert (finding.kind, finding.line) == ("email", 2)
    assert redact(text)[0] == newline.join(["🙂 İstanbul 🙂", "mail: <EMAIL> 🙂", "end"])


def test_a_finding_never_holds_its_value() -> None:
    assert MAIL not in repr(find(f"write to {MAIL}"))


def test_equal_values_get_equal_placeholders() -> None:
    key = "AK" + "IA" + "QWERTYUIOP234567"
    redacted, findings = redact(f'secret_key = "{key}"\nuse {key}\n')
    assert {f.placeholder for f in findings} == {"<SECRET:aws-access-key>"}
    assert redacted == 'secret_key = "<SECRET:aws-access-key>"\nuse <SECRET:aws-access-key>\n'


def test_the_rest_of_a_token_goes_with_the_head_that_the_rule_matches() -> None:
    token = "sk" + "_live_" + "a1B2" * 25
    assert redact(f"x = '{token}'")[0] == "x = '<SECRET:stripe-access-key>'"


@pytest.mark.parametrize("begin", ["-----BEGIN {}-----", "---- BEGIN {} ----"])
def test_a_private_key_goes_whole_with_or_without_its_end(begin: str) -> None:
    label = "RSA PRIVATE" + " KEY"
    body = "\n".join("MIIE" + "a1B2" * 15 for _ in range(5))
    head = begin.format(label)
    end = head.replace("BEGIN", "END")
    assert redact(f"a\n{head}\n{body}\n{end}\nb")[0] == "a\n<SECRET:private-key>\nb"
    assert redact(f"a\n{head}\n{body}\n")[0] == "a\n<SECRET:private-key>\n"
    escaped = f'"{head}\\n{body}\\n{end}\\n"'.replace("\n", "\\n")
    assert redact(escaped)[0] == '"<SECRET:private-key>\\n"'
    assert find(f'if "{head}" in text:') == []


def test_keys_in_urls_are_replaced_and_the_rest_of_the_url_stays() -> None:
    text = f"https://ci:hunter22{AT}git.{HOST}/x?page=2&token=a1b2c3d4e5f6#top"
    assert redact(text)[0] == (
        f"https://ci:<SECRET:basic-auth-credentials>{AT}git.{HOST}/x?page=2"
        "&token=<SECRET:url-token>#top"
    )
    assert find("https://x/?token={token}&key=<key>&sig=%s") == []


@pytest.mark.parametrize(
    "text",
    [
        f"root{AT}localhost",
        f"git{AT}github.com:org/repo.git",
        f"{AT}functools.wraps(f)",
        f"a {AT} b.T",
        f"x = weights{AT}self.bias",
        f"logo{AT}2x.png",
        f"```python\n{AT}pytest.mark.parametrize('x', [1])",
        f"    pass\n{AT}app.route\n",
        f"http://user:password{AT}python.org/",
    ],
)
def test_what_only_looks_like_an_email_stays(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "number",
    ["+49 30 5551234", "+1 (212) 736-5000", "+442071838750", "(212) 736-5000", "(555) 555-0100"],
)
def test_phone_numbers_are_found(number: str) -> None:
    assert redact(f"call {number}, or write")[0] == "call <PHONE>, or write"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21 15:47:13 +0100",
        "version 1.22.333.4444",
        "0xDEADBEEF 1234567890",
        "id 20261121-154713",
        "978-3-16-148410-0",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "x[+1] + 12345678",
        "3.14159265 212-736-500011",
    ],
)
def test_dates_versions_and_numbers_are_no_phone_numbers(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "203.0.113.9", "2606:2800:220:1:248:1893:25c8:1946", "2001:db8::1"]
)
def test_addresses_that_tell_machines_apart_are_found(address: str) -> None:
    assert redact(f'HOST = "{address}"  # {address}, 80')[0] == 'HOST = "<IP>"  # <IP>, 80'


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.0.1"),
        *("172.31.0.1", "100.64.0.1", "255.255.255.255", "224.0.0.1"),
        *("::1", "fe80::1", "a[1::2]", "12:34:56", "::ffff:10.0.0.1"),
        *("version 1.2.3.4", "v1.2.3.4", "1.2.3.4.5", "1.2.3.4-beta", "999.1.1.1", "OID 2.5.4.3"),
    ],
)
def test_addresses_that_every_house_has_and_versions_stay(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "line",
    [
        'password = "password"',
        'password = getpass("Password: ")',
        "password: str = ''",
        'secret = "${SECRET_1}"',
        'token = "<SECRET:aws-access-key>"',
        'alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"',
        'name = "test_the_quick_brown_fox_jumps_over_lazy_dogs"',
        f'sha256 = "{hashlib.sha256(b"").hexdigest()}"',
        'id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"',
        "from collections.abc import Iterable",
    ],
)
def test_ordinary_code_stays(line: str) -> None:
    assert kinds(line) == []


def test_a_json_value_is_redacted_in_every_string_and_each_finding_has_its_place() -> None:
    value = {"a": (f"to {MAIL}", 1, None), "b": {"c": True, "d": f"\n{MAIL}"}}
    redacted, findings = redact_json(value)
    assert redacted == {"a": ["to <EMAIL>", 1, None], "b": {"c": True, "d": "\n<EMAIL>"}}
    assert [(f.kind, f.place, f.line) for f in findings] == [
        ("email", "a.0", 1),
        ("email", "b.d", 2),
    ]


def test_a_secret_is_replaced_where_no_rule_would_see_it_again() -> None:
    secret = "hunter" + "22!"
    redacted, _ = redact(f'password = "{secret}"\nlog.in("jane", "{secret}")\n# {secret}\n')
    assert secret not in redacted
    assert redact("password = 'correct horse'\ncorrect horse")[1] == []


def test_where_rules_overlap_nothing_of_either_stays() -> None:
    key = "AK" + "IA" + "QWERTYUIOP234567"
    assert redact(f'db_password = "x!{key}-y!"')[0] == 'db_password = "<SECRET:aws-access-key>"'


@pytest.mark.parametrize(
    "text", ["", '://x:"@', "\ud800", "\x00" * 10, "\r\n\r\n", "@", "://", "-----BEGIN"]
)
def test_odd_texts_come_back_as_they_were(text: str) -> None:
    assert redact(text) == (text, [])


def test_a_secret_beside_a_lone_surrogate_and_null_characters_is_found() -> None:
    assert redact(f"\udc80\x00 {MAIL} \x00\ud83d")[0] == "\udc80\x00 <EMAIL> \x00\ud83d"


@pytest.mark.parametrize(
    "unit",
    [
        *("a", " ", '"', "=a", "eyJ", "://a:", "key ", "1.", "a@", "-----BEGIN PRIVATE KEY-----"),
        *("AKIA", "password='x", f"api_key{' ' * 30}=", f"key{' ' * 900}{'A' * 44} "),
    ],
)
def test_a_line_of_100_kilobytes_ends(unit: str) -> None:
    """A rule that takes quadratic time would take minutes here."""
    text = unit * (100_000 // len(unit)) + f" {MAIL}"
    assert redact(text)[0].endswith(" <EMAIL>")
    assert PLACEHOLDER.search(redact(f"x{unit} {MAIL}")[0])

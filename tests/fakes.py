"""Fake secrets of every type the detector knows, made at run time from a seed.

None is written down: each is put together from parts, so that no scanner of this repository trips.
"""

from __future__ import annotations

import base64
import json
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
WORD = ALNUM + "_-"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
PIECE = 12  # characters
HOSTS = ("db.internal", "files.acme-corp.io", "10.0.0.7", "registry.acme.dev")


@dataclass(frozen=True, slots=True)
class Fake:
    """A secret and a text in which it stands."""

    value: str
    text: str


def draw(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choices(alphabet, k=length))


def every_fake(random: Random) -> dict[str, Fake]:
    """One fake for each plugin of the detector, by the plugin's class name."""
    return {name: _in_context(random, name, make(random)) for name, make in MAKERS.items()}


def pieces(value: str) -> set[str]:
    """What nothing but a secret has by chance: some begin as every one of their kind does."""
    tail = value[-2 * PIECE :]
    return {tail[i : i + PIECE] for i in range(max(1, len(tail) - PIECE + 1))}


def _in_context(random: Random, name: str, made: str | tuple[str, str]) -> Fake:
    """A bare token goes into one of the places where tokens are found."""
    if isinstance(made, tuple):
        return Fake(*made)
    places = ['token = "{}"', "client = connect('{}', retries=3)", 'headers: {{"x": "{}"}}']
    if name not in ENTROPY_ONLY:
        places += ["# deployed with {} until Monday", "export TOKEN={}", "see {}\r"]
    return Fake(made, random.choice(places).format(made))


def _jwt(random: Random) -> str:
    parts = [{"alg": "HS256", "typ": "J" + "WT"}, {"sub": draw(random, LOWER, 8), "n": 1}]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*encoded, draw(random, WORD, 43)])


def _aws(random: Random) -> str | tuple[str, str]:
    if random.random() < 0.5:
        return random.choice(["AK", "AS"]) + "IA" + draw(random, UPPER, 16)
    secret = draw(random, BASE64, 40)
    return secret, f'aws_secret_access_key = "{secret}"'


def _basic_auth(random: Random) -> tuple[str, str]:
    secret = draw(random, ALNUM, 12)
    return secret, f"git clone https://deploy:{secret}@{random.choice(HOSTS)}/x.git"


def _private_key(random: Random) -> tuple[str, str]:
    kind = random.choice(["RSA ", "EC ", "DSA ", "OPENSSH ", ""]) + "PRIVATE" + " KEY"
    lines = [draw(random, BASE64, 64) for _ in range(random.randint(4, 20))]
    dashes = "-" * 5
    block = "\n".join([f"{dashes}BEGIN {kind}{dashes}", *lines, f"{dashes}END {kind}{dashes}"])
    return lines[1], f'KEY = """\n{block}\n"""'


def _keyword(random: Random) -> tuple[str, str]:
    secret = draw(random, ALNUM, 10) + random.choice(string.digits) + random.choice("!%&*")
    shape = random.choice(
        ['db_password = "{}"', "API_KEY: '{}',", 'login(user, passwd="{}")', "export DB_PWD={}"]
    )
    return secret, shape.format(secret)


def _slack(random: Random) -> str:
    if random.random() < 0.5:
        digits = "-".join(draw(random, string.digits, 12) for _ in range(2))
        return f"xo{random.choice('xX').lower()}b-{digits}-{draw(random, ALNUM, 24)}"
    path = f"T{draw(random, UPPER, 8)}/B{draw(random, UPPER, 8)}/{draw(random, ALNUM, 24)}"
    return f"https://hooks.{'slack'}.com/services/{path}"


def _npm(random: Random) -> tuple[str, str]:
    secret = "npm" + "_" + draw(random, ALNUM, 36)
    return secret, f"//registry.npmjs.org/:_auth{'Token'}={secret}"


def _assigned(name: str, alphabet: str, length: int) -> Callable[[Random], tuple[str, str]]:
    def make(random: Random) -> tuple[str, str]:
        secret = draw(random, alphabet, length)
        return secret, f'{name} = "{secret}"'

    return make


def _azure(random: Random) -> tuple[str, str]:
    secret = draw(random, BASE64, 86) + "=="
    return secret, f"AccountName=a;Account{'Key'}={secret};EndpointSuffix=core.windows.net"


def _ip(random: Random) -> str:
    return f"{random.randint(11, 99)}.{'.'.join(str(random.randint(1, 254)) for _ in range(3))}"


MAKERS: dict[str, Callable[[Random], str | tuple[str, str]]] = {
    "ArtifactoryDetector": lambda r: (
        secret := "AKC" + "p" + draw(r, ALNUM, 69),
        f'token: "{secret}"',
    ),
    "AWSKeyDetector": _aws,
    "AzureStorageKeyDetector": _azure,
    "Base64HighEntropyString": lambda r: draw(r, BASE64, r.randint(40, 64)),
    "BasicAuthDetector": _basic_auth,
    "CloudantDetector": _assigned("cloudant_password", HEX, 64),
    "DiscordBotTokenDetector": lambda r: ".".join(
        ["M" + draw(r, ALNUM, 23), draw(r, WORD, 6), draw(r, ALNUM, 27)]
    ),
    "GitHubTokenDetector": lambda r: f"gh{r.choice('pousr')}_{draw(r, ALNUM, 36)}",
    "GitLabTokenDetector": lambda r: "gl" + r.choice(["pat-", "rt-", "dt-"]) + draw(r, ALNUM, 20),
    "HexHighEntropyString": lambda r: draw(r, HEX, r.choice([32, 40, 64])),
    "IbmCloudIamDetector": _assigned("ibm_cloud_api_key", WORD, 44),
    "IbmCosHmacDetector": _assigned("cos_hmac_secret_access_key", HEX, 48),
    "IPPublicDetector": _ip,
    "JwtTokenDetector": _jwt,
    "KeywordDetector": _keyword,
    "MailchimpDetector": lambda r: f"{draw(r, HEX, 32)}-us{r.randint(1, 20)}",
    "NpmDetector": _npm,
    "OpenAIDetector": lambda r: f"sk-{draw(r, ALNUM, 20)}T3Blbk{'FJ'}{draw(r, ALNUM, 20)}",
    "PrivateKeyDetector": _private_key,
    "PypiTokenDetector": lambda r: "pypi-" + "AgEIcHlwaS5vcmc" + draw(r, WORD, 120),
    "SendGridDetector": lambda r: ".".join(["S" + "G", draw(r, WORD, 22), draw(r, WORD, 43)]),
    "SlackDetector": _slack,
    "SoftlayerDetector": _assigned("softlayer_api_key", LOWER, 64),
    "SquareOAuthDetector": lambda r: "sq0" + "csp-" + draw(r, ALNUM, 43),
    "StripeDetector": lambda r: r.choice("rs") + "k_live_" + draw(r, ALNUM, r.choice([24, 99])),
    "TelegramBotTokenDetector": lambda r: f"{r.randint(10**8, 10**10 - 1)}:{draw(r, WORD, 35)}",
    "TwilioKeyDetector": lambda r: r.choice(["AC", "SK"]) + draw(r, HEX, 32),
}
ENTROPY_ONLY = {"Base64HighEntropyString", "HexHighEntropyString"}

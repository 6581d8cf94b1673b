"""What nobody in his right mind sends, drawn from a seeded source, so that a run can be had again."""

import json
from random import Random
from typing import Any

Json = Any

LOOPBACKS = (
    "http://127.0.0.1:1/",
    "http://localhost:1/x.json",
    "http://127.1:1/",
    "http://2130706433:1/",
    "http://0x7f.0.0.1:1/",
    "http://[::1]:1/",
    "http://[::ffff:127.0.0.1]:1/",
    "http://[64:ff9b::7f00:1]:1/",
    "http://0.0.0.0:1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://user:pass@127.0.0.1:1/",
    "http://127.0.0.1:1#@example.test/",
    "http://127.0.0.1:99999/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:1/_x",
    "http:///x",
    "//127.0.0.1",
    "http://[::1",
    "http://xn--/",
    "http://" + "a." * 200 + "test/",
)

TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\r\nX-Injected: 1\r\n\r\n",
    "2026-01-01T00:00:00.000Z ERROR   registry: forged\n",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202edetrevni",
    "\ufeff",
    "\u0130\u0131ſK",
    "e\u0301",
    "𝒳" * 50,
    "x" * 300,
    "x" * 70_000,
    "' OR '1'='1",
    "'; DROP TABLE agents; --",
    "%(tenant_id)s",
    "$1",
    "%s%n%x",
    "{0.__class__}",
    "{{ 7 * 7 }}",
    "{{ state.__class__.__mro__ }}",
    "{% for x in range(9**9) %}{% endfor %}",
    "${jndi:ldap://127.0.0.1:1/a}",
    "${PATH}",
    "__proto__",
    "constructor",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "..\\..\\windows",
    ".",
    "..",
    "%00",
    "%2e%2e",
    "%25%30%30",
    "null",
    "true",
    "NaN",
    "-1",
    "0",
    "1e999",
    "99999999999999999999",
    "2026-02-30T25:61:61Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "exec_" + "0" * 32,
    "exec_" + "g" * 32,
    "00000000-0000-0000-0000-000000000000",
    "sha256:" + "0" * 64,
    "TASK_STATE_WORKING",
    "default",
    "*/1 * * * *",
    "0 0 30 2 *",
    "* " * 500,
    *LOOPBACKS,
)

EXPRESSIONS = (
    "state.a == 1",
    "state.a and not state.b or (state.c > 3)",
    "state" + ".a" * 500,
    "(" * 500 + "1" + ")" * 500,
    "not " * 2000 + "true",
    "1 +" * 3000 + " 1",
    "9 ** 9 ** 9 ** 9",
    "'a' * 999999999",
    "state.__class__.__bases__[0].__subclasses__()",
    "__import__('os').system('true')",
    "len(state.x) == len('\ud800')",
    "state['a'][0]['\x00']",
    "state.a in [1, 2, {'b': state}]",
    "lambda: 1",
    "state.a if",
    "=" * 100,
    '"' + "\\" * 999,
    "state.a == " + "9" * 5000,
    "0x" + "f" * 4000,
    "state.a < 'x' < 3 < null",
    "{{ state.a }} {{ state.b",
)

NUMBERS = (0, -1, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, -(2**63) - 1, 10**40, 1e308, -1e308, 5e-324, 0.1, -0.0)

KEYS = (
    "id",
    "type",
    "kind",
    "name",
    "status",
    "url",
    "params",
    "message",
    "parts",
    "text",
    "$ref",
    "__class__",
    "",
)


def scalar(random: Random) -> Json:
    return random.choice(
        (None, True, False, random.choice(NUMBERS), random.choice(TEXTS), random.choice(EXPRESSIONS))
    )


def tree(random: Random, depth: int = 3) -> Json:
    """Some JSON, not more than a few dozen values of it."""
    match random.randrange(4) if depth else 0:
        case 1:
            return [tree(random, depth - 1) for _ in range(random.randrange(4))]
        case 2:
            return {random.choice(KEYS): tree(random, depth - 1) for _ in range(random.randrange(4))}
        case _:
            return scalar(random)


def mutated(random: Random, value: Json) -> Json:
    """The value with one thing in it changed, left out, or put where it does not belong."""
    if isinstance(value, dict) and value:
        key = random.choice(list(value))
        match random.randrange(8):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return value | {random.choice(KEYS): tree(random)}
            case 2:
                return {(random.choice(TEXTS) if name == key else name): item for name, item in value.items()}
            case _:
                return value | {key: mutated(random, value[key])}
    if isinstance(value, list) and value:
        place = random.randrange(len(value))
        match random.randrange(6):
            case 0:
                return value * random.choice((0, 2, 50))
            case 1:
                return [*value[:place], tree(random), *value[place:]]
            case _:
                return [*value[:place], mutated(random, value[place]), *value[place + 1 :]]
    return tree(random) if random.random() < 0.3 else scalar(random)


def nested(depth: int, inside: str = "1") -> bytes:
    return ("[" * depth + inside + "]" * depth).encode()


def spoiled(random: Random, value: Json) -> bytes:
    """The value as JSON, or as something that only looks like it."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.7)
    body = text.encode("utf-8", "surrogatepass")
    match random.randrange(40):
        case 0:
            return body[: random.randrange(len(body) + 1)]
        case 1:
            return body + body
        case 2:
            return body.replace(b"{", b'{"id": 1, "id": [], "type": 1, "type": 2,', 1)
        case 3:
            return text.encode(random.choice(("utf-16", "utf-32", "utf-7")), "replace")
        case 4:
            return b"\xef\xbb\xbf" + body
        case 5:
            return nested(random.choice((36, 37, 64, 65, 1000, 100_000)))
        case 6:
            return b'{"a":' * 5000 + b"1" + b"}" * 5000
        case 7:
            return body.replace(b"1", b"9" * random.choice((20, 300, 301, 5000)), 1)
        case 8:
            return body.replace(
                b"null", random.choice((b"NaN", b"Infinity", b"-Infinity", b"1e999", b"undefined"))
            )
        case 9:
            place = random.randrange(len(body) + 1)
            return body[:place] + bytes(random.randrange(256) for _ in range(4)) + body[place:]
        case 10:
            return b"\x00" * random.choice((1, 1000))
        case 11:
            return body.replace(b'"', b'"\\ud800', 1)
        case 12:
            return b" " * 50_000 + body
        case _:
            return body

"""Connection strings of PostgreSQL: whether one can be used, and how it may be shown."""

import re
from collections.abc import Mapping

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ACCEPTED = "accepted: postgresql://user:password@host:port/database, or key=value pairs"

_UNKNOWN = re.compile(r'invalid (?:URI query parameter:|connection option) "([a-z_]{1,40})"', re.IGNORECASE)
_WITH_A_DRIVER = re.compile(r"(postgres(?:ql)?)\+[a-z0-9_]{1,20}://", re.IGNORECASE)

# What other clients read from the same URL, and where it goes here.
_OTHERS_PARAMETERS = {
    "pgbouncer": "; leave it out, a pooler is recognised by itself",
    "schema": "; a schema is chosen by ?options=-csearch_path%3Dits_name",
    "connection_limit": "; how many connections there are is said by POSTGRES_POOL_SIZE",
}

_NAMED_ROLE = re.compile(r'\b(user|role) "(?:[^"]|"")*"')


def check_dsn(text: str) -> None:
    """Raise `ValueError` for a text that is no connection string; nothing is connected to.

    The message names a parameter that is not known, and repeats no value: any of them may be a part of a password
    that should have been percent-encoded.
    """
    if _WITH_A_DRIVER.match(text):
        raise ValueError("the name of a driver is not part of a connection string: it begins with postgresql://")
    try:
        parts = conninfo_to_dict(text)
    except ProgrammingError as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown is None or _may_be_a_secret(text):
            raise ValueError(ACCEPTED) from None
        name = unknown[1]
        hint = _OTHERS_PARAMETERS.get(name.lower(), "; accepted are libpq's, such as sslmode")
        raise ValueError(f"there is no parameter {name!r} in a connection string{hint}") from None
    if "://" in text and _is_cut_in_the_wrong_place(text, parts):
        raise ValueError("@, /, : and % in a user or password are written %40, %2F, %3A and %25")


def _may_be_a_secret(text: str) -> bool:
    """Whether the word that is not known may have been cut out of a password."""
    return "password" in (text.partition("?")[2] if "://" in text else text).lower()


def _is_cut_in_the_wrong_place(url: str, parts: Mapping[str, object]) -> bool:
    """Whether a character of a password was taken for the end of it."""
    address = url.partition("://")[2].partition("?")[0]
    ports = str(parts.get("port", "")).split(",")
    if (
        address.count("@") > 1
        or ("@" in address and "@" in url.partition("?")[2])
        or ("@" in address and "user" not in parts)
    ):
        return True
    return any(port and not port.isdecimal() for port in ports)


def describe(dsn: str) -> str:
    """The address in a DSN, without user, password or options, for messages and logs."""
    try:
        check_dsn(dsn)
    except ValueError:
        return "an address that cannot be parsed"
    parts = conninfo_to_dict(dsn)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', 'postgres')}"


def mask_password(dsn: str) -> str:
    """The DSN with its passwords replaced by `***`; `""` stays empty.

    When a password may still be in it, `***` is all that is returned.
    """
    try:
        check_dsn(dsn)
        secrets = _passwords(dsn)
        if not secrets:
            return dsn
        if "://" in dsn:
            masked = re.sub(r"^([^:]+://[^:@/]*):[^@/]*@", r"\1:***@", dsn)
            masked = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", masked)
        else:
            masked = make_conninfo(dsn, **dict.fromkeys(secrets, "***"))
        hidden = set(_passwords(masked).values()) == {"***"}
    except (ProgrammingError, ValueError):
        return "***"
    return masked if hidden else "***"


def passwords_in(dsn: str) -> list[str]:
    """The password of a DSN, if it has one."""
    try:
        password = conninfo_to_dict(dsn).get("password")
    except ProgrammingError:
        return []
    return [str(password)] if password else []


def without_names(text: str, dsn: str = "") -> str:
    """What PostgreSQL or its client said, as one line without the user and the password that were tried."""
    for value in (*passwords_in(dsn), _user_in(dsn)):
        text = text.replace(f'"{value}"', '"***"') if value else text
    return " ".join(_NAMED_ROLE.sub(r"the \1", text).split())


def _user_in(dsn: str) -> str:
    try:
        return str(conninfo_to_dict(dsn).get("user", ""))
    except ProgrammingError:
        return ""


def _passwords(dsn: str) -> dict[str, str]:
    parts = conninfo_to_dict(dsn)
    return {name: str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)}

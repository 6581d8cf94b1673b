"""Labels as callers of the registry send them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from groundwork.http.labels import FILTER_PATTERN, check_labels, read_label_filter


def _checked(labels: dict[str, str]) -> dict[str, str]:
    check_labels(labels)
    return labels


def _checked_changes(labels: dict[str, str | None]) -> dict[str, str | None]:
    check_labels(labels)
    return labels


def _checked_filter(text: str) -> str:
    read_label_filter(text)
    return text


Labels = Annotated[dict[str, str], AfterValidator(_checked)]
LabelChanges = Annotated[dict[str, str | None], AfterValidator(_checked_changes)]
LabelFilter = Annotated[
    str,
    Field(
        max_length=2048,
        description="name=value; several, with commas in between, have to hold together",
        json_schema_extra={"pattern": FILTER_PATTERN},
    ),
    AfterValidator(_checked_filter),
]

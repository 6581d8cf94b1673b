"""Who may decide, as the tenant's policy has it."""

from pydantic import ConfigDict, TypeAdapter

from groundwork.postgres.pool import Connection
from registry.access import Principal, Role
from registry.checks import Body, check_value
from registry.errors import Forbidden, InvalidRequest
from registry.questions.store import find_rules


class Rules(Body):
    """What stands in a policy as `decisions`; what is left out allows everybody who may write."""

    model_config = ConfigDict(extra="forbid")

    roles: list[Role] | None = None
    tokens: list[str] | None = None


_RULES = TypeAdapter(Rules)


async def require_decider(conn: Connection, principal: Principal) -> None:
    """Let developers and operators decide, and reviewers where the policy says `{"reviewers_decide": true}`; of
    them those alone whom the policy names. Raises `Forbidden`, also when the policy cannot be read."""
    policy, token_name = await find_rules(conn, principal.tenant_id, principal.actor_id)
    if not (principal.role == "reviewer" and policy.get("reviewers_decide") is True):
        principal.require_writer()
    try:
        rules = check_value(_RULES, policy.get("decisions") or {}, inside="decisions")
    except InvalidRequest as error:
        raise Forbidden(f"nobody may decide: the tenant's policy cannot be read: {error}") from None
    if rules.roles is not None and principal.role not in rules.roles:
        raise Forbidden(
            f"insufficient role — the tenant's policy lets {', '.join(rules.roles) or 'nobody'} decide"
        )
    if rules.tokens is not None and token_name not in rules.tokens:
        raise Forbidden("the tenant's policy names whose tokens decide, and this one is not among them")

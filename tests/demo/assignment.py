"""Who gets which version: the split, what sticks, what overrides it, and what does not."""

from demo import CANARY, MODEL, STABLE, VARIANTS, Demo, canary_interval
from table import Row

KEYLESS_REQUESTS = 2000
USERS = [f"user-{number}" for number in range(500)]
# Enough to have both kinds of users many times over.
SOME_USERS = USERS[:100]


def split_without_a_key(demo: Demo) -> Row:
    versions = [
        demo.prove_grpc() if number % 4 == 0 else demo.prove_rest() for number in range(KEYLESS_REQUESTS)
    ]
    canary = versions.count(CANARY)
    low, high = canary_interval(KEYLESS_REQUESTS)
    return Row(
        f"{KEYLESS_REQUESTS} requests without a key, REST and gRPC",
        f"canary {low} to {high} (99.9 % of all runs), stable the rest",
        f"canary {canary}, stable {versions.count(STABLE)}",
        low <= canary <= high and canary + versions.count(STABLE) == KEYLESS_REQUESTS,
    )


def users_stick(demo: Demo) -> Row:
    seen = {user: set() for user in USERS}
    for ask in (demo.prove_rest, demo.prove_grpc, demo.prove_grpc, demo.prove_rest):
        for user in USERS:
            seen[user].add(ask(headers={"x-user-id": user}))
    wavering = [user for user, versions in seen.items() if len(versions) != 1]
    canary = sum(versions == {CANARY} for versions in seen.values())
    low, high = canary_interval(len(USERS))
    return Row(
        f"{len(USERS)} users, each twice over REST and twice over gRPC",
        f"one version a user; {low} to {high} users on the canary",
        f"{len(wavering)} users saw both; {canary} users on the canary",
        not wavering and low <= canary <= high,
    )


def cookie_is_the_same_user(demo: Demo) -> Row:
    return _same_version(
        demo,
        "the same users by cookie, REST and gRPC",
        lambda user: [
            demo.prove_rest(headers={"cookie": f"theme=dark; mw-user={user}"}),
            demo.prove_grpc(headers={"cookie": f"mw-user={user}; theme=dark"}),
        ],
    )


def parameter_is_the_same_user(demo: Demo) -> Row:
    return _same_version(
        demo,
        "the same users by request parameter, REST and gRPC",
        lambda user: [
            demo.prove_rest(parameters={"user_id": user}),
            demo.prove_grpc(parameters={"user_id": user}),
        ],
    )


def alias_is_the_same_model(demo: Demo) -> Row:
    return _same_version(
        demo,
        "the same users under the alias mnist",
        lambda user: [
            demo.prove_rest("mnist", headers={"x-user-id": user}),
            demo.prove_grpc("mnist", headers={"x-user-id": user}),
        ],
    )


def beta_is_always_canary(demo: Demo) -> Row:
    versions = []
    for user in SOME_USERS:
        headers = {"x-user-id": user, "x-beta": "true"}
        versions += [demo.prove_rest(headers=headers), demo.prove_grpc(headers=headers)]
    return Row(
        f"x-beta: true, {len(versions)} requests of {len(SOME_USERS)} users",
        f"canary {len(versions)}",
        f"canary {versions.count(CANARY)}",
        versions.count(CANARY) == len(versions),
    )


def forged_headers_do_nothing(demo: Demo) -> Row:
    """Each user asks for the version that he is not on."""

    def forge(user: str) -> list[str]:
        other = CANARY if demo.prove_rest(headers={"x-user-id": user}) == STABLE else STABLE
        headers = {
            "x-user-id": user,
            "x-modelway-model": other,
            "x-modelway-variant": VARIANTS[other],
            "x-modelway-target": other,
            "x-modelway-version": "99",
            "x-modelway-affinity": other,
            "x-modelway-pool": "gpu",
        }
        return [demo.prove_rest(headers=headers), demo.prove_grpc(headers=headers)]

    return _same_version(demo, "the same users, with our routing headers forged", forge)


def _same_version(demo: Demo, asked: str, ask: object) -> Row:
    """Every answer to `ask(user)` comes from the version that the user's header gives him."""
    equal = total = 0
    for user in SOME_USERS:
        by_header = demo.prove_rest(MODEL, {"x-user-id": user})
        versions = ask(user)
        equal += versions.count(by_header)
        total += len(versions)
    return Row(asked, f"the version of x-user-id, {total} of {total} times", f"{equal} of {total}", equal == total)


CHECKS = (
    split_without_a_key,
    users_stick,
    cookie_is_the_same_user,
    parameter_is_the_same_user,
    alias_is_the_same_model,
    beta_is_always_canary,
    forged_headers_do_nothing,
)

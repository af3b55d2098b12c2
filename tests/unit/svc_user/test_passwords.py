"""Passwords are hashed by Argon2id with the chosen cost, and the list of common ones is what it says."""

from argon2 import extract_parameters
from argon2.low_level import Type

from svc_user.passwords import Passwords, argon2id, common_passwords


async def test_a_hash_has_the_chosen_cost() -> None:
    passwords = Passwords(argon2id(), frozenset(), threads=1, waiting=0)
    parameters = extract_parameters(await passwords.hash("correct horse"))
    await passwords.close()
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)


def test_common_passwords_are_many_long_enough_to_matter_and_in_lower_case() -> None:
    common = common_passwords()
    assert len(common) == 5000
    assert all(len(password) >= 8 and password == password.lower() for password in common)
    assert {"password", "12345678", "iloveyou", "qwertyuiop"} <= common

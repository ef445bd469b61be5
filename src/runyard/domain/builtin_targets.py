"""The targets that are there without a word in any file; a file's words are laid over them."""

from __future__ import annotations

from collections.abc import Mapping

from runyard.domain.target import Target

# adb exits with 0 also for a phone that is there and not usable, so its word is looked at.
_ADB_CHECK = 'test "$(adb -s {device} get-state)" = device'
_ADB_INSTALL = "adb -s {device} install -r {app}"
_APPWRIGHT = "npx appwright test {test}"
# The key must not be seen among the arguments of a process, so curl reads it from its input.
_UPLOAD = (
    'printf "user = %s:%s\\n" "$BROWSERSTACK_USERNAME" "$BROWSERSTACK_ACCESS_KEY" | '
    "curl --fail --silent --show-error --config - --form file=@{app} --form custom_id={app} "
    "https://api-cloud.browserstack.com/app-automate/upload"
)

BUILTIN = {
    target.name: target
    for target in (
        Target(name="local"),
        Target(
            name="emulator",
            setup=_ADB_INSTALL,
            check=_ADB_CHECK,
            test_command=_APPWRIGHT,
            requires=("adb", "npx"),
        ),
        Target(
            name="device",
            setup=_ADB_INSTALL,
            check=_ADB_CHECK,
            test_command=_APPWRIGHT,
            requires=("adb", "npx"),
        ),
        Target(
            name="browserstack",
            setup=_UPLOAD,
            test_command=_APPWRIGHT,
            requires=("curl", "npx"),
        ),
    )
}

_SIMULATED_PLACES = {
    "emulator": ("emulator-5554", "emulator-5556"),
    "device": ("phone-1",),
    "browserstack": ("browserstack-1", "browserstack-2"),
}


def simulated(targets: Mapping[str, Target]) -> dict[str, Target]:
    """The same targets with nothing real behind them: two emulators, a device and two places at
    BrowserStack, unless a file says which there are."""
    found = dict(targets)
    for name, places in _SIMULATED_PLACES.items():
        target = targets.get(name, BUILTIN[name])
        found[name] = target.model_copy(
            update={
                "driver": "simulated",
                "devices": target.places or places,
            }
        )
    return found

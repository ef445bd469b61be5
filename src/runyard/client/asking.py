"""How a server is asked: signed, once more if it was away, and with its errors as ours."""

from __future__ import annotations

import json
import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from runyard.client.credentials import Keyring
from runyard.client.effects import Answer, Flow, Interrupted, Pause, Send
from runyard.client.faults import fault, how
from runyard.errors import NotAuthenticated, ServerUnreachable

Result = TypeVar("Result")

log = logging.getLogger(__name__)

API = "/api/v1"
PATIENCE = 20.0  # seconds for which we try again; a server is started anew in less
WAITING_PATIENCE = 300.0  # of whoever waits for jobs anyway
PAUSES = (0.05, 2.0)  # the first and the longest
TELL_AFTER = 3.0  # seconds of trying again after which somebody may wonder what goes on
TURN_PAUSE = 0.02  # seconds until we look again whether somebody else has renewed the session
AWAY = frozenset({502, 503, 504})  # somebody before the server says so, or its database does not


def _again_after(answer: Answer) -> float | None:
    """After how many seconds, at the least, the same may be asked again; None for what will not
    change by itself, as a quota of jobs."""
    if answer.status in AWAY:
        return 0.0
    after = answer.headers.get("retry-after", "")
    return float(after) if answer.status == 429 and after.isdigit() else None


class Patience:
    """Bounds how long is tried again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pause = PAUSES[0]
        self._until: float | None = None
        self._is_told = False

    def renew(self) -> None:
        """It worked: the next trouble has its own time."""
        self._until, self._pause, self._is_told = None, PAUSES[0], False

    def pause(self, least: float = 0.0) -> Pause | None:
        """What to do before the next try, for ``least`` seconds; None if there shall be none."""
        now = time.monotonic()
        self._until = self._until or now + self._seconds
        if now + least >= self._until:
            return None
        seconds = self._pause * random.uniform(0.5, 1.0)  # so that not all come back at once
        self._pause = min(self._pause * 2, PAUSES[1])
        return Pause(least + seconds)

    def tell(self, text: str) -> None:
        """Warn of what we wait for, once, when it has taken a while."""
        began = (self._until or math.inf) - self._seconds
        if not self._is_told and time.monotonic() - began > TELL_AFTER:
            self._is_told = True
            log.warning("%s: it is tried again for up to %.0f s", text, self._seconds)


class Asker:
    """Asks one server."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def ask(
        self,
        question: Send,
        read: Callable[[Answer], Result],
        *,
        is_safe: bool = True,
        patience: float | None = None,
    ) -> Flow[Result]:
        """The answer, as ``read`` has it. What is not ``is_safe`` is not asked twice once it may
        have arrived. ``patience`` is for how many seconds it is tried. Raises the errors of the
        server, and ``ServerUnreachable``."""
        bounded = Patience(PATIENCE if patience is None else patience)
        return read((yield from self.answer(question, bounded, is_safe)))

    def answer(self, question: Send, patience: Patience, is_safe: bool = True) -> Flow[Answer]:
        """The good answer, whole, or the head of a stream."""
        question = replace(question, path=API + question.path)
        may_renew = self.keyring.can_renew
        is_refused = False
        while True:
            try:
                if is_refused or self.keyring.is_stale:
                    yield from self._renew()
                    is_refused = False
                answer: Answer = yield self._signed(question)
            except Interrupted as error:
                yield from self._again(error, patience, is_safe)
                continue
            if answer.status == 401 and may_renew:
                may_renew, is_refused = False, True
            elif is_safe and (least := _again_after(answer)) is not None:
                pause = patience.pause(least)
                if pause is None:
                    raise fault(answer, self.keyring.url)
                patience.tell(f"{self.keyring.url} answers with status {answer.status}")
                yield pause
            elif not 200 <= answer.status < 300:
                raise fault(answer, self.keyring.url)
            else:
                return answer

    def _signed(self, question: Send) -> Send:
        token = self.keyring.token
        if token is None:
            raise NotAuthenticated(f"nobody is signed in: {how(self.keyring.url)}")
        return replace(question, headers={**question.headers, "Authorization": f"Bearer {token}"})

    def _again(self, error: Interrupted, patience: Patience, is_safe: bool) -> Flow[None]:
        url = self.keyring.url
        if error.was_sent and not is_safe:
            raise ServerUnreachable(
                f"{url} went away before it answered ({error}); whether it did what was asked, "
                "only a look can tell"
            ) from None
        pause = patience.pause()
        if pause is None:
            raise ServerUnreachable(f"{url} does not answer ({error}): does it run?") from None
        patience.tell(f"{url} does not answer ({error})")
        yield pause

    def _renew(self) -> Flow[None]:
        before = self.keyring.refresh_token
        with self.keyring.turn() as turn:
            while not turn.has_come():
                yield Pause(TURN_PAUSE)
            refresh_token = self.keyring.to_trade(before)
            if refresh_token is None:
                return
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
            try:
                answer = yield Send("POST", f"{API}/auth/token", form=form)
            except Interrupted as error:  # but what is asked with the new token was not sent
                raise Interrupted(str(error), was_sent=False) from None
            if answer.status in AWAY:
                raise Interrupted(f"it answers with status {answer.status}", was_sent=False)
            if answer.status != 200:
                raise fault(answer, self.keyring.url)
            self.keyring.renewed(json.loads(answer.body))

"""Steady requests to a site through the proxy, counted."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import httpx
from tests.conftest import NO_TLS


@dataclass
class Traffic:
    """`rate` requests a second from a few threads until stopped; anything but 200 is a failure."""

    url: str
    hostname: str
    rate: float = 100.0
    threads: int = 4
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for _ in range(self.threads):
            thread = threading.Thread(target=self._ask, daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(20)

    @property
    def total(self) -> int:
        return sum(self.answers.values()) + len(self.failures)

    def _ask(self) -> None:
        pause = self.threads / self.rate
        with httpx.Client(headers={"Host": self.hostname}, timeout=10, verify=NO_TLS) as client:
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    answer = client.get(self.url)
                    if answer.status_code == 200:
                        self.answers[answer.text.strip()] += 1
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self._stop.wait(max(0.0, pause - (time.monotonic() - started)))

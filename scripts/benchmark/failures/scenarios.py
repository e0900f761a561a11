"""What goes wrong, each scenario bounded in time; the verdict is one cell of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from scripts.benchmark.failures.trial import GAMES, Trial, Verdict
from scripts.benchmark.proxy import proxied
from scripts.benchmark.task import HEALTH_STREAM

KILLS: Final = 5
NOT_UP: Final = "did not come up"


def killed_in_the_middle(trial: Trial) -> Verdict:
    """Kill it five times, each as soon as a row shows that it is at work on a wave."""
    random = Random(1)
    for _ in range(KILLS):
        trial.start()
        if not trial.up():
            return trial.verdict().but(NOT_UP)
        trial.send_and_wait(random.randrange(GAMES // 2))
        trial.kill()
    trial.start()
    trial.up()
    return trial.verdict()


def poison_entry(trial: Trial) -> Verdict:
    """Put an entry that is no UTF-8 between good ones."""
    trial.start()
    if not trial.up():
        return Verdict(NOT_UP, fine=False)
    wave = trial.wave()
    trial.send(wave[: GAMES // 2])
    poison = {"game_id": b"game-\xff\xfe", "event_type": "probe_failed", "occurred_at_ms": "1", "details": "{}"}
    trial.site.redis.xadd(HEALTH_STREAM, poison)
    trial.send(wave[GAMES // 2 :])
    return trial.verdict().but(f"the entry: {_whereabouts(trial)}", keep=True)


def events_while_down(trial: Trial) -> Verdict:
    """Stop it, send a wave, start it again."""
    trial.start()
    if not trial.up():
        return Verdict(NOT_UP, fine=False)
    trial.stop()
    trial.send(trial.wave())
    trial.start()
    trial.up()
    return trial.verdict()


def stream_deleted(trial: Trial) -> Verdict:
    """Delete the stream under it; the producer goes on with a new one."""
    trial.start()
    if not trial.up():
        return Verdict(NOT_UP, fine=False)
    trial.send(trial.wave())
    trial.settle()
    trial.site.redis.delete(HEALTH_STREAM)
    time.sleep(1)
    trial.send(trial.wave())
    return trial.verdict()


def clock_behind(trial: Trial) -> Verdict:
    """Go on with a stream whose IDs are older, as after a failover to a server whose clock is behind."""
    trial.start()
    if not trial.up():
        return Verdict(NOT_UP, fine=False)
    trial.site.redis.delete(HEALTH_STREAM)
    time.sleep(1)
    trial.send(trial.wave(), ids=lambda at: f"1000-{at}")
    return trial.verdict()


def connection_cut(trial: Trial) -> Verdict:
    """Cut every connection to both servers in the middle of a wave, five times."""
    random = Random(1)
    with proxied(trial.site, delay_s=0) as (trial.site, proxy):
        trial.start()
        for _ in range(KILLS):
            if not trial.up():
                return trial.verdict().but(NOT_UP)
            trial.send_and_wait(random.randrange(GAMES // 2))
            proxy.cut()
            trial.settle()
        verdict = trial.verdict()
        trial.kill()
    return verdict


def reset_while_running(trial: Trial) -> Verdict:
    """Reset its position to the beginning while it runs, and send another event."""
    trial.start()
    if not trial.up():
        return Verdict(NOT_UP, fine=False)
    for _ in range(2):  # two, so that running them again changes summaries and is not debounced
        trial.send(trial.wave())
    trial.settle()
    if trial.subject.reset is None:
        return Verdict("nothing to reset: its position is in its memory only", fine=False)
    trial.subject.reset(trial.site)
    time.sleep(1.5)
    trial.up()
    time.sleep(1.5)
    again = sum(count > 1 for count in trial.seen().values())
    return Verdict(f"ran {again} of {2 * GAMES} again" if again else "ignored the reset", fine=again > 0)


SCENARIOS: Final[Mapping[str, Callable[[Trial], Verdict]]] = {
    "killed in the middle": killed_in_the_middle,
    "poison entry": poison_entry,
    "events while it was down": events_while_down,
    "stream deleted": stream_deleted,
    "stream made anew, clock behind": clock_behind,
    "connections cut": connection_cut,
    "reset while running": reset_while_running,
}


def _whereabouts(trial: Trial) -> str:
    """Say where the poison is now."""
    site = trial.site
    if any(group["pending"] for group in site.redis.xinfo_groups(HEALTH_STREAM)):
        return "pending for ever"
    if site.redis.xlen("gamemaster:dead_letters:health_events"):
        return "in the dead letters, with its reason"
    return "nowhere but in the stream"

"""Following a log: every line once and in order, though connections break, pods vanish and drivers are replaced.

The faults of the API are made by a stand-in for it, since no cluster makes them at a given line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.errors import ClusterError, InputError
from jobs.release.api import follow as module
from jobs.release.api.client import Forbidden
from jobs.release.api.follow import Tails, follow
from jobs.release.api.objects import Object, seconds


def _pod(*, ended: bool) -> Object:
    state: dict[str, Any] = {"terminated": {"exitCode": 0}} if ended else {"running": {}}
    return {"metadata": {"name": "pod"}, "status": {"containerStatuses": [{"name": "driver", "state": state}]}}


class Api:
    """A log that breaks off: `streams` are the answers to one request after the other; an error in them is raised.

    When all have been given, the last is given again.
    """

    def __init__(self, *streams: list[str | Exception], pods: tuple[Object | None, ...] = ()) -> None:
        self._streams, self._pods = list(streams), list(pods)
        self.asked: list[dict[str, object]] = []

    def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
        self.asked.append(options)
        for item in self._streams.pop(0) if len(self._streams) > 1 else self._streams[0]:
            if isinstance(item, Exception):
                raise item
            yield item

    def pod(self, name: str) -> Object | None:
        return self._pods.pop(0) if self._pods else _pod(ended=True)


def _line(number: int, text: str) -> str:
    return f"2026-11-20T14:00:00.{number:09}Z {text}\n"


def _lines(*numbers: int) -> list[str | Exception]:
    return [_line(number, f"line {number}") for number in numbers]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)


CUT = ClusterError("cut")


def test_a_cut_stream_goes_on_with_each_line_once() -> None:
    """After a cut the log is asked for again with some overlap; what was seen is left out."""
    api = Api([*_lines(1, 2), CUT], _lines(1, 2, 3, 4), pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2", "line 3", "line 4"]
    assert "since_seconds" in api.asked[1]


def test_a_cut_just_before_the_end_loses_no_line() -> None:
    """If the container has ended when the stream breaks, the rest of its log is still read."""
    api = Api([*_lines(1), CUT], _lines(1, 2), pods=(_pod(ended=True), _pod(ended=True)))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2"]


def test_a_stream_that_ends_early_is_opened_again() -> None:
    """A stream that ends though the container runs (the kubelet was restarted) goes on."""
    api = Api(_lines(1), _lines(1), _lines(2), pods=(_pod(ended=False), _pod(ended=False), _pod(ended=True)))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2"]


def test_lines_out_of_order_all_come() -> None:
    """The runtime reads stdout and stderr on their own: a line older than the one before it comes like any other."""
    api = Api(_lines(1, 3, 2, 4))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 3", "line 2", "line 4"]


def test_an_older_line_after_a_cut_comes() -> None:
    """What was seen before a cut is known by moment and text, not by order: an older line that is new still comes."""
    api = Api([*_lines(1, 3), CUT], _lines(1, 3, 2, 4), pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 3", "line 2", "line 4"]


def test_lines_alike_come_as_often_as_they_are() -> None:
    """Two lines of one moment and one text are two lines, also after a cut between them."""
    api = Api([*_lines(1, 2), CUT], _lines(1, 2, 2), pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2", "line 2"]


def test_a_half_line_at_a_cut_comes_whole() -> None:
    """A stream that is cut within a line, with an error or as if it had ended, gives that line once, and whole."""
    half = _line(2, "line 2")[:-4]
    for cut in ([CUT], []):
        api = Api([*_lines(1), half, *cut], _lines(1, 2), pods=(_pod(ended=False),))
        assert list(follow(api, "pod", "driver")) == ["line 1", "line 2"]


def test_a_last_line_without_an_end_comes() -> None:
    """The text that an ended container has written last is a line, also without a line's end."""
    api = Api([*_lines(1), _line(2, "the last")[:-1]])
    assert list(follow(api, "pod", "driver")) == ["line 1", "the last"]


def test_what_the_container_has_not_written_is_left_out() -> None:
    """A line without a moment is the kubelet's own, who cannot read the log just now; an empty line is a line."""
    told = "unable to retrieve container logs for containerd://0123\n"
    api = Api([*_lines(1), told], [*_lines(1, 2), _line(3, "")], pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2", ""]


def test_a_cut_in_the_past_is_asked_for_as_far_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where old lines were being read, what is asked for after a cut reaches back to the last of them."""
    monkeypatch.setattr(module.time, "time", lambda: seconds("2026-11-20T15:00:00Z"))
    api = Api([*_lines(1), CUT], _lines(1, 2), pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2"]
    assert int(str(api.asked[1]["since_seconds"])) >= 3600


def test_the_log_is_read_once_more_after_the_end() -> None:
    """A stream that ends a moment before its container has perhaps not given all: what comes after the end counts."""
    api = Api(_lines(1), _lines(1, 2), pods=(_pod(ended=True), _pod(ended=True)))
    assert list(follow(api, "pod", "driver")) == ["line 1", "line 2"]


def test_a_pod_that_vanishes_ends_its_log() -> None:
    """A pod that was deleted (404 for its log, none of its name) is the end, and no error."""
    api = Api([*_lines(1), InputError("pods 'pod' not found")], pods=(None,))
    assert list(follow(api, "pod", "driver")) == ["line 1"]


def test_an_api_that_does_not_answer_is_asked_again() -> None:
    """While neither log nor pod can be read, it is tried on."""
    api = Api([CUT], [CUT], _lines(1), pods=(_pod(ended=False), _pod(ended=False), _pod(ended=True)))
    assert list(follow(api, "pod", "driver")) == ["line 1"]


def test_the_tail_is_asked_for_once() -> None:
    """Only the first request is for the last lines; later ones are for what has come since."""
    api = Api([*_lines(8), CUT], _lines(8, 9), pods=(_pod(ended=False),))
    assert list(follow(api, "pod", "driver", tail=1)) == ["line 8", "line 9"]
    assert [set(options) for options in api.asked[:2]] == [
        {"timestamps", "tail_lines"},
        {"timestamps", "since_seconds"},
    ]


def test_lines_of_several_pods_come_out_of_one_queue() -> None:
    """Each container is followed once, and its lines say which pod they are of."""

    class Two(Api):
        def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
            self.asked.append(options)
            yield from (_line(number, f"{pod} {number}") for number in (1, 2))

    api = Two()
    tails = Tails(api)
    for pod in ("a", "b", "a"):
        tails.add(pod, "driver")
    assert sorted(tails.rest(10)) == [("a", "a 1"), ("a", "a 2"), ("b", "b 1"), ("b", "b 2")]
    assert len(api.asked) == 4
    assert not tails.busy


def test_forbidden_logs_are_told() -> None:
    """A role that does not allow logs is an error, not an endless wait."""
    tails = Tails(Api([Forbidden("jane may not get pods/log")]))
    tails.add("pod", "driver")
    with pytest.raises(Forbidden, match="jane may not get pods/log"):
        list(tails.rest(10))

"""What a worker is asked, job or errand, as the pool hands it over: how it is sent, and what counts as an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dropmill.model.bearing import Bearing, Looked
from dropmill.model.errand import (
    ErrandRequest,
    ErrandResult,
    check_errand_answer,
    errand_from_wire,
    errand_result_from_wire,
    errand_to_wire,
)
from dropmill.model.wire import Wire
from dropmill.model.work import (
    Place,
    Preview,
    Question,
    WorkRequest,
    WorkResult,
    check_answer,
    request_from_wire,
    request_to_wire,
    result_from_wire,
)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Order(Generic[R]):
    """``read`` takes an answer apart; it raises ``ValueError`` for one that is none to what was asked.

    ``bearing`` answers a worker that tells how a picture looks.
    """

    job_id: int
    epoch: int
    place: Place
    body: Wire
    read: Callable[[Wire], R | Question]
    bearing: Callable[[Looked], Awaitable[Bearing]] | None = None


def of_job(request: WorkRequest, bearing: Callable[[Looked], Awaitable[Bearing]] | None = None) -> Order[WorkResult]:
    def read(wire: Wire) -> WorkResult | Question:
        answer = result_from_wire(wire)
        check_answer(request, answer)
        return answer

    return Order(request.job_id, request.epoch, request.place, {"request": request_to_wire(request)}, read, bearing)


def of_errand(request: ErrandRequest) -> Order[ErrandResult]:
    def read(wire: Wire) -> ErrandResult | Preview:
        answer = errand_result_from_wire(wire)
        check_errand_answer(request.errand, answer)
        return answer

    return Order(request.job_id, request.epoch, request.place, {"errand": errand_to_wire(request)}, read)


def asked(body: Wire) -> WorkRequest | ErrandRequest:
    """In the worker: what the body of a frame asks for."""
    return errand_from_wire(body["errand"]) if "errand" in body else request_from_wire(body["request"])

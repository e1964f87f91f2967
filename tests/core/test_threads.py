import threading
import time
from collections.abc import Iterator

import pytest
import torch

from styleloom.core.threads import mapped


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_from_two_threads_of_one_torch_thread_each() -> None:
    threads = set()
    meeting = threading.Barrier(2)  # is passed by two calls at the same time only

    def call(index: int) -> int:
        meeting.wait(timeout=30)
        threads.add((threading.get_ident(), torch.get_num_threads()))
        time.sleep(0.01 * (index % 2))
        return index

    assert list(mapped(call, range(8))) == list(range(8))
    assert len(threads) == 2 and {count for _, count in threads} == {1}
    assert torch.get_num_threads() == 2
    fresh: list[int] = []
    thread = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert fresh == [2]  # threads begun later are as before


@pytest.mark.usefixtures("two_threads")
def test_items_are_taken_as_results_are_wanted() -> None:
    taken = []

    def items() -> Iterator[int]:
        for index in range(100):
            taken.append(index)
            yield index

    results = mapped(lambda index: index, items())
    assert next(results) == 0 and len(taken) == 3
    results.close()
    assert len(taken) == 3


@pytest.mark.usefixtures("two_threads")
def test_calls_see_the_modes_of_the_caller_and_their_errors_come_back() -> None:
    def modes(_: int) -> tuple[bool, bool]:
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    assert set(mapped(modes, range(4))) == {(False, True)}
    with torch.no_grad():
        assert set(mapped(modes, range(4))) == {(False, False)}
    with torch.inference_mode():
        assert set(mapped(modes, range(4))) == {(True, False)}
    with pytest.raises(ZeroDivisionError):
        list(mapped(lambda index: 1 // index, (2, 1, 0, 1)))


def test_one_thread_works_by_itself() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert set(mapped(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}
    finally:
        torch.set_num_threads(before)

"""Runs clips in processes of this machine. One that dies is replaced, and only its clip is begun again."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from tpsm.core.errors import UserError, working_on

ATTEMPTS = 3
"""How often a clip may end its process: another clip may be at fault, say where memory runs out."""


class Worker:
    """A process that does one item at a time, with `threads` threads and, where there are GPUs, on the `number`th."""

    def __init__(self, number: int, threads: int, preload: str) -> None:
        # Forked from a server that has imported what takes seconds, but has never used a thread or a GPU.
        forkserver = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if forkserver else "spawn")
        if forkserver:
            context.set_forkserver_preload(["torch", preload])
        self.number = number
        self.index: int | None = None
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, number, threads), daemon=True)  # type: ignore[attr-defined]
        self._process.start()
        theirs.close()  # The worker's end is then the only one, and its death shows as the pipe's end.

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self._process.pid)

    def give(self, index: int, task: Callable[[Any], Any], item: Any) -> None:
        """Sends the item to the process, which runs `task` on it; `index` is the item's number."""
        self.index = index
        with suppress(BrokenPipeError):  # It died idle: `take` will say so.
            self.pipe.send_bytes(pickle.dumps((task, item)))

    def take(self) -> Any:
        """Returns the item's result. Raises what the task raised, or EOFError where the process has died."""
        try:
            result, error = pickle.loads(self.pipe.recv_bytes())
        except OSError as ended:  # in the middle of a message
            raise EOFError from ended
        self.index = None
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """Asks the process to end."""
        self.pipe.close()
        self._process.terminate()

    def end(self) -> int | None:
        """Stops the process, which has some seconds to remove its drafts, and returns its exit code."""
        self.stop()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return self._process.exitcode


def on_processes(task: Callable[[Any], Any], items: Sequence[Any], count: int) -> Iterator[tuple[int, Any]]:
    """Yields each item's number and result as they end, from `count` processes that share this one's threads.

    Raises:
        UserError: a clip ended its process `ATTEMPTS` times. What a task raises is raised too.
    """
    count = min(count, len(items))
    threads = max(1, torch.get_num_threads() // max(1, count))
    waiting = deque(range(len(items)))
    deaths: Counter[int] = Counter()
    workers: list[Worker] = []
    try:
        workers += (Worker(number, threads, task.__module__) for number in range(count))
        while True:
            # Every idle process gets the next item.
            for worker in workers:
                if worker.index is None and waiting:
                    index = waiting.popleft()
                    worker.give(index, task, items[index])
            busy = {worker.pipe: worker for worker in workers if worker.index is not None}
            if not busy:
                return

            # The results that are there, and a new process for each that died.
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                assert worker.index is not None
                index = worker.index
                try:
                    result = worker.take()
                except EOFError:
                    deaths[index] += 1
                    code = worker.end()
                    if deaths[index] == ATTEMPTS:
                        raise UserError(_killed(items[index].name, code)) from None
                    waiting.appendleft(index)
                    workers[worker.number] = Worker(worker.number, threads, task.__module__)
                else:
                    yield index, result
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.end()


def _killed(name: str, code: int | None) -> str:
    how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
    return (
        f"The clip '{name}' ended its process {ATTEMPTS} times ({how}); look at that clip, or take fewer workers if "
        "memory ran out. Clips that were finished are kept."
    )


def _serve(pipe: Connection, number: int, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that drafts are removed
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    with suppress(EOFError, BrokenPipeError):  # the first process has gone
        while True:
            pipe.send_bytes(_outcome(pipe.recv_bytes()))


def _outcome(message: bytes) -> bytes:
    """Returns the result and None, or None and the error, pickled."""
    try:
        task, item = pickle.loads(message)
        with working_on(f"the clip '{item.name}'"):
            return pickle.dumps((task(item), None))
    except UserError as error:
        return pickle.dumps((None, error))
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        try:
            pickle.loads(again := pickle.dumps((None, error)))
        except Exception:  # Some libraries' errors do not survive the way from process to process.
            return pickle.dumps((None, RuntimeError("".join(traceback.format_exception(error)))))
        return again

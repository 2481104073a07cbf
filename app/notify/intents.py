"""What is about to be sent for the first time: that an alert may have begun is stored before it is sent. Pure.

    stage ─▶ marked as begun ─▶ stored ─▶ sent ─▶ a mark that says what
                                  └─ not sent after all ─▶ withdrawn

Without it, a process that is killed just after it has sent a beginning would leave an alert that nobody ends.
"""

from aiokafka.structs import TopicPartition

from vigil.app.notify.marks import Marks
from vigil.app.notify.plans import DUE, END, Mark


class Intents:
    """The beginnings that are about to be sent."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._staged: list[tuple[str, str]] = []
        self._unsent: dict[tuple[str, str], TopicPartition] = {}
        """By target and key, what is marked as begun, and this process knows that it was not sent."""

    def __bool__(self) -> bool:
        """True if something waits for the marks to be stored."""
        return bool(self._staged)

    def known(self, target: str, key: str) -> Mark:
        """Return what a target knows of an alert."""
        mark = self._marks.get(key, target)
        return {name: mark[name] for name in mark if name != END} if (target, key) in self._unsent else mark

    def stage(self, target: str, key: str, partition: TopicPartition, mark: Mark) -> bool:
        """Mark an alert as begun, if `mark` (that after the delivery) says so; return whether to store that first."""
        if self._unsent.pop((target, key), None) is not None:
            return False
        known = self._marks.get(key, target)
        if END not in mark or END in known:
            return False
        self._marks.put(partition, key, target, {**known, END: DUE})
        self._staged.append((target, key))
        self._unsent[target, key] = partition
        return True

    def take(self) -> list[tuple[str, str]]:
        """Return target and key of what may be sent once the marks are stored."""
        staged, self._staged = self._staged, []
        return staged

    def untaken(self, target: str, key: str, partition: TopicPartition) -> None:
        """Record that a target has certainly not received what was sent."""
        if set(self._marks.get(key, target)) == {END}:
            self._unsent[target, key] = partition

    def withdraw(self, target: str, key: str) -> None:
        """Mark what was not sent as not begun, so that the next step plans it again."""
        if (target, key) in self._unsent:
            mark = self.known(target, key)
            self._marks.put(self._unsent.pop((target, key)), key, target, mark)

    def close(self) -> None:
        """Withdraw all of them: this process sends no more."""
        for target, key in list(self._unsent):
            self.withdraw(target, key)

"""What a run tells: a line per round, and a table at the end."""

from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tests.faults.rounds import Result


@dataclass
class Report:
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    results: list[Result] = field(default_factory=list)

    @property
    def violations(self) -> int:
        return sum(len(result.violated) for result in self.results)

    def tell(self, number: int, result: Result) -> None:
        self.results.append(result)
        book = result.book
        self.console.print(
            f"round {number:4}: {book.accepted:4} turns, {len(book.executions):3} executions,"
            f" well again after {result.recovery_seconds:5.1f} s; {', '.join(result.faults)}",
            markup=False,
        )
        self._tell_violations(result)

    def tell_end(self, result: Result) -> None:
        self.results.append(result)
        self._tell_violations(result)

    def _tell_violations(self, result: Result) -> None:
        for name, seen in result.violated.items():
            self.console.print(f"  VIOLATED: {name}", markup=False)
            for each in seen:
                self.console.print(f"    {each}", markup=False)

    def print_tables(self, minutes: float) -> None:
        rounds = [result for result in self.results if result.faults]
        faults = Counter(kind for result in rounds for kind in result.faults)
        self._table("fault", "injected", faults)
        checked = Counter(name for result in self.results for name in result.checked)
        violated = Counter(name for result in self.results for name in result.violated)
        for name in violated - checked:
            checked[name] = violated[name]
        self._table("what must hold", "looked at", checked, "violated", violated)
        self._table("what", "how many", self._figures(rounds, minutes))

    def _figures(self, rounds: list[Result], minutes: float) -> dict[str, float]:
        recoveries = sorted(result.recovery_seconds for result in rounds) or [0.0]
        return {
            "minutes": round(minutes, 1),
            "rounds": len(rounds),
            "faults injected": sum(len(result.faults) for result in rounds),
            "turns accepted": sum(result.book.accepted for result in rounds),
            "orders accepted": sum(bool(order.task_id) for result in rounds for order in result.book.orders),
            "messages whose acceptance was never known": sum(result.book.uncertain for result in rounds),
            "requests refused or cut off": sum(result.book.refused for result in rounds),
            "threads deleted": sum(len(result.book.deleted) for result in rounds),
            "executions started": sum(len(result.book.executions) for result in rounds),
            "invariants looked at": sum(len(result.checked) for result in self.results),
            "invariants violated": self.violations,
            "seconds to recover, median": round(recoveries[len(recoveries) // 2], 1),
            "seconds to recover, longest": round(recoveries[-1], 1),
        }

    def _table(
        self,
        what: str,
        heading: str,
        figures: "Counter[str] | dict[str, float]",
        second_heading: str = "",
        second: "Counter[str] | None" = None,
    ) -> None:
        table = Table(what)
        table.add_column(heading, justify="right")
        if second is not None:
            table.add_column(second_heading, justify="right")
        for name, figure in figures.items():
            table.add_row(name, f"{figure:,}", *([f"{second[name]:,}"] if second is not None else []))
        self.console.print(table)

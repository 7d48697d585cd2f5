"""Warnings: what a person should know about rows that were answered all the same."""

from service.errors import Detail

# Of one request.
MOST_WARNINGS = 20
MORE = f"this cell is unusual too, and perhaps others: of a request the first {MOST_WARNINGS} warnings are told"


class Warnings(dict[int, list[Detail]]):
    """Warnings by the position of a row: the first few, and a word on whether there are more."""

    count = 0

    @property
    def full(self) -> bool:
        """Whether no other would be told."""
        return self.count > MOST_WARNINGS

    def add(self, row: int, warning: Detail) -> None:
        """Warn of a cell."""
        if self.full:
            return
        self.count += 1
        if self.full:
            warning = {"feature": warning["feature"], "code": "more_warnings", "message": MORE}
        self.setdefault(row, []).append(warning)

    def join(self, others: "Warnings", start: int) -> None:
        """Add those of rows that begin at row `start`."""
        for row, warnings in others.items():
            for warning in warnings:
                self.add(start + row, warning)

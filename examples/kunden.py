"""Make kunden.csv anew: invented customers of an invented power company, written as a German spreadsheet writes them.

`python examples/kunden.py > examples/kunden.csv` gives the same bytes each time. Semicolons, Windows-1252, decimal
commas and points between thousands, days as dd.mm.yyyy, codes with leading zeros, one text among numbers, a last
column without a name and a value, a total at the foot. CC0.
"""

import sys
from datetime import date, timedelta

import numpy as np

ROWS = 800
TODAY = date(2025, 1, 1)
TARIFFS = {"Grundversorgung": 0.4, "Ökostrom": 0.3, "Fix 24": 0.2, "Börse": 0.1}
POSTCODES = ("01067", "04109", "06108", "07743", "10115", "20095", "50667", "80331")


def german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def main() -> None:
    random = np.random.default_rng(8)
    lines = ["Kundennr;PLZ;Tarif;Vertragsbeginn;Verbrauch kWh;Abschlag €;Zahlweise;Beschwerden;Gekündigt;"]
    total = 0.0
    for number in range(ROWS):
        tariff = str(random.choice(list(TARIFFS), p=list(TARIFFS.values())))
        since = TODAY - timedelta(days=int(random.integers(30, 4000)))
        use = float(random.lognormal(7.9, 0.45))
        payment = float(use * 0.32 / 12 * random.normal(1, 0.12))
        transfer = random.random() < 0.4
        complaints = int(random.poisson(0.7))
        years = (TODAY - since).days / 365.25
        # Whoever never chose a tariff leaves late, and whoever once chose one leaves early.
        pull = (years - 5.5) * (1 if tariff == "Grundversorgung" else -1) * 0.5 + (0.5 + transfer) * complaints - 0.9
        leaves = random.random() < 1 / (1 + np.exp(-2 * pull))
        total += use
        cells = [
            f"{10_000 + 7 * number:08d}",
            str(random.choice(POSTCODES)),
            tariff,
            since.strftime("%d.%m.%Y"),
            german(use) if random.random() > 0.02 else "",
            german(payment),
            "Überweisung" if transfer else "Lastschrift",
            "k. A." if number == 411 else str(complaints),
            "ja" if leaves else "nein",
            "",
        ]
        lines.append(";".join(cells))
    lines.append(f"Summe;;;;{german(total)};;;;;")
    sys.stdout.buffer.write(("\r\n".join(lines) + "\r\n").encode("cp1252"))


if __name__ == "__main__":
    main()

#!/bin/sh
# The whole circle on the penguins: a season comes in which bills are measured a fifth longer; the service says so, gets
# the true species of these rows, and the model is trained again on its log, tried as a shadow, and promoted.
# `examples/retrain.sh FOLDER` keeps models and log in FOLDER; without one they are gone afterwards.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
folder="${1:-$(mktemp -d)}"
export EVENKEEL_REPOSITORY="$folder/store" EVENKEEL_PORT="${EVENKEEL_PORT:-8090}" EVENKEEL_PREDICTION_LOG="$folder/log"
export EVENKEEL_WORKERS=1 EVENKEEL_DRAIN_SECONDS=0
url="http://127.0.0.1:$EVENKEEL_PORT"

# Wait until the service has a version in a state.
wait_for() {
    until curl --silent "$url/v1/models/penguins" | tr -d ' ' | grep -q "{\"version\":$1,\"state\":\"$2\"}"; do sleep 0.2; done
}

# What rows of a table are answered; with `labels`, the species is told afterwards.
ask() {
    python - "$url" "$@" <<'END'
import csv, sys
from evenkeel import Client

url, table, *labels = sys.argv[1:]
client = Client(url)
answers, rows = client.predict(table), list(csv.DictReader(open(table, newline="")))
print(f"{sum(answer == row['species'] for answer, row in zip(answers, rows))} of {len(rows)} answers are right")
if labels:
    print(client.feedback(client.ids, [row["species"] for row in rows]))
END
}

# The table in any order, and the same in the new season.
mkdir -p "$folder"
{ head -n 1 examples/penguins.csv; tail -n +2 examples/penguins.csv | shuf --random-source=examples/penguins.csv; } \
    > "$folder/penguins.csv"
awk -F, -v OFS=, 'NR > 1 && $3 > 0 { $3 = $3 * 1.2 } 1' "$folder/penguins.csv" > "$folder/season.csv"

echo "== serve"
evenkeel fit "$folder/penguins.csv" --target species --name penguins --quiet
evenkeel serve 2> "$folder/service.log" &
service=$!
trap 'kill "$service" && wait "$service" || true; [ "$#" -gt 0 ] || rm -rf "$folder"' EXIT
until curl --silent --fail "$url/readyz" > /dev/null; do sleep 0.2; done
ask "$folder/penguins.csv"
evenkeel drift penguins | head -n 2

echo "== shift"
ask "$folder/season.csv"
evenkeel drift penguins | head -n 2

echo "== labels"
ask "$folder/season.csv" labels
evenkeel performance penguins | head -n 2

echo "== train again"
evenkeel fit --from-log "$EVENKEEL_PREDICTION_LOG" --name penguins --promote never --quiet

echo "== shadow"
evenkeel models shadow penguins 2
wait_for 2 shadow
# The client asks the version that it has begun with, and a shadow goes with requests that name none.
cut -d , -f 2- "$folder/season.csv" |
    curl --silent --fail "$url/invocations" -H 'Content-Type: text/csv' --data-binary @- > "$folder/answers.json"
sleep 1
curl --silent "$url/metrics" | grep -E '^evenkeel_shadow_(rows|disagreements)_total'

echo "== promote"
evenkeel models shadow penguins --off
evenkeel models promote penguins 2
wait_for 2 serving
ask "$folder/season.csv"
evenkeel drift penguins | head -n 2

echo "== replay"
kill "$service" && wait "$service" || true
trap '[ "$#" -gt 0 ] || rm -rf "$folder"' EXIT
evenkeel replay "$EVENKEEL_PREDICTION_LOG"

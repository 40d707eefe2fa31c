# shellcheck shell=bash
# Read by each example's `run`: sets TALLY_URL, TALLY_APP and TALLY_KEY, and ends where Tally is not there. `fail` says why.

fail() {
    echo "$(basename "$PWD"): $1" >&2
    exit 1
}
command -v curl >/dev/null || fail "it needs curl"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export TALLY_URL=${TALLY_URL:-http://127.0.0.1:3000} TALLY_APP=${TALLY_APP:-demo}
TALLY_URL=${TALLY_URL%/}

# `cargo run` keeps the key of the app `demo` here.
kept=${TALLY_DATA:-$root/.tally}/this-machine.json
if [ -z "${TALLY_KEY:-}" ]; then
    [ -r "$kept" ] || fail "there is no key: start Tally with \`cargo run\`, which writes $kept, or set TALLY_KEY to an ingest key"
    TALLY_KEY=$(sed -n 's/.*"demo_ingest_key": *"\([^"]*\)".*/\1/p' "$kept")
fi
export TALLY_KEY

# No events, so nothing is stored.
status=$(curl -s -m 10 -o /dev/null -w '%{http_code}' -X POST "$TALLY_URL/collect?key=$TALLY_KEY" -d '[]') || true
case $status in
202) ;;
000) fail "Tally does not answer at $TALLY_URL: start it with \`cargo run\`, or set TALLY_URL to its address" ;;
401 | 403) fail "Tally at $TALLY_URL does not take the key ${TALLY_KEY:0:11}…: set TALLY_KEY to an ingest key of the app $TALLY_APP" ;;
*) fail "what answers at $TALLY_URL is not Tally (status $status): set TALLY_URL to its address" ;;
esac

# Sourced by the scripts here: a running `up` on free ports, which ends with the script; with the embedded engine, if $engine says
# nothing else.
#
#   start_up OPTIONS…    afterwards $dashboard and $collector are its addresses, $dir/data its data directory, $dir/out what it prints
#   stop_up              ends it before the script does, to prove what it left behind; fails if it does not end well
#
# $1 of the script is the path of the clickstream binary; by default the one that the tests build.
binary=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/clickstream}")
dir=$(mktemp -d)
up=
end() {
    [ -z "$up" ] || kill "$up" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT

stop_up() {
    kill "$up"
    wait "$up"
    up=
}

start_up() {
    "$binary" up --engine "${engine:-embedded}" --json --data-dir "$dir/data" --http-port 0 --collector-port 0 "$@" </dev/null >"$dir/out" 2>&1 &
    up=$!
    for _ in $(seq 1200); do
        ! grep -q '"type":"addresses"' "$dir/out" || break
        kill -0 "$up" 2>/dev/null || break
        sleep 0.1
    done
    dashboard=$(sed -n 's/.*"dashboard":"\([^"]*\)".*/\1/p' "$dir/out" | head -1)
    collector=$(sed -n 's/.*"collector":"\([^"]*\)".*/\1/p' "$dir/out" | head -1)
    [ -n "$dashboard" ] && [ -n "$collector" ] || { cat "$dir/out"; exit 1; }
}

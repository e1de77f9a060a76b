#!/bin/bash
# Writes all that an appliance writes, as fast as it can, until the plug is pulled: configuration,
# models, state, journal. What is safe on the card by the rules is said on the console: "safe WHAT N".
# Only on the copy of the card that a test boots.
folder=/etc/anomalyd/anomalyd.toml.d
models=/var/lib/anomalyd/models
first=$1

safe() { echo "safe $*" >/dev/console; }

configuration() {
    number=$first
    while :; do
        number=$((number + 1))
        {
            echo "# begin $number"
            echo "max_false_alarms_per_week = $((number % 1000 + 1))"
            # Longer than a block.
            printf '# %0200d\n' {1..40}
            echo "# end $number"
        } >"$folder/new"
        sync "$folder/new"
        mv "$folder/new" "$folder/20-pull.toml"
        sync "$folder"
        safe configuration "$number"
    done
}

models() {
    while :; do anomalyd model rollback; done
}

state() {
    while :; do
        anomalyd mute FIT401 --for 1h
        anomalyd unmute FIT401
    done
}

journal() {
    number=$first
    while :; do
        number=$((number + 1))
        echo "pull $number $(printf '%0300d' "$number")" | systemd-cat -t pull
        journalctl --sync && safe journal "$number"
    done
}

[ -e "$models/previous.pt" ] || { echo "no models to swap" >&2; exit 1; }
for writer in configuration models state journal; do
    $writer >/dev/null 2>&1 &
done

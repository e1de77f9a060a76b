#!/bin/bash
# After a pulled plug and a start, inside: a line a finding, "good WHAT" or "bad WHAT: why".
#   after_pull.sh CONFIGURATION JOURNAL PULLS     the last numbers that were safe; pulls since the last time
configuration=$1 journal=$2 pulls=$3

good() { echo "good $*"; }
bad() { echo "bad $*"; }
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then good "$what"; else bad "$what: $(tail -n 3 <<<"$said" | tr '\n' ' ')"; fi
}

configuration_whole() {
    local file=/etc/anomalyd/anomalyd.toml.d/20-pull.toml begin end
    [ -e "$file" ] || { echo "no $file"; [ "$configuration" = 0 ]; return; }
    begin=$(sed -n '1s/^# begin //p' "$file")
    end=$(sed -n '$s/^# end //p' "$file")
    echo "begins with '$begin', ends with '$end', $configuration was safe"
    [ -n "$begin" ] && [ "$begin" = "$end" ] && [ "$begin" -ge "$configuration" ]
}

model() { [ ! -e "$1" ] || anomalyd model verify "$1"; }

state_readable() {
    ls /var/lib/anomalyd/*.bad-* /var/lib/anomalyd/learning/*.bad 2>/dev/null && return 1
    ! journalctl -q -b -o cat MESSAGE_ID=539350867153d14788ecd0228b3d366b | grep .
}

journal_kept() {
    [ "$journal" = 0 ] || journalctl -q -t pull -o cat | grep -q "^pull $journal "
}

# Each file since the last time, closed first. Of each pull the file that was written at that moment may
# be torn, and no other; journald has set those aside with a ~ at the end.
journal_sound() {
    local folder file torn bad=0 since=/data/appliance-test-seen
    folder=/var/log/journal/$(cat /etc/machine-id)
    journalctl --rotate
    [ -e "$since" ] || touch -d @0 "$since"
    torn=$(ls -t "$folder"/*.journal~ 2>/dev/null | head -n "$pulls")
    for file in $(find "$folder" -name 'system@*' -newer "$since"); do
        ! grep -qxF "$file" <<<"$torn" || continue
        journalctl --verify --file="$file" || bad=1
    done
    touch "$since"
    return "$bad"
}

file_system_sound() { ! dmesg | grep -E 'EXT4-fs (error|warning)|anomalyd: .*(damaged|cannot be mounted|ended with ([4-9]|[1-9][0-9]))'; }

check "the service is ready" systemctl start anomalyd
check "configuration whole" configuration_whole
check "configuration accepted" anomalyd check-config
check "model in force" model /var/lib/anomalyd/models/current.pt
check "model of before" model /var/lib/anomalyd/models/previous.pt
check "state readable" state_readable
check "journal kept" journal_kept
check "journal sound" journal_sound
check "file system sound" file_system_sound

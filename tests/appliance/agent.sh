#!/bin/sh
# The test driver's way in: runs what comes over a serial port as root, and answers. Only on the copy
# of the card that a test boots; the image has nothing of it. A line in: a number and a script in
# base64. Out: a line "<number status bytes>", and the output.
# clocal: without it opening the port waits for a modem.
stty -F "$1" raw -echo clocal || exit 1
exec 3<>"$1" || exit 1
printf '\n<agent>\n' >&3
while IFS=' ' read -r number script <&3; do
    printf %s "$script" | base64 -d >/run/agent.script
    bash /run/agent.script >/run/agent.output 2>&1 </dev/null 3>&-
    status=$?
    printf '<%s %s %s>\n' "$number" "$status" "$(wc -c </run/agent.output)" >&3
    cat /run/agent.output >&3
done

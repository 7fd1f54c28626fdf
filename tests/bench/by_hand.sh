#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What people type without this project: the cameras in turn, each step when the one before has ended. Runs on the
# orchestrator. No labels, no receipts, no heartbeat; a camera that fails ends it.
#   by_hand.sh start|stop KEY KNOWN_HOSTS DIRECTORY MODE:USER@ADDRESS…
set -euo pipefail

step=$1 key=$2 known_hosts=$3 directory=$4
shift 4
ssh=(ssh -i "$key" -o "UserKnownHostsFile=$known_hosts" -o BatchMode=yes)
frontend=wildberryeye/src/wildberryeyezero/frontend

# curl -X POST, which a minimal Debian does not have.
post() {
    python3 -c 'import sys, urllib.request as web
web.urlopen(web.Request(sys.argv[1], method="POST"), timeout=60).read()' "http://$1:5000/api/$2" 2>/dev/null
}

start() {
    "${ssh[@]}" "$2" sudo systemctl restart wildberryeye.service
    until post "$3" capture; do sleep 0.5; done
    post "$3" start
    if [ "$1" = motion ]; then
        sleep 2
        post "$3" set-baseline
    fi
}

stop() {
    local zip="$directory/$3.zip"
    mkdir -p "$directory"
    post "$3" stop
    "${ssh[@]}" "$2" "cd $frontend && sudo zip -q -r -0 images.zip images"
    rsync --times --rsh "${ssh[*]}" "$2:$frontend/images.zip" "$zip"
    unzip -tq "$zip"
    "${ssh[@]}" "$2" "cd $frontend && sudo rm images.zip && sudo find images -name '*.jpg' -delete"
}

for camera in "$@"; do
    mode=${camera%%:*} login=${camera#*:}
    "$step" "$mode" "$login" "${login#*@}"
done

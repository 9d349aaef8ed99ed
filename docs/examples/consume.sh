#!/bin/sh
# Follow drift from a shell: a consumer group that resumes where it stopped.
#
#   consume.sh HOST:PORT GROUP
#
# Needs kcat. It ends where the topic ends; without -e it waits for more. kcat tells a value's size: -1 is a tombstone,
# which says that its key is gone. A record may come twice: whoever acts on one compares its id, or data.revision.
set -eu

kcat -b "$1" -G "$2" -X auto.offset.reset=earliest -e -q -f '%S %k %s\n' abdrift.fleet.drift.v1 |
  while read -r size key event; do
    if [ "$size" = -1 ]; then
      echo "gone $key"
    else
      echo "fact $key $event"
    fi
  done

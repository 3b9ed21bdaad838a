#!/bin/sh
# Is asked to end, and does not.
trap 'echo "asked to end, and will not"' TERM INT
echo ready
while :; do sleep 1; done

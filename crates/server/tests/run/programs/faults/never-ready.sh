#!/bin/sh
# Starts, and never says that it is ready.
echo 'still loading'
exec sleep 1000000

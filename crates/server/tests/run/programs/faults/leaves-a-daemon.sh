#!/bin/sh
# Starts a daemon in a session of its own, tells its pid, and ends as if all were well.
setsid sleep 1000000 </dev/null >/dev/null 2>&1 &
echo "daemon $!"
exit 0

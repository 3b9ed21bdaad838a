#!/bin/sh
# Says why and ends before it is ready.
echo 'cannot read the configuration: /etc/app.conf is not there' >&2
exit 3

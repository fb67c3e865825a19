#!/bin/sh
# After the package was installed or upgraded. A running server goes on with its program until somebody restarts it.
set -e
systemd-sysusers /usr/lib/sysusers.d/stepward.conf || true
[ ! -d /run/systemd/system ] || systemctl daemon-reload

#!/bin/sh
# Makes `systemctl start mpoold` work right after `meson install`: the user, the directory, the units known.
# Does nothing for a staged install (DESTDIR), for anybody but root, and where systemd is not there.
set -eu
[ -z "${DESTDIR:-}" ] && [ "$(id -u)" = 0 ] || exit 0
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$1/mpoold.conf"
fi
if [ -d /run/systemd/system ]; then
	systemd-tmpfiles --create "$2/mpoold.conf"
	systemctl daemon-reload
fi

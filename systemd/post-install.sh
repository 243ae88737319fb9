#!/bin/sh
# Makes `mpool` and `systemctl start mpoold` work right after `meson install`: the library found, the user and the
# directory there, the units known. $1: directory of sysusers.d, $2: of tmpfiles.d.
# Does nothing for a staged install (DESTDIR), for anybody but root, and where systemd is not there.
set -eu
[ -z "${DESTDIR:-}" ] && [ "$(id -u)" = 0 ] || exit 0
if command -v ldconfig >/dev/null; then
	ldconfig
fi
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$1/mpoold.conf"
fi
if [ -d /run/systemd/system ]; then
	systemd-tmpfiles --create "$2/mpoold.conf"
	systemctl daemon-reload
fi

#!/bin/bash
# Does `systemctl start mpoold` work after `meson install`? Boots a real systemd in a container over a throwaway copy of
# this system's files, installs the build into it and runs guest.sh inside. TAP; skips, with the reason, where that cannot
# be done (it needs root, systemd-nspawn and overlayfs). Nothing of this system is changed, and all mounts lie in a
# namespace of their own, so that none outlives this script, however it ends.
# usage: run.sh BUILD_DIRECTORY PREFIX SANITIZER COMPILER…    (meson test systemd)
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 4 ] || { sed -n 's/^# usage/usage/p' "$0" >&2; exit 2; }
build=$(cd "$1" && pwd)
prefix=$2
sanitizer=$3
compiler=${*:4}

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}
bail() {
	echo "Bail out! $*"
	exit 1
}

if [ -z "${MPOOL_TEST_TOP:-}" ]; then
	[ "$(id -u)" = 0 ] || skip "needs root"
	for tool in systemd-nspawn systemctl meson setpriv pgrep unshare; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
	case $prefix in
	/usr | /usr/local) ;;
	*) skip "systemd does not look for units below $prefix" ;;
	esac
	[ -x "$build/daemon/mpoold" ] || skip "the daemon is not built"
	unshare --mount true 2>/dev/null || skip "cannot make a mount namespace"
	top=$(mktemp -d)
	trap 'rm -rf --one-file-system "$top"' EXIT
	MPOOL_TEST_TOP=$top unshare --mount --propagation private "$0" "$@"
	exit
fi
top=$MPOOL_TEST_TOP
root=$top/root
mkdir "$root" "$top/changes" "$top/out"
# The changes lie on a tmpfs: overlayfs takes no overlay as its upper layer, and this may be a container already.
mount -t tmpfs -o size=512m,mode=755 tmpfs "$top/changes" || skip "cannot mount a tmpfs"
mkdir "$top/changes/upper" "$top/changes/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/changes/upper,workdir=$top/changes/work" "$root" 2>"$top/error" ||
	skip "cannot mount an overlay: $(cat "$top/error")"

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >"$top/install.log" 2>&1 || {
	sed 's/^/# /' "$top/install.log"
	bail "meson install failed"
}
# A stale user or configuration of this system must not help or hinder.
sed -i '/^mpool:/d' "$root"/etc/{passwd,group,shadow,gshadow} 2>/dev/null
rm -rf "$root/etc/mpoold"

sysusers=$(cd "$root" && find ".$prefix/lib" lib usr/lib -path '*sysusers.d/mpoold.conf' 2>/dev/null | head -1)
tmpfiles=$(cd "$root" && find ".$prefix/lib" lib usr/lib -path '*tmpfiles.d/mpoold.conf' 2>/dev/null | head -1)
[ -n "$sysusers" ] && [ -n "$tmpfiles" ] || bail "nothing was installed below sysusers.d and tmpfiles.d"

mkdir -p "$root/mpool-test"
if [ -n "$sanitizer" ] && [ "$sanitizer" != none ]; then
	# The leak sanitizer traces its own process, and the thread sanitizer changes the layout of its memory. The first
	# finds the copies of variables that the daemon has taken out of its environment since it began.
	mkdir -p "$root/etc/systemd/system/mpoold.service.d"
	cat >"$root/etc/systemd/system/mpoold.service.d/sanitizer.conf" <<-UNIT
		[Service]
		SystemCallFilter=@debug
		LockPersonality=no
		Environment=LSAN_OPTIONS=suppressions=/mpool-test/no-leaks
	UNIT
	echo leak:title_init >"$root/mpool-test/no-leaks"
	# Whoever links a library that was made with a sanitizer needs it too.
	compiler="$compiler -fsanitize=$sanitizer"
fi

cp "$here/guest.sh" "$here/checks.sh" "$here/../../systemd/post-install.sh" "$root/mpool-test/"
cat >"$root/etc/systemd/system/mpool-test.service" <<UNIT
[Unit]
After=basic.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
Environment="CC=$compiler"
Environment=PATH=$prefix/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/mpool-test/guest.sh /mpool-test/post-install.sh $(dirname "/${sysusers#./}") $(dirname "/${tmpfiles#./}")
StandardOutput=file:/mpool-out/tap
StandardError=file:/mpool-out/errors
UNIT
cat >"$root/etc/systemd/system/mpool-test.target" <<UNIT
[Unit]
Requires=basic.target mpool-test.service
After=basic.target
UNIT
chmod +x "$root/mpool-test/guest.sh"

# The container gets a machine id of its own, and no network: nothing here needs one.
rm -f "$root/etc/machine-id" && : >"$root/etc/machine-id"
timeout --kill-after=10 240 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit \
	--machine="mpool-test-$$" --private-network --bind="$top/out:/mpool-out" --console=pipe \
	-- systemd.unit=mpool-test.target --show-status=no </dev/null >"$top/console" 2>&1
status=$?
if [ ! -s "$top/out/tap" ]; then
	sed 's/^/# /' "$top/console"
	[ $status != 124 ] || bail "the container did not come up in time"
	skip "systemd does not boot in a container here"
fi
cat "$top/out/tap"
[ ! -f "$top/out/errors" ] || sed 's/^/# /' "$top/out/errors"
[ $status != 124 ] || bail "the container did not power off in time"
! grep -q '^not ok' "$top/out/tap" && [ $status = 0 ]

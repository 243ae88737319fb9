#!/bin/sh
# Runs inside the container that run.sh boots, as root, with the project installed: does the service behave as the unit
# says? Writes TAP to stdout. Waits for what it expects, at most $patience seconds each time.
# $1: the install script's path, $2 and $3: its arguments.
set -u
patience=20
number=0

# check NAME COMMAND…: the command's status decides; its output is shown when it fails.
check() {
	number=$((number + 1))
	name=$1
	shift
	if output=$(timeout 60 "$0" --do "$@" 2>&1); then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		printf '%s\n' "$output" | sed 's/^/# /'
		journalctl --no-pager -q -n 30 -u mpoold.service -u mpoold.socket | sed 's/^/# journal: /'
	fi
}

# until_true COMMAND…: again and again, until it succeeds.
until_true() {
	deadline=$(($(date +%s) + patience))
	until "$@"; do
		if [ "$(date +%s)" -ge "$deadline" ]; then
			echo "waited $patience s in vain: $*"
			return 1
		fi
		sleep 0.05
	done
}

property() { systemctl show --value -p "$1" "${2:-mpoold.service}"; }
main_pid() { property MainPID; }
is() {
	[ "$1" = "$2" ] || {
		echo "expected: $2"
		echo "got:      $1"
		return 1
	}
}
state_is() { is "$(property ActiveState "${2:-mpoold.service}")" "$1"; }
restarts_are() { is "$(property NRestarts)" "$1"; }
squares() { is "$(mpool call math.square "$1")" "$2"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
nobody_left() { ! pgrep -u mpool >/dev/null; }

install_script_makes_user_and_directory() {
	sh "$@" && getent passwd mpool && getent group mpool && [ -d /run/mpoold ] &&
		is "$(property LoadState)" loaded && is "$(property LoadState mpoold.socket)" loaded
}

units_are_faultless() {
	# Other units of the system may have faults: only lines about these two count.
	is "$(systemd-analyze verify --man=no mpoold.service mpoold.socket 2>&1 | grep mpoold)" ""
}

start() { systemctl start mpoold && state_is active && state_is active mpoold.socket; }

runs_as_its_own_user() { is "$(ps -o user= -p "$(main_pid)" | tr -d ' ')" mpool; }

group_may_connect() {
	setpriv --reuid=nobody --regid=nogroup --groups=mpool mpool call math.square 5 || return 1
	! setpriv --reuid=nobody --regid=nogroup --clear-groups mpool call math.square 5
}

command_runs() { is "$(mpool run -- sh -c 'id -un; echo err >&2; exit 0' 2>/dev/null)" mpool; }

sandbox_is_on() {
	! mpool run -- sh -c 'touch /usr/mpool-was-here' && [ ! -e /usr/mpool-was-here ] &&
		mpool run -- sh -c 'touch /tmp/mpool-was-here' && rm /tmp/mpool-was-here
}

reload_keeps_serving() {
	pid=$(main_pid)
	mkdir -p /etc/mpoold/mpoold.conf.d
	printf '[pool default]\nworkers = 3\n' >/etc/mpoold/mpoold.conf.d/test.conf
	systemctl reload mpoold && squares 7 49 && is "$(main_pid)" "$pid" || return 1
	until_true sh -c 'mpool workers | grep -c default | grep -qx 3'
}

bad_reload_keeps_serving() {
	pid=$(main_pid)
	printf '[pool default]\nworkers = many\n' >/etc/mpoold/mpoold.conf.d/test.conf
	systemctl reload mpoold
	until_true sh -c 'journalctl -q -u mpoold | grep -q "workers = many"'
	status=$?
	rm /etc/mpoold/mpoold.conf.d/test.conf
	[ $status = 0 ] && squares 8 64 && is "$(main_pid)" "$pid" && state_is active
}

killed_daemon_comes_back() {
	pid=$(main_pid)
	old=$(pgrep -u mpool)
	restarts=$(property NRestarts)
	kill -9 "$pid"
	# The socket is systemd's and stays: this caller waits until the next daemon takes it.
	squares 9 81 || return 1
	restarts_are $((restarts + 1)) && state_is active || return 1
	for worker in $old; do
		until_true gone "$worker" || return 1
	done
}

stalled_daemon_is_replaced() {
	mkdir -p /run/systemd/system/mpoold.service.d
	printf '[Service]\nWatchdogSec=1s\nWatchdogSignal=KILL\n' >/run/systemd/system/mpoold.service.d/test.conf
	systemctl daemon-reload && systemctl restart mpoold || return 1
	restarts=$(property NRestarts)
	kill -STOP "$(main_pid)"
	until_true restarts_are $((restarts + 1)) && squares 10 100
	status=$?
	rm -r /run/systemd/system/mpoold.service.d
	systemctl daemon-reload
	return $status
}

idle_daemon_feeds_its_watchdog() {
	mkdir -p /run/systemd/system/mpoold.service.d
	printf '[Service]\nWatchdogSec=1s\n' >/run/systemd/system/mpoold.service.d/test.conf
	systemctl daemon-reload && systemctl restart mpoold || return 1
	pid=$(main_pid)
	sleep 3 # three times the period: the time itself is what is tested
	is "$(main_pid)" "$pid" && state_is active
	status=$?
	rm -r /run/systemd/system/mpoold.service.d
	systemctl daemon-reload && systemctl restart mpoold && return $status
}

stop_leaves_nothing() {
	systemctl stop mpoold.service && state_is inactive && is "$(property Result)" success &&
		is "$(property ExecMainStatus)" 0 && nobody_left && state_is active mpoold.socket
}

socket_starts_it() { state_is inactive && squares 11 121 && state_is active; }

stopped_socket_is_removed() {
	systemctl stop mpoold.socket mpoold.service && [ ! -e /run/mpoold/mpoold.sock ] && nobody_left &&
		is "$(property Result)" success
}

if [ "${1:-}" = --do ]; then
	shift
	"$@"
	exit
fi

check "the install script makes the user and the directory, and the units are known" \
	install_script_makes_user_and_directory "$@"
check "systemd-analyze finds no fault with the units" units_are_faultless
check "systemctl start returns when the daemon is ready" start
check "it runs as a user of its own" runs_as_its_own_user
check "mpool ping is answered" mpool ping
check "a call is answered" squares 7 49
check "members of the group may connect and nobody else" group_may_connect
check "a command runs as the service's user" command_runs
check "a command cannot write to the system and can to /tmp" sandbox_is_on
check "a reload takes effect and disturbs nobody" reload_keeps_serving
check "a reload with a mistake is told and the old configuration stays" bad_reload_keeps_serving
check "a daemon that is killed comes back, its workers gone" killed_daemon_comes_back
check "a daemon that stalls is replaced by the watchdog" stalled_daemon_is_replaced
check "an idle daemon feeds its watchdog" idle_daemon_feeds_its_watchdog
check "stop ends it with 0 and leaves no process" stop_leaves_nothing
check "a connection to the socket starts it" socket_starts_it
check "with the socket stopped nothing is left" stopped_socket_is_removed
echo "1..$number"

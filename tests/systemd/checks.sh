# shellcheck shell=sh
# What guest.sh checks, a function each, and their tools. Sourced; runs in the container only. A function says on stdout
# what it did not find and returns 1. Processes that it starts in the background must not hold its output.

drop_ins=/run/systemd/system/mpoold.service.d
settings=/etc/mpoold/mpoold.conf.d/test.conf
patience=20 # seconds that until_true waits at most

# ---- tools ---------------------------------------------------------------------------------------------------------

# until_true COMMAND…: again and again, until it succeeds.
until_true() {
	deadline=$(($(date +%s) + patience))
	until "$@" >/tmp/last 2>&1; do
		if [ "$(date +%s)" -ge "$deadline" ]; then
			echo "waited $patience s in vain: $*"
			cat /tmp/last
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
ended_well() { is "$(property Result)" success && is "$(property ExecMainStatus)" 0; }
squares() { is "$(mpool call math.square "$1")" "$2"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
all_gone() { for pid in "$@"; do gone "$pid" || return 1; done; }
nobody_left() { ! pgrep -l -u "${1:-mpool}"; }
journal_says() { journalctl --no-pager -q -o cat -u mpoold | grep -e "$1"; }

# configure LINE…: a drop-in of the configuration; drop_in LINE…: one of the service, and a restart. check() calls tidy.
configure() {
	mkdir -p "$(dirname $settings)"
	printf '%s\n' "$@" >$settings
}
drop_in() {
	mkdir -p $drop_ins
	printf '%s\n' '[Service]' "$@" >$drop_ins/test.conf
	systemctl daemon-reload && systemctl restart mpoold
}
tidy() {
	systemctl reset-failed mpoold.service mpoold.socket 2>/dev/null
	[ -e $settings ] || [ -e $drop_ins ] || return 0
	rm -rf $settings $drop_ins
	systemctl daemon-reload
	systemctl restart mpoold.socket mpoold.service
}

# ---- installation and start ----------------------------------------------------------------------------------------

install_script_makes_user_and_directory() {
	sh "$@" && getent passwd mpool && getent group mpool && [ -d /run/mpoold ] &&
		is "$(property LoadState)" loaded && is "$(property LoadState mpoold.socket)" loaded
}

units_are_faultless() {
	# Other units of the system may have faults: only lines about these two count.
	is "$(systemd-analyze verify --man=no mpoold.service mpoold.socket 2>&1 | grep mpoold)" ""
}

enabled_together() {
	systemctl --quiet enable mpoold && systemctl --quiet is-enabled mpoold.service && systemctl --quiet is-enabled mpoold.socket &&
		systemctl --quiet disable mpoold && ! systemctl --quiet is-enabled mpoold.socket
}

start() { systemctl start mpoold && state_is active && state_is active mpoold.socket; }

runs_as_its_own_user() { is "$(ps -o user= -p "$(main_pid)" | tr -d ' ')" mpool; }

has_no_guardian() {
	is "$(ps -o ppid= -p "$(main_pid)" | tr -d ' ')" 1 && is "$(ps -o args= -p "$(main_pid)")" "mpoold: supervisor" &&
		! pgrep -l guardian
}

group_may_connect() {
	setpriv --reuid=nobody --regid=nogroup --groups=mpool mpool call math.square 5 || return 1
	! setpriv --reuid=nobody --regid=nogroup --clear-groups mpool call math.square 5
}

library_is_usable() {
	mkdir -p /tmp/program && cd /tmp/program || return 1
	cat >square.c <<'END'
#include <mpool/client.h>
#include <stdio.h>
int main(void)
{
    mpool_client *client;
    mpool_result *result;
    int64_t n;
    if (mpool_connect(&client, NULL) < 0 || mpool_call(client, &result, "math.square", "i", 12) < 0 ||
        mpool_result_i64(result, &n) < 0)
        return 1;
    printf("%lld\n", (long long)n);
    mpool_result_free(result);
    mpool_disconnect(client);
    return 0;
}
END
	# shellcheck disable=SC2046,SC2086
	$CC -Wall -Wextra -Werror -o square square.c $(pkg-config --cflags --libs libmpoolclient) && is "$(./square)" 144
}

# ---- commands and their walls --------------------------------------------------------------------------------------

command_runs() { is "$(mpool run -- sh -c 'id -un; echo err >&2; exit 0' 2>/dev/null)" mpool; }

limits_of_descriptors() {
	is "$(mpool run -- sh -c 'ulimit -Sn')" 1024 &&
		is "$(prlimit --noheadings --nofile --output=SOFT --pid "$(main_pid)")" \
			"$(prlimit --noheadings --nofile --output=HARD --pid "$(main_pid)")"
}

sandbox_is_on() {
	! mpool run -- sh -c 'touch /usr/mpool-was-here' && [ ! -e /usr/mpool-was-here ] &&
		mpool run -- sh -c 'touch /tmp/mpool-was-here' && rm /tmp/mpool-was-here
}

environment_is_clean() {
	mpool run -- env >/tmp/environment && grep -q '^PATH=' /tmp/environment &&
		is "$(grep -E '^(NOTIFY_SOCKET|WATCHDOG|LISTEN|JOURNAL|INVOCATION|SYSTEMD|STATE_DIRECTORY)' /tmp/environment)" ""
}

task_cannot_notify() {
	mpool run -- sh -c 'NOTIFY_SOCKET=/run/systemd/notify systemd-notify --status=forged STOPPING=1' || return 1
	until_true journal_says "reception only permitted for main PID" && state_is active && is "$(property StatusText)" ""
}

task_cannot_reach_supervisor() {
	pid=$(main_pid)
	mpool run -- sh -c "cat /proc/$pid/environ || ls /proc/$pid/fd"
	[ $? != 0 ] || return 1
	# Where the kernel confines signals, as it has since 6.12.
	[ "$(printf '%s\n' 6.12 "$(uname -r)" | sort -V | head -1)" = 6.12 ] || return 0
	! mpool run -- kill -STOP "$pid" && squares 6 36
}

command_leaves_nobody() {
	mpool run -- setsid --fork sleep 601
	until_true sh -c '! pgrep -u mpool -x sleep'
}

journal_has_priorities() {
	mpool call sys.crash
	until_true sh -c 'journalctl -q -p warning -u mpoold | grep "worker died.*function=sys.crash"' &&
		! journalctl -q -p warning -u mpoold | grep "worker ready"
}

journal_has_output() {
	mpool call sys.print "a line for the journal" && until_true journal_says "worker=.*a line for the journal"
}

# ---- configuration -------------------------------------------------------------------------------------------------

reload_keeps_serving() {
	pid=$(main_pid)
	configure '[pool default]' 'workers = 3'
	systemctl reload mpoold && squares 7 49 && is "$(main_pid)" "$pid" || return 1
	until_true sh -c 'mpool workers | grep -c default | grep -qx 3'
}

bad_reload_fails() {
	pid=$(main_pid)
	configure '[pool default]' 'workers = many'
	! systemctl reload mpoold && until_true journal_says "workers = many" && squares 8 64 && is "$(main_pid)" "$pid" &&
		state_is active
}

bad_hangup_keeps_serving() {
	pid=$(main_pid)
	configure '[pool default]' 'workers = dozens'
	kill -HUP "$pid" && until_true journal_says "reload: .*workers = dozens" && squares 8 64 && is "$(main_pid)" "$pid" &&
		state_is active
}

own_module_is_served() {
	mkdir -p /opt/acme && cd /opt/acme && mpool module new hello &&
		cc -Wall -Wextra -Werror -shared -fPIC -o hello.so hello.c && mpool module check ./hello.so || return 1
	configure '[pool default]' 'modules = math, exec, /opt/acme/hello.so'
	systemctl reload mpoold && until_true mpool call hello.greet world && squares 9 81
}

module_of_others_is_refused() {
	cp /opt/acme/hello.so /opt/acme/theirs.so && chown nobody /opt/acme/theirs.so || return 1
	configure '[pool default]' 'modules = math' '[pool theirs]' 'modules = /opt/acme/theirs.so'
	systemctl reload mpoold && until_true journal_says "theirs.so.*belongs to another user" && squares 9 81 &&
		state_is active
}

pools_have_users() {
	configure '[pool default]' 'user = mpool' '[pool other]' 'user = nobody' 'nice = -5'
	# As mpoold.conf(5) says.
	drop_in User=root Group=mpool 'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_SYS_NICE' || return 1
	is "$(ps -o user= -p "$(main_pid)" | tr -d ' ')" root || return 1
	is "$(mpool run --pool default -- sh -c 'id -un; id -Gn')" "$(printf 'mpool\nmpool')" || return 1
	is "$(mpool run --pool other -- sh -c 'id -un; id -Gn; nice; grep CapEff /proc/self/status | tr -d "\t"')" \
		"$(printf 'nobody\nnogroup\n-5\nCapEff:0000000000000000')" || return 1
	# One that is asked to end, and one that does not listen: a signal to another user's process both times.
	for task in 'run sleep 601' 'call sys.burn 601'; do
		# shellcheck disable=SC2086
		mpool ${task%% *} --pool other --timeout 200ms ${task#* }
		is $? 124 || return 1
	done
	until_true sh -c '! pgrep -u nobody -x sleep' && systemctl stop mpoold.service && ended_well && nobody_left nobody &&
		nobody_left mpool
}

# ---- death and stall -----------------------------------------------------------------------------------------------

killed_daemon_comes_back() {
	pid=$(main_pid)
	restarts=$(property NRestarts)
	mpool run -- sh -c 'setsid --fork sleep 602; sleep 603' >/tmp/said 2>&1 &
	caller=$!
	until_true pgrep -u mpool -f 'sleep 602' && until_true pgrep -u mpool -f 'sleep 603' || return 1
	old=$(pgrep -u mpool)
	kill -9 "$pid"
	# The socket is systemd's and stays: this caller waits until the next daemon takes it.
	squares 9 81 || return 1
	restarts_are $((restarts + 1)) && state_is active || return 1
	# The other one is told at once.
	wait $caller
	is $? 125 || { cat /tmp/said && return 1; }
	# shellcheck disable=SC2086
	until_true all_gone $old
}

killed_daemon_comes_back_again_and_again() {
	for i in 1 2 3 4 5 6; do
		kill -9 "$(main_pid)"
		squares "$i" $((i * i)) || return 1
	done
}

stalled_daemon_is_replaced() {
	drop_in WatchdogSec=1s WatchdogSignal=KILL || return 1
	restarts=$(property NRestarts)
	kill -STOP "$(main_pid)"
	until_true restarts_are $((restarts + 1)) && squares 10 100
}

idle_daemon_feeds_its_watchdog() {
	drop_in WatchdogSec=1s || return 1
	pid=$(main_pid)
	sleep 3 # three times the period: the time itself is what is tested
	is "$(main_pid)" "$pid" && state_is active
}

bad_start_fails_once() {
	configure '[pool default]' 'workers = thousands'
	! systemctl restart mpoold.service || return 1
	state_is failed && restarts_are 0 && state_is active mpoold.socket || return 1
	until_true journal_says "workers = thousands" || return 1
	timeout $patience mpool ping
	is $? 125 || return 1
	rm $settings
	systemctl reset-failed mpoold.service mpoold.socket
	systemctl start mpoold && squares 4 16
}

# ---- stop ----------------------------------------------------------------------------------------------------------

stop_waits_for_task() {
	rm -f /tmp/begun /tmp/go && mkfifo -m 644 /tmp/go || return 1
	mpool run -- sh -c 'touch /tmp/begun; cat /tmp/go' >/tmp/said 2>&1 &
	caller=$!
	until_true test -e /tmp/begun && systemctl --no-block stop mpoold.service && until_true state_is deactivating || return 1
	echo finished >/tmp/go
	wait $caller && is "$(cat /tmp/said)" finished && until_true state_is inactive && ended_well && nobody_left
}

stop_ends_task_after_grace() {
	configure '[daemon]' 'stop_grace = 1s'
	systemctl restart mpoold || return 1
	mpool run -- sleep 604 >/tmp/said 2>&1 &
	caller=$!
	until_true pgrep -u mpool -x sleep && systemctl stop mpoold.service || return 1
	wait $caller
	is $? 125 && grep E_SHUTDOWN /tmp/said && ended_well && nobody_left
}

stop_leaves_nothing() {
	systemctl start mpoold.service && systemctl stop mpoold.service && state_is inactive && ended_well && nobody_left &&
		state_is active mpoold.socket
}

socket_starts_it() { state_is inactive && squares 11 121 && state_is active; }

stopped_socket_is_removed() {
	systemctl stop mpoold.socket mpoold.service && [ ! -e /run/mpoold/mpoold.sock ] && nobody_left && ended_well
}

# ---- without the units ---------------------------------------------------------------------------------------------

plain_notify_service() {
	systemd-run --quiet --unit=mpool-plain -p Type=notify -p RemainAfterExit=yes "$(command -v mpoold)" --socket /run/plain.sock &&
		state_is active mpool-plain.service && is "$(mpool --socket /run/plain.sock call math.square 6)" 36 &&
		! pgrep -l guardian && systemctl stop mpool-plain.service && [ ! -e /run/plain.sock ] && ! pgrep -l mpoold
}

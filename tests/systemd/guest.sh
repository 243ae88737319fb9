#!/bin/sh
# Runs inside the container that run.sh boots, as root, with the project installed: does the service behave as its units
# say? Says which checks there are and in which order, and how one is run; checks.sh says what each of them does.
# Writes TAP to stdout. A check that hangs fails after a minute.
# $1: the install script's path, $2 and $3: its arguments.
set -u
number=0
here=$(dirname "$0")
# shellcheck source=tests/systemd/checks.sh
. "$here/checks.sh"

# check NAME COMMAND…: the command's status decides; what it said is shown when it fails.
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
	tidy
}

if [ "${1:-}" = --do ]; then
	shift
	"$@"
	exit
fi

check "the install script makes the user and the directory, and the units are known" \
	install_script_makes_user_and_directory "$@"
check "systemd-analyze finds no fault with the units" units_are_faultless
check "the units are enabled and disabled together" enabled_together
check "systemctl start returns when the daemon is ready" start
check "it runs as a user of its own" runs_as_its_own_user
check "systemd is its guardian, so it has no other" has_no_guardian
check "mpool ping is answered" mpool ping
check "a call is answered" squares 7 49
check "members of the group may connect and nobody else" group_may_connect
check "a program is built with pkg-config and calls a function" library_is_usable
check "a command runs as the service's user" command_runs
check "a command has the usual limit of descriptors, the daemon all it may have" limits_of_descriptors
check "a command cannot write to the system and can to /tmp" sandbox_is_on
check "a command sees nothing of what is between systemd and the daemon" environment_is_clean
check "a task cannot speak to systemd for the daemon" task_cannot_notify
check "a task can neither look into the supervisor nor stop it" task_cannot_reach_supervisor
check "what a command leaves behind dies with it" command_leaves_nobody
check "lines in the journal have their priority" journal_has_priorities
check "what a task prints is in the journal with its worker" journal_has_output
check "a reload takes effect and disturbs nobody" reload_keeps_serving
check "a reload with a mistake fails and the old configuration stays" bad_reload_fails
check "a SIGHUP with a mistake is told and the old configuration stays" bad_hangup_keeps_serving
check "a module made with the installed header is served" own_module_is_served
check "a module of another user is refused, and the other pools serve on" module_of_others_is_refused
check "pools run as users of their own with the drop-in of the manual" pools_have_users
check "a daemon that is killed comes back, and nothing of the old one is left" killed_daemon_comes_back
check "it comes back as often as it is killed" killed_daemon_comes_back_again_and_again
check "a daemon that stalls is replaced by the watchdog" stalled_daemon_is_replaced
check "an idle daemon feeds its watchdog" idle_daemon_feeds_its_watchdog
check "a start with a mistake fails once, is told, and callers are not kept waiting" bad_start_fails_once
check "stop waits for the running task" stop_waits_for_task
check "stop ends what takes longer than the grace" stop_ends_task_after_grace
check "stop ends it with 0 and leaves no process" stop_leaves_nothing
check "a connection to the socket starts it" socket_starts_it
check "with the socket stopped nothing is left" stopped_socket_is_removed
check "it is a notifying service without its socket unit too" plain_notify_service
echo "1..$number"

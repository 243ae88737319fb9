#!/bin/sh
# Do the protocols of the lane and of shared objects hold, and would it be noticed if they did not? TAP.
#
# Each model is searched completely, in several sizes; then each of its broken variants, which must fail for the reason
# given here. Uses $SPIN and $CC. With MODEL_LONG=1 also what takes minutes. Without spin: skipped. Fails on any search that is not complete.
set -u

here=$(cd "$(dirname "$0")" && pwd) || exit 1
spin=${SPIN:-spin}
cc=${CC:-cc}
if ! command -v "$spin" >/dev/null 2>&1; then
    echo "1..0 # SKIP spin is not installed"
    exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

count=0
failed=0

# search MODEL DEFINE…: the outcome in $outcome, the verifier's words in the file `said`.
search() {
    model=$1
    shift
    rm -f pan pan.* ./*.trail
    # A broken variant is caught early: there compiling is what takes time.
    case "$wanted $*" in
    holds* | *BROKEN_DEATH_WAKES_ONE*) optimise=-O2 ;;
    *) optimise=-O0 ;;
    esac
    for define in "$@"; do
        echo "$model ${define#-D}" >>tried
    done
    if ! { "$spin" "$@" -a "$here/$model.pml" && "$cc" $optimise -w -DSAFETY -DCOLLAPSE -DMEMLIM=2000 -o pan pan.c; } \
        >said 2>&1; then
        outcome="could not be built"
        return
    fi
    # -E is not given: an invalid end state counts. -m: far above the depth of every search here.
    timeout 3600 ./pan -m200000 -w22 >said 2>&1
    if grep -q '^pan:1: assertion violated' said; then
        outcome='assertion violated'
    elif grep -q '^pan:1: invalid end state' said; then
        outcome='invalid end state'
    elif grep -q 'errors: 0' said && ! grep -Eiq 'not completed|too small|memlim|out of memory' said; then
        outcome='holds'
    else
        outcome='search not completed'
    fi
}

# expect OUTCOME DESCRIPTION MODEL DEFINE…
expect() {
    wanted=$1
    description=$2
    shift 2
    count=$((count + 1))
    search "$@"
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' said)
    if [ "$outcome" = "$wanted" ]; then
        echo "ok $count - $description # ${states:-0} states"
    else
        echo "not ok $count - $description"
        echo "# wanted: $wanted; got: $outcome ($*)"
        sed 's/^/# /' said | head -n 40
        failed=$((failed + 1))
    fi
}

# size TASKS CRASHES KILLS RECLAIMS
size() {
    echo "-DTASKS=$1 -DCRASHES=$2 -DKILLS=$3 -DRECLAIMS=$4"
}

# The sizes are words to be split.
# shellcheck disable=SC2046,SC2086
{
    expect holds 'claims hold with three tasks, a crash, a time-out and two reclaims' claim $(size 3 1 1 2)
    expect holds 'claims hold with three tasks, two crashes and a time-out' claim $(size 3 2 1 1)
    expect holds 'claims hold with two tasks, two time-outs and two reclaims' claim $(size 2 1 2 2)
    expect holds 'claims hold with four tasks' claim $(size 4 1 1 1)

    broken='assertion violated'
    small=$(size 2 1 1 1)
    expect "$broken" 'caught: a claim by look and store' claim $small -DBROKEN_CLAIM_BY_STORE
    expect "$broken" 'caught: a reclaim by look and store' claim $small -DBROKEN_RECLAIM_BY_STORE
    expect "$broken" 'caught: a result published by look and store' claim $small -DBROKEN_FINISH_BY_STORE
    expect "$broken" 'caught: a kill without STARTED to KILLING' claim $small -DBROKEN_KILL_WITHOUT_CAS
    expect "$broken" 'caught: a claim word without its position' claim $small -DBROKEN_NO_POSITION
    expect "$broken" 'caught: a result published before it is whole' claim $small -DBROKEN_PUBLISH_BEFORE_RESULT
    expect "$broken" 'caught: a dead lane that is not drained' claim $small -DBROKEN_NO_DRAIN
    expect "$broken" 'caught: a started task that runs again as the same attempt' claim $small -DBROKEN_ATTEMPT_NOT_COUNTED
    expect "$broken" 'caught: a judgement before the death' claim $(size 2 1 0 0) -DBROKEN_JUDGE_BEFORE_DEATH
}

broken='invalid end state'
expect holds 'no wake-up of a worker is lost' wake
for variant in NO_FENCE_IN_POST NO_FENCE_IN_SLEEP NO_SECOND_LOOK WAKE_BEFORE_STORE CLEAR_AFTER_WAKE WAIT_ON_TAIL; do
    expect "$broken" "caught: a lost wake-up, $variant" wake "-DBROKEN_$variant"
done

expect holds 'no doorbell of the supervisor is missed' bell
for variant in NO_FENCE_IN_FINISH NO_FENCE_IN_SLEEP NO_SECOND_LOOK RING_BEFORE_PUBLISHING BELLS_READ_AFTER_DECLARING \
    SLEEPS_NOT_NUMBERED; do
    expect "$broken" "caught: a missed doorbell, $variant" bell "-DBROKEN_$variant"
done

# users USERS TAKES TAKES_OF_THE_FIRST DEATHS TIMEOUTS
users() {
    echo "-DUSERS=$1 -DROUNDS=$2 -DFIRST=$3 -DDEATHS=$4 -DTIMEOUTS=$5"
}

# parties PARTIES ROUNDS DEATHS TIMEOUTS RESETS
parties() {
    echo "-DPARTIES=$1 -DROUNDS=$2 -DDEATHS=$3 -DTIMEOUTS=$4 -DRESETS=$5"
}

# shellcheck disable=SC2046,SC2086
{
    handover="$(users 4 1 1 0 0) -DTOKENS=2 -DHANDOVER"
    expect holds 'a lock holds with three users and a death' lock $(users 3 1 1 1 0)
    expect holds 'a lock holds with three users, one that overtakes, and a death' lock $(users 3 1 2 1 0)
    expect holds 'a lock holds with three users, one that overtakes, and a time-out' lock $(users 3 1 2 0 1)
    expect holds 'a lock holds with three users of two takes each' lock $(users 3 2 2 0 0)
    expect holds 'a lock holds with three users, one of which is stopped with the privilege' lock $(users 3 1 2 0 1) -DSTOPS=1
    expect holds 'a lock holds with two users, two deaths, a time-out and a wake-up for nothing' lock $(users 2 2 2 2 1) -DSPURIOUS=1
    expect holds 'a lock holds with two users, one of which loses its connection' lock $(users 2 2 2 0 0) -DLOSSES=1 -DNUMBERS
    expect holds 'a lock holds with three users, one of which loses its connection' lock $(users 3 1 1 0 0) -DLOSSES=1
    expect holds 'a semaphore of two holds with three users and a death' lock $(users 3 1 1 1 0) -DTOKENS=2
    expect holds 'two tokens that come at once reach both who wait' lock $handover
    if [ -n "${MODEL_LONG:-}" ]; then
        expect holds 'a lock holds with three users, one that overtakes, a death and a time-out' lock $(users 3 1 2 1 1)
        expect holds 'a lock holds with three users, a stop and a death' lock $(users 3 1 2 1 0) -DSTOPS=1
        expect holds 'a lock holds with two users, a loss, a death, a time-out and a wake-up for nothing' lock $(users 2 2 2 1 1) -DLOSSES=1 -DNUMBERS -DSPURIOUS=1
        expect holds 'a lock holds with three users, a stop and a loss' lock $(users 3 1 1 0 0) -DLOSSES=1 -DSTOPS=1
        expect holds 'a lock holds with three users, a loss and a death' lock $(users 3 1 1 1 0) -DLOSSES=1
    fi

    broken='assertion violated'
    expect "$broken" 'caught: a number that is drawn after the take' lock $(users 2 2 2 0 0) -DLOSSES=1 -DNUMBERS -DBROKEN_NUMBER_APART
    for variant in NO_LOOK_AFTER_TAKE FREED_BEFORE_COUNTED CLOSED_LAST; do
        expect "$broken" "caught: a take after the burial, $variant" lock $(users 2 2 2 0 0) -DLOSSES=1 "-DBROKEN_$variant"
    done
    expect "$broken" 'caught: a lock taken by look and store' lock $(users 2 1 1 0 0) -DBROKEN_TAKE_BY_STORE
    expect "$broken" 'caught: a death that nobody is told of' lock $(users 2 1 1 1 0) -DBROKEN_DEATH_IS_NOT_TOLD
    broken='invalid end state'
    for variant in MARK_BEFORE_SEEN NO_MARK NO_SECOND_TRY NO_GATE CLEAR_AFTER_WAKE RELEASE_WITHOUT_LOOK; do
        expect "$broken" "caught: a lost wake-up of a lock, $variant" lock $(users 3 1 1 0 0) "-DBROKEN_$variant"
    done
    # Whoever watches would make up for what is lost, after a while. Only those who are stopped need one who does.
    for sizes in '3 1 3 0 0' '3 1 2 0 1' '3 1 2 1 0'; do
        expect holds "a lock on which nobody is stopped needs nobody who watches, $sizes" lock $(users $sizes) -DBROKEN_NOBODY_WATCHES
    done
    for variant in FAIR_READ_FIRST NO_MARK_AFTER_TAKE WAKE_ONE_OF_THE_BIT; do
        expect "$broken" "caught: a lost wake-up by privilege, $variant" lock $(users 3 1 3 0 0) "-DBROKEN_$variant" -DBROKEN_NOBODY_WATCHES
    done
    for variant in KEEPS_THE_PRIVILEGE GIVES_UP_SILENTLY; do
        expect "$broken" "caught: a lost wake-up by giving up, $variant" lock $(users 3 1 2 0 1) "-DBROKEN_$variant" -DBROKEN_NOBODY_WATCHES
    done
    for variant in DEATH_WAKES_NOBODY DEATH_OPENS_NO_GATE; do
        expect "$broken" "caught: a lost wake-up by a death, $variant" lock $(users 3 1 1 1 0) "-DBROKEN_$variant"
    done
    for variant in PRIVILEGE_OF_THE_DEAD DEATH_WAKES_ONE; do
        expect "$broken" "caught: a lost wake-up by a death, $variant" lock $(users 3 1 2 1 0) "-DBROKEN_$variant" -DBROKEN_NOBODY_WATCHES
    done
    expect "$broken" 'caught: a lost wake-up by a loss, GIVES_BACK_SILENTLY' lock $(users 3 1 1 0 0) -DLOSSES=1 -DBROKEN_GIVES_BACK_SILENTLY
    expect "$broken" 'caught: a privilege that is not used, NOBODY_WATCHES' lock $(users 3 1 2 0 0) -DSTOPS=1 -DBROKEN_NOBODY_WATCHES
    expect "$broken" 'caught: a privilege that is not used, FIRST_ALONE_WAKES' lock $(users 3 1 2 0 0) -DSTOPS=1 -DBROKEN_FIRST_ALONE_WAKES
    expect "$broken" 'caught: a wake-up for two tokens that is not passed on' lock $handover -DBROKEN_NOT_PASSED_ON

    expect holds 'a barrier holds with three parties and a death' barrier $(parties 3 1 1 0 0)
    expect holds 'a barrier holds with three parties, a time-out and a reset' barrier $(parties 3 2 0 1 1)
    expect holds 'a barrier holds with two parties, two deaths and three rounds' barrier $(parties 2 3 2 0 0)
    expect holds 'a barrier holds with two parties, a death, a time-out and a reset' barrier $(parties 2 2 1 1 1)
    for variant in NO_SLOT STATE_BEFORE_GATE DEATH_IS_IGNORED; do
        expect "$broken" "caught: one left in a barrier, $variant" barrier $(parties 2 2 1 0 0) "-DBROKEN_$variant"
    done
    expect "$broken" 'caught: one left in a barrier, LAST_OPENS_NO_GATE' barrier $(parties 2 2 0 0 0) -DBROKEN_LAST_OPENS_NO_GATE
    expect "$broken" 'caught: one left in a barrier, DEATH_OPENS_NO_GATE' barrier $(parties 3 1 1 0 0) -DBROKEN_DEATH_OPENS_NO_GATE
    expect 'assertion violated' 'caught: a reset that is told to those of a round before' barrier $(parties 3 2 0 0 1) -DBROKEN_TOLD_OF_A_LATER_RESET
    expect 'assertion violated' 'caught: a reset that passes for a full round' barrier $(parties 3 2 0 0 1) -DBROKEN_RESET_LIKE_A_ROUND
}

# A variant that a model knows and nobody tries would prove nothing.
count=$((count + 1))
for model in claim wake bell lock barrier; do
    grep -o 'BROKEN_[A-Z_]*[A-Z]' "$here/$model.pml" | sed "s/^/$model /"
done | sort -u >known
if grep BROKEN tried | sort -u | cmp -s - known; then
    echo "ok $count - every broken variant is tried"
else
    echo "not ok $count - every broken variant is tried"
    grep BROKEN tried | sort -u | diff - known | sed 's/^/# /'
    failed=$((failed + 1))
fi

echo "1..$count"
[ "$failed" -eq 0 ]

#!/usr/bin/python3
"""Do the example programs, and the programs that test the library against a real daemon, do what they promise?"""
import glob
import os
import re
import subprocess

from harness import BUILD, EXAMPLES, PATIENCE, Skip, main, test

CLIENTS = os.environ.get("MPOOL_CLIENT_TESTS", os.path.join(BUILD, "tests", "e2e", "client"))


def run(d, program, *args):
    path = os.path.join(EXAMPLES, program)
    if not os.path.exists(path):
        raise Skip(f"{program} is not built")
    return subprocess.run([path, *args], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                          env={**os.environ, "MPOOL_SOCKET": d.path})


@test()
def a_pool_squares_0_to_9(d):
    done = run(d, "square_pool")
    assert (done.returncode, done.stdout) == (0, "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n"), done


@test(workers="5")
def five_processes_print_name_and_pid_and_are_joined(d):
    done = run(d, "five_processes")
    assert done.returncode == 0, done
    pids = [int(p) for p in re.findall(r"pid:? (\d+)", done.stdout)]
    assert len(pids) == 5, done.stdout
    workers = d.worker_pids()
    assert set(pids) <= workers or len(set(pids)) == 5, (pids, workers)


@test()
def an_error_reaches_the_caller_and_the_pool_lives_on(d):
    before = d.worker_pids()
    done = run(d, "raise_error")
    assert done.returncode == 0 and "E_FAILED" in done.stdout, done
    assert d.worker_pids() == before
    assert d.client().call("math.square", 2) == 4


@test(workers="2")
def more_tasks_than_workers_wait_for_an_idle_one(d):
    done = run(d, "more_tasks_than_workers")
    assert done.returncode == 0 and done.stdout.strip(), done


@test(workers="1")
def a_process_prints_and_is_joined_and_another_is_told_to_stop(d):
    done = run(d, "process")
    assert (done.returncode, done.stdout) == (0, "hello\ngreeter ended with 0\nsleeper is alive\nsleeper ended with -15\n"), done


@test()
def five_processes_count_up_under_a_lock(d):
    done = run(d, "lock_counter")
    assert (done.returncode, done.stdout) == (0, "Final counter value: 5 (expected value: 5)\n"), done


@test()
def four_processes_add_to_a_value_under_its_lock(d):
    done = run(d, "value_lock")
    assert (done.returncode, done.stdout) == (0, "400\n"), done


@test()
def a_semaphore_lets_so_many_in_and_no_more(d):
    done = run(d, "semaphore")
    assert done.returncode == 0 and done.stdout.endswith("yes\n"), done


@test()
def a_producer_feeds_a_consumer_until_none(d):
    done = run(d, "queue")
    assert (done.returncode, done.stdout) == (0, "".join(f"got item {i}\n" for i in range(5)) + "None: the end\n"), done


@test()
def a_sender_and_a_receiver_share_a_pipe(d):
    done = run(d, "pipe")
    assert (done.returncode, done.stdout) == (0, "received 10 bytes\nreceived 10 bytes\nreceived 10 bytes\nthe other end is closed\n"), done


@test()
def the_libevent_adapter_works(d):
    done = run(d, "loop_libevent")
    assert done.returncode == 0 and done.stdout.strip(), done


@test()
def the_sd_event_adapter_works(d):
    done = run(d, "loop_sd_event")
    assert done.returncode == 0 and done.stdout.strip(), done


@test()
def every_example_says_so_when_no_daemon_answers(d):
    d.stop()
    for path in sorted(glob.glob(os.path.join(EXAMPLES, "*"))):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            done = run(d, os.path.basename(path))
            assert done.returncode not in (0, -6, -11) and done.stderr.strip(), (path, done)


@test(modules=["trial"], timeout=240)
def the_librarys_own_tests_pass_against_a_real_daemon(d):
    programs = [p for p in sorted(glob.glob(os.path.join(CLIENTS, "*"))) if os.path.isfile(p) and os.access(p, os.X_OK)]
    if not programs:
        raise Skip("no client tests are built")
    for path in programs:
        done = subprocess.run([path], capture_output=True, text=True, timeout=PATIENCE * 5, stdin=subprocess.DEVNULL,
                              env={**os.environ, "MPOOL_SOCKET": d.path})
        print(done.stdout)
        assert done.returncode == 0, (path, done.stdout, done.stderr)
        assert "not ok" not in done.stdout, done.stdout


if __name__ == "__main__":
    main()

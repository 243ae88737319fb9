"""How a test gets a private daemon, and how it is judged: starting, stopping, the checks after each test, TAP.

A test is a function that states a behaviour, decorated with @test(...). Each runs in a process of its own with a
time-out, a private directory and (unless daemon=False) a daemon of its own, and after it these must hold: the daemon
ends with 0 on SIGTERM, its descriptors are those it had before, no process and no socket is left. Needs python3 alone.

    MPOOLD=build/daemon/mpoold python3 tests/e2e/test_calls.py [words of test names…]

Knows nothing of any method's meaning but `pools`, which tells when a daemon has settled, and `objects` and `remove`: named
objects stay until they are removed.
"""
import collections
import contextlib
import ctypes
import faulthandler
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from wire import PATIENCE, SLOW, Client, Closed, RpcError, pack, unpack  # noqa: F401 (tests take them from here)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("MPOOL_BUILD", os.path.join(ROOT, "build"))
MPOOLD = os.environ.get("MPOOLD", os.path.join(BUILD, "daemon", "mpoold"))
MPOOL = os.environ.get("MPOOL", os.path.join(BUILD, "client", "cli", "mpool"))
TEST_MODULES = os.environ.get("MPOOL_TEST_MODULES", os.path.join(BUILD, "tests", "fault", "modules"))
EXAMPLES = os.environ.get("MPOOL_EXAMPLES", os.path.join(BUILD, "client", "examples"))
SANITIZED = SLOW > 1


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


def until(condition, what, timeout=None):
    """Looks until condition() is true and returns what it said. For things that announce themselves to nobody."""
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# ---- processes ------------------------------------------------------------------------------------------------------

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def _adopt_orphans():
    """Whatever our descendants leave behind becomes our child: nothing can run away from the census."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def process_table():
    """pid → (parent, state, name)"""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    text = f.read()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
            table[int(entry)] = (int(rest[1]), rest[0], name)
    return table


def descendants(root):
    """Living processes below root: [(pid, name)]; zombies are dead."""
    table = process_table()
    found, todo = [], [root]
    children = collections.defaultdict(list)
    for pid, (parent, _, _) in table.items():
        children[parent].append(pid)
    while todo:
        for pid in children.get(todo.pop(), ()):
            todo.append(pid)
            if table[pid][1] not in "ZX":
                found.append((pid, table[pid][2]))
    return found


def reap():
    """Collects dead children that are nobody else's business."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_tree(root):
    for _ in range(50):
        found = descendants(root)
        if not found:
            return
        for pid, _ in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.01)


# ---- a daemon -------------------------------------------------------------------------------------------------------


def memfd(data, name="args", seal=True):
    """A memfd with these bytes, sealed as the daemon wants it. The caller closes it."""
    import fcntl

    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    if seal:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd


class Daemon:
    """A private mpoold. Everything it makes lies in `home`, a directory of its own.

    What is started (`started`) is a guardian that stands above the supervisor (`pid`), takes signals as a user would
    send them, and ends with the supervisor's status.
    """

    def __init__(self, home, workers="2", modules=(), config=None, args=(), env=None, nofile=None, prefix=(), ready=True,
                 socket_path=None, stderr=None):
        self.home = home
        self.run = os.path.join(home, "run")
        os.makedirs(self.run, exist_ok=True)
        self.path = socket_path or os.path.join(self.run, "mpoold.sock")
        self.log_path = os.path.join(home, "log")
        self.config_path = os.path.join(home, "mpoold.conf")
        self.clients = []
        self.status = None
        self.base = None
        command = [MPOOLD, "--socket", self.path]
        if config is not None:
            self.write_config(config)
            command += ["--config", self.config_path]
        for module in modules:
            command += ["--module", module if "/" in module else f"{TEST_MODULES}/{module}.so"]
        if workers is not None:
            command += ["--workers", str(workers)]
        command += list(args)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        notify_path = os.path.join(home, f"notify.{os.getpid()}.{id(self)}")
        self.notify.bind(notify_path)
        os.chmod(notify_path, 0o666)  # the daemon may be another user's
        self.notices, self.told = [], threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": home,
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": self.run,
            "NOTIFY_SOCKET": notify_path,
        }
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS") or name.startswith("MPOOL_MODULE"):
                environment[name] = value
        environment.update(env or {})
        if nofile is not None:
            command = ["prlimit", f"--nofile={nofile}", "--"] + command
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log if stderr is None else stderr, env=environment, cwd=home)
        self.pid = self.started = self.process.pid
        self.pidfd = os.pidfd_open(self.started)
        if ready:
            self.wait_ready()
            self.settle()
            self.base = self.quiet_descriptors()

    def wait_ready(self):
        self.wait_notify("READY=1")
        with Client(self.path) as c:
            self.pid = c.request("hello")["pid"]

    # ---- waiting ----

    def wait_notify(self, wanted, timeout=None):
        """Waits until the daemon has told its service manager so."""
        deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
        with self.told:
            while not any(wanted in lines for lines in self.notices):
                if self.process.poll() is not None:
                    raise AssertionError(f"the daemon ended with {self.process.returncode} before it said {wanted}:\n{self.log()}")
                if time.monotonic() > deadline:
                    raise AssertionError(f"the daemon did not say {wanted}:\n{self.log()}")
                self.told.wait(0.1)
            return next(lines for lines in self.notices if wanted in lines)

    def _listen(self):
        """The service manager's part: reads whatever it is told, so that nobody has to wait for it."""
        while True:
            lines = self.notify.recv(4096).decode().splitlines()
            with self.told:
                self.notices.append(lines)
                self.told.notify_all()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, timeout=None):
        return until(lambda: re.search(pattern, self.log(), re.M), f"the log says {pattern!r}", timeout)

    def settle(self, quiet=False):
        """Waits until every pool has its workers (quiet: and none of them has anything to do)."""

        def settled():
            with Client(self.path) as c:
                for pool in c.request("pools"):
                    if pool["state"] == "throttled":
                        continue
                    if pool["state"] != "serving" or pool["starting"] or pool["workers"] < pool["min"]:
                        return False
                    if quiet and (pool["busy"] or pool["queued"] or pool["running"]):
                        return False
                return True

        until(settled, "the pools have settled")

    # ---- what it holds ----

    def descriptors(self):
        """Counter of what its descriptors are, digits made equal. The daemon shows them to root alone: for others none."""
        kinds = collections.Counter()
        folder = f"/proc/{self.pid}/fd"
        if os.getuid() != 0:
            return kinds
        for fd in os.listdir(folder):
            try:
                kinds[re.sub(r"\d+", "N", os.readlink(f"{folder}/{fd}"))] += 1
            except FileNotFoundError:
                pass
        return kinds

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def quiet_descriptors(self):
        """The same, once connections that were closed a moment ago are gone."""
        with Client(self.path) as c:

            def sample():
                c.request("ping")
                return self.descriptors()

            last = [sample()]

            def same():
                last.append(sample())
                return last[-1] == last[-2]

            until(same, "its descriptors no longer change")
            return last[-1] - collections.Counter({"socket:[N]": 1})

    # ---- using it ----

    def client(self, timeout=None):
        c = Client(self.path, timeout)
        self.clients.append(c)
        return c

    def request(self, method, *params):
        """One request on a connection of its own."""
        with Client(self.path) as c:
            return c.request(method, *params)

    def workers(self, **wanted):
        """The workers whose keys have these values."""
        return [w for w in self.request("workers") if all(w[k] == v for k, v in wanted.items())]

    def worker_pids(self):
        return {w["pid"] for w in self.workers()}

    def wait_worker(self, **wanted):
        """A worker of this kind, waiting until there is one."""
        return until(lambda: self.workers(**wanted), f"there is a worker with {wanted}")[0]

    def write_config(self, text):
        with open(self.config_path, "w") as f:
            f.write(text.replace("@TESTS@", TEST_MODULES))

    def signal(self, number):
        """To what was started, as a user would."""
        signal.pidfd_send_signal(self.pidfd, number)

    def wait_exit(self, timeout=None):
        """Waits for its end → exit status (negative: the signal)."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll((PATIENCE if timeout is None else timeout) * 1000):
            raise AssertionError("the daemon does not end")
        self.status = self.process.wait()
        return self.status

    def stop(self, timeout=None):
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """SIGKILL for the supervisor itself."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait_exit()

    # ---- the judgement ----

    def close_clients(self):
        for c in self.clients:
            c.close()
        self.clients.clear()

    def check_descriptors(self):
        """Once nothing is going on, it holds what it held at the start."""
        self.settle(quiet=True)
        with Client(self.path) as c:
            for o in c.request("objects", {"all": True}):
                if o["name"]:
                    c.request("remove", o["name"])
        last = {}

        def same():
            now = self.descriptors()
            last["more"], last["less"] = dict(now - self.base), dict(self.base - now)
            return now == self.base

        try:
            until(same, "", 10 * SLOW)
        except AssertionError:
            raise AssertionError(f"descriptors of the daemon that were not there before: {last['more']}, and that are gone: "
                                 f"{last['less']}") from None

    def finish(self, descriptors=True):
        """What must hold after every test. A daemon that the test has ended itself is only counted."""
        self.close_clients()
        if self.status is None:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended by itself with {self.process.returncode}")
            if descriptors and self.base is not None:
                self.check_descriptors()
            status = self.stop()
            assert status == 0, f"the daemon ended with {status} on SIGTERM"
            assert not os.path.lexists(self.path), "the daemon left its socket behind"
        report = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*", self.log())
        assert not report, f"a sanitizer reported: {report.group(0)}"


def family():
    """Who lives of what this test has started, and what each of them waits in."""
    lines = []
    for pid, _ in descendants(os.getpid()):
        words = []
        for what in ("cmdline", "wchan", "syscall", "status"):
            try:
                with open(f"/proc/{pid}/{what}") as f:
                    text = f.read().replace("\0", " ").strip()
                words.append(text[:80] if what != "status" else " ".join(re.findall(r"^(?:State|SigPnd|ShdPnd|SigBlk):.*", text, re.M)))
            except OSError as e:
                words.append(f"{what}: {e}")
        lines.append(f"  {pid} " + " | ".join(words))
    return "\n".join(lines)


def no_process_left(timeout=None):
    """Nobody who came of this test lives on."""
    left = []

    def none():
        reap()
        left[:] = descendants(os.getpid())
        return not left

    try:
        until(none, "", (5 * SLOW) if timeout is None else timeout)
    except AssertionError:
        raise AssertionError(f"processes were left behind: {left}") from None


def new_home():
    return tempfile.mkdtemp(prefix="mpool-test-")


# ---- tests and TAP --------------------------------------------------------------------------------------------------

_tests = []


# ---- another user

NOBODY = 65534


def need_root():
    if os.getuid() != 0:
        raise Skip("needs root")


def daemon_for_others(home, config, **options):
    """A daemon whose socket others may reach."""
    need_root()
    os.chmod(home, 0o755)
    return Daemon(home, config=config, **options)


def as_nobody(action, gid=NOBODY, groups=()):
    """Runs action in a process of that user, with these groups; its failure is ours."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(NOBODY)
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "it failed for the other user"


@contextlib.contextmanager
def held_by_nobody(action):
    """Inside of it another process, of that user, has done action and holds what came of it."""
    done, told = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            kept = action()  # noqa: F841 (whatever it is, it is kept until the end)
            os.write(done[1], b"x")
            os.close(told[1])
            os.read(told[0], 1)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(done[1])
    os.close(told[0])
    try:
        assert os.read(done[0], 1) == b"x", "it failed for the other user"
        yield
    finally:
        os.close(told[1])
        os.close(done[0])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "it failed for the other user"


def test(daemon=True, timeout=60, descriptors=True, **options):
    """Registers a test. options are Daemon's. daemon=False: the test is given the path of its directory instead."""

    def register(function):
        _tests.append((function.__name__, function, daemon, timeout, descriptors, options))
        return function

    return register


def _run_inside(function, daemon, descriptors, options, home):
    """The test's own process."""
    _adopt_orphans()
    d = None
    try:
        if daemon:
            d = Daemon(home, **options)
            function(d)
            d.finish(descriptors)
        else:
            function(home)
        no_process_left()
    except Skip as e:
        print(f"SKIP {e}")
        return 77
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        print(f"who lives, and what each waits in:\n{family()}")
        return 1
    return 0


def _run_one(number, name, function, daemon, timeout, descriptors, options):
    home = new_home()
    output_path = os.path.join(home, "output")
    started = time.monotonic()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        fd = os.open(output_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
        faulthandler.register(signal.SIGUSR1)
        # Whoever runs the tests may ignore some (nohup, a shell's background job); what is tested must not inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        status = 1
        try:
            status = _run_inside(function, daemon, descriptors, options, home)
            sys.stdout.flush()
        finally:
            kill_tree(os.getpid())
            os._exit(status)
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    late = not poll.poll(timeout * SLOW * 1000)
    if late:
        os.kill(pid, signal.SIGUSR1)  # where does it hang?
        poll.poll(500)
        kill_tree(pid)
        os.kill(pid, signal.SIGKILL)
    _, wait_status = os.waitpid(pid, 0)
    os.close(pidfd)
    kill_tree(os.getpid())
    reap()
    code = os.waitstatus_to_exitcode(wait_status)
    with open(output_path, errors="replace") as f:
        output = f.read()
    seconds = time.monotonic() - started
    label = f"{number} - {name}"
    if late:
        output += f"\ntimed out after {timeout * SLOW:.0f} s\n"
    if not late and code == 77:
        reason = output.strip().rpartition("SKIP ")[2].splitlines()[0]
        print(f"ok {label} # SKIP {reason}")
    elif not late and code == 0:
        print(f"ok {label}")
        print(f"# {seconds:.2f} s")
        for line in output.splitlines():
            print(f"#   {line}")
    else:
        print(f"not ok {label}")
        for line in output.splitlines()[-60:]:
            print(f"#   {line}")
        try:
            with open(os.path.join(home, "log"), errors="replace") as f:
                lines = f.read().splitlines()
            print(f"#   the daemon's log, last of {len(lines)} lines:")
            for line in lines[-40:]:
                print(f"#     {line}")
        except OSError:
            pass
    sys.stdout.flush()
    if not os.environ.get("MPOOL_TEST_KEEP"):
        shutil.rmtree(home, ignore_errors=True)
    return late or code not in (0, 77)


def main():
    """Runs the tests whose names contain one of the words on the command line, or all."""
    _adopt_orphans()
    sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    chosen = [t for t in _tests if not words or any(w in t[0] for w in words)]
    print(f"1..{len(chosen)}")
    failed = 0
    for number, t in enumerate(chosen, 1):
        failed += _run_one(number, *t)
    sys.exit(1 if failed else 0)

#!/usr/bin/python3
"""Do MessagePack-RPC clients that nobody here wrote get results, errors that they can show, and no surprise?"""
import os
import shutil
import socket
import subprocess

from harness import PATIENCE, Skip, main, test


def run(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 2, stdin=subprocess.DEVNULL, **kwargs)


def nvim(d, *lines):
    """Runs lines of Vim script headless, each echoed expression on a line of its own."""
    if not shutil.which("nvim"):
        raise Skip("no nvim here")
    script = os.path.join(d.home, "script.vim")
    with open(script, "w") as f:
        f.write(f"let s = sockconnect('pipe', '{d.path}', {{'rpc': 1}})\n")
        f.write("\n".join(lines) + "\nqa!\n")
    done = run(["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n", "-S", script],
               env={"PATH": os.environ["PATH"], "HOME": d.home, "XDG_STATE_HOME": d.home, "LANG": "C.UTF-8"})
    return (done.stdout + done.stderr).replace("\r", "")


@test(timeout=90)
def neovim_calls_and_maps(d):
    out = nvim(d, "echo json_encode(rpcrequest(s, 'ping'))",
               "echo \"\\n\" . json_encode(rpcrequest(s, 'call', 'math.square', [7]))",
               "echo \"\\n\" . json_encode(rpcrequest(s, 'map', 'math.square', range(10)))",
               "echo \"\\n\" . json_encode(rpcrequest(s, 'call', 'sys.echo', [{'a': [1, 'é', v:null, v:true, 1.5]}]))")
    lines = [line for line in out.splitlines() if line.strip()]
    assert lines == ['"pong"', "49", "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", '{"a": [1, "é", null, true, 1.5]}'], out


@test(timeout=90)
def neovim_shows_errors_in_their_own_words(d):
    attempts = ("'call', 'sys.fail', ['no more paper']", "'call', 'math.squar', [1]", "'no_such_method'")
    lines = []
    for params in attempts:
        lines += ["try", f"  call rpcrequest(s, {params})", "catch", "  echo v:exception . \"\\n\"", "endtry"]
    out = nvim(d, *lines, "echo rpcrequest(s, 'ping')")
    lines = [line for line in out.splitlines() if line.strip()]
    assert lines == ["Vim(call):Error invoking 'call' on channel 3:", "E_FAILED: no more paper",
                     "Vim(call):Error invoking 'call' on channel 3:",
                     "E_NO_FUNCTION: there is no function 'math.squar'; did you mean 'math.square'?",
                     "Vim(call):Error invoking 'no_such_method' on channel 3:",
                     "E_NO_METHOD: there is no method 'no_such_method'", "pong"], out


@test(timeout=90)
def neovim_submits_waits_and_lists(d):
    out = nvim(d, "let id = rpcrequest(s, 'submit', 'math.square', [12])", "echo rpcrequest(s, 'wait', id).state",
               "echo \"\\n\" . rpcrequest(s, 'result', id)",
               "echo \"\\n\" . len(rpcrequest(s, 'list', {'function': 'math.square'}))",
               "echo \"\\n\" . rpcrequest(s, 'pools')[0].name", "call rpcnotify(s, 'ping')", "echo \"\\n\" . rpcrequest(s, 'workers')[0].state")
    lines = [line.strip() for line in out.splitlines() if line.strip()]
    assert lines == ["done", "144", "1", "default", "idle"], out


PYTHON = """
import msgpack, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
unpacker = msgpack.Unpacker(strict_map_key=False)
def request(msgid, method, *params):
    s.sendall(msgpack.packb([0, msgid, method, params]))
    while True:
        for message in unpacker:
            assert message[:2] == [1, msgid], message
            return message[2:]
        data = s.recv(65536)
        assert data, "closed"
        unpacker.feed(data)
assert request(1, "ping") == [None, "pong"]
assert request(2, "call", "math.square", [7]) == [None, 49]
assert request(3, "map", "math.square", list(range(10))) == [None, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]]
error, result = request(4, "call", "sys.fail", ["no more paper"])
assert error[0] == 0 and error[1].startswith("E_FAILED") and "no more paper" in error[1] and result is None
assert request(5, "nonsense")[0][1].startswith("E_NO_METHOD")
task = request(6, "submit", "text.length", ["four"])[1]
assert request(7, "wait", task)[1]["state"] == "done"
assert request(8, "result", task) == [None, 4]
assert request(9, "call", "sys.echo", [{"a": b"bytes", "b": "str", "c": [1.5, None, True], 4: 2**64 - 1}]) == \\
    [None, {"a": b"bytes", "b": "str", "c": [1.5, None, True], 4: 2**64 - 1}]
for row in request(10, "functions")[1] + request(11, "workers")[1] + request(12, "pools")[1] + request(13, "list")[1]:
    assert all(isinstance(key, str) for key in row), row
s.sendall(msgpack.packb([0, 14, b"call", [b"math.square", [3]]], use_bin_type=False))
unpacker.feed(s.recv(65536))
assert next(unpacker) == [1, 14, None, 9]
print("fine")
"""


@test()
def python3_msgpack_over_a_plain_socket(d):
    python = "/usr/bin/python3"
    if run([python, "-c", "import msgpack"]).returncode:
        raise Skip("no python3-msgpack here")
    done = run([python, "-c", PYTHON, d.path])
    assert done.returncode == 0 and done.stdout == "fine\n", done


@test()
def python3_msgpack_in_the_old_format_without_bin(d):
    """Clients from before MessagePack had bin send everything as raw (str)."""
    python = "/usr/bin/python3"
    if run([python, "-c", "import msgpack"]).returncode:
        raise Skip("no python3-msgpack here")
    script = """
import msgpack, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(msgpack.packb([0, 1, "call", ["text.length", [b"abc"]]], use_bin_type=False))
u = msgpack.Unpacker(raw=True); u.feed(s.recv(65536))
assert next(u) == [1, 1, None, 3]
print("fine")
"""
    done = run([python, "-c", script, d.path])
    assert done.returncode == 0 and done.stdout == "fine\n", done


NODE = """
import { encode, decodeMultiStream } from "@msgpack/msgpack";
import net from "node:net";
const socket = net.connect(process.argv[2]);
const waiting = new Map();
let next = 0;
const request = (method, ...params) => new Promise((resolve, reject) => {
  waiting.set(++next, { resolve, reject });
  socket.write(encode([0, next, method, params]));
});
(async () => {
  for await (const [type, id, error, result] of decodeMultiStream(socket)) {
    if (type !== 1) continue;
    error ? waiting.get(id).reject(new Error(error[1])) : waiting.get(id).resolve(result);
    waiting.delete(id);
  }
})().catch(() => {}); // our own destroy() below
console.log(await request("ping"));
console.log(await request("call", "math.square", [7]));
console.log(JSON.stringify(await request("map", "math.square", [...Array(10).keys()])));
console.log((await Promise.all([...Array(100).keys()].map((n) => request("call", "math.square", [n])))).reduce((a, b) => a + b));
await request("call", "sys.fail", ["no more paper"]).catch((e) => console.log(e.message.includes("no more paper")));
await request("nonsense").catch((e) => console.log(e.message.split(":")[0]));
const id = await request("submit", "text.length", ["four"]);
console.log((await request("wait", id)).state, await request("result", id), Number.isSafeInteger(id));
console.log(new TextDecoder().decode((await request("call", "exec.run", [["echo", "hi"]])).stdout).trim());
socket.destroy();
"""


@test(timeout=180)
def npm_msgpack_from_node(d):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("no node and npm here")
    place = os.path.join(d.home, "node")
    os.mkdir(place)
    with open(os.path.join(place, "script.mjs"), "w") as f:
        f.write(NODE)
    environment = {**os.environ, "npm_config_cache": os.path.join(d.home, "npm-cache"), "HOME": d.home}
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "@msgpack/msgpack@3"], cwd=place, capture_output=True,
                              text=True, timeout=90, stdin=subprocess.DEVNULL, env=environment)
    except subprocess.TimeoutExpired:
        raise Skip("npm could not install @msgpack/msgpack within 90 s") from None
    if done.returncode:
        raise Skip("npm could not install @msgpack/msgpack: " + " ".join(done.stderr.split())[:120])
    done = run(["node", "script.mjs", d.path], cwd=place)
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == ["pong", "49", "[0,1,4,9,16,25,36,49,64,81]", str(sum(n * n for n in range(100))), "true",
                                        "E_NO_METHOD", "done 4 true", "hi"], done.stdout


@test()
def a_shell_with_socat_like_tools_gets_its_answer(d):
    """Bytes sent and the sending side closed, as `printf … | nc -U` does."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(d.path)
    s.sendall(bytes.fromhex("940001a470696e6790"))
    s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        data = s.recv(4096)
        if not data:
            break
        got += data
    assert got == bytes.fromhex("940101c0a4706f6e67"), got.hex()


if __name__ == "__main__":
    main()

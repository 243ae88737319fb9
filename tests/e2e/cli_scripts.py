"""mpool in other people's scripts: items in commands, what a status says, commands as if they ran here.

The tests run in test_cli.py.
"""
import os

from cli_tools import mpool
from harness import test

# ---- items in commands ---------------------------------------------------------------------------------------------------

# Places where an item arrives as it is: it is the only argument of printf, or all that is printed.
TAKEN = ["printf %s {}", 'printf %s "{}"', "printf %s ''{}\"\"", "printf %s", "printf '%s'", 'printf "%s" {} # {}', "true; printf %s {}",
         '(printf %s {})', 'printf %s "$(printf %s. {})" | sed \'$s/[.]$//\'', 'printf %s "`printf %s. "$MPOOL_ITEM"`" | sed \'$s/[.]$//\'',
         "f() { printf %s {}; }; f other", "set -- other; printf %s {}", "printf %s {} # it's a \" comment", "\\printf %s {}",
         'x={}; printf %s "$x"', "if true; then\n  printf %s {}\nfi", 'case {} in {}) printf %s {};; esac', "printf %s \"$MPOOL_ITEM\"",
         'sh -c \'printf %s "$1"\' sh {}', 'sh -c \'printf %s "$MPOOL_ITEM"\'', "env printf %s {}", 'eval \'printf %s "$MPOOL_ITEM"\'']
# Places where it would not.
REFUSED = ["echo '{}'", "echo 'a {} b'", 'echo "a {} b"', 'echo "$(echo "a {}")"', 'echo "$x{}"', "echo `echo {}`", "sh -c 'echo {}'",
           'sh -c "echo {}"', 'sh -c "ls;{}"', "cat <<X\n{}\nX", "cat <<'X'\n{}\nX", "cat <<X\na\nX\n", "cat <<{}\na\n", "echo $(({}))", "echo $((1 + {}))",
           "((x={}))", "echo ${x:-{}}", "echo \"${x:-'{}'}\"", "echo 'open", 'echo "open', "echo $(open", "echo '{.}'", 'echo "a {/}"',
           "echo {1}", 'echo "x{2}"', "convert {1} {1.}.png", "echo {%}", "echo {-1}"]
ODD = ["plain", "a b", "it's", '"', "'", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "\ntouch pwned\n#", "\\", "\\'; touch pwned #",
       "*", "$HOME", "-n", "", "X\ntouch pwned", "a[$(touch pwned)]", "}; touch pwned", "\udcff\udcfe", "%s%n"]


@test()
def an_item_is_one_word_and_never_executed_whatever_stands_around_it(d):
    shells = os.path.join(d.home, "shells")
    os.mkdir(shells)
    os.symlink("/bin/bash", os.path.join(shells, "sh"))
    dash, bash = os.environ["PATH"], f"{shells}:{os.environ['PATH']}"
    for path, commands in ((dash, TAKEN), (bash, TAKEN[::4])):
        for n, command in enumerate(commands):
            items = ODD if n < 2 else ODD[n % 4::4]
            ran = mpool(d, "map", "-k", "-e", f"PATH={path}", "-x", command, ":::", *items, cwd=d.home)
            assert ran.code == 0 and ran.out == "".join(items) and not ran.err, (command, ran)
    for command in REFUSED:
        ran = mpool(d, "map", "-x", command, ":::", *ODD, cwd=d.home)
        assert ran.code == 125 and not ran.out and ran.err.startswith("mpool: map --exec: ") and ran.err.count("\n") == 1, (command, ran)
    assert os.listdir(d.home).count("pwned") == 0


@test()
def what_is_refused_within_quotes_says_how_to_write_it(d):
    for command, said in (('echo "say {}"', 'as in "some text "{}'), ("echo 'say {}'", "as in 'some text '{}"), ("cat <<X\n{}\nX", "write $MPOOL_ITEM there"),
                          ("echo `echo {}`", "write $(…) instead"), ("echo {1}", "{1} is not known")):
        ran = mpool(d, "map", "-x", command, ":::", "x")
        assert ran.code == 125 and said in ran.err, (command, ran)
    ran = mpool(d, "map", "-x", 'echo "say "{}; cat <<X\n$MPOOL_ITEM\nX\n: ', ":::", "x")
    assert ran.code == 0 and ran.out == "say x\nx\n", ran


@test()
def parts_of_an_item_have_places(d):
    items = {"dir.d/pic.tar.gz": ("dir.d/pic.tar", "pic.tar.gz", "dir.d", "pic.tar"), "dir.d/pic": ("dir.d/pic", "pic", "dir.d", "pic"),
             ".profile": (".profile", ".profile", ".", ".profile"), "/etc": ("/etc", "etc", "/", "etc"), "a/.b.c": ("a/.b", ".b.c", "a", ".b"),
             "": ("", "", ".", ""), "a/": ("a/", "", "a", ""), "$(x).'y'": ("$(x)", "$(x).'y'", ".", "$(x)")}
    ran = mpool(d, "map", "-k", "-x", "printf '%s|' {.} {/} {//} {/.} {#} 'no {#} {3}'", ":::", *items)
    want = "".join("|".join((*parts, str(n), f"no {n} {{3}}", "")) for n, parts in enumerate(items.values(), 1))
    assert ran.code == 0 and ran.out == want, (ran, want)
    ran = mpool(d, "map", "-x", "touch {}; mv {} {.}.new", ":::", "a.txt", cwd=d.home)
    assert ran.code == 0 and os.path.exists(os.path.join(d.home, "a.new")), ran
    # braces that are the shell's own, and an environment in which another map's item stands
    ran = mpool(d, "map", "-E", "-x", "echo \\{} {} ${MPOOL_ITEM#a}", ":::", "ab", env={"MPOOL_ITEM": "other"})
    assert ran.code == 0 and ran.out == "{} ab b\n", ran


@test()
def a_second_list_of_items_is_refused(d):
    for words in (["sys.echo", ":::", "a", ":::", "b"], ["-x", "echo {}", ":::", "a", ":::+", "b"], ["sys.echo", ":::", "a", "::::", "file"]):
        ran = mpool(d, "map", *words)
        assert ran.code == 125 and not ran.out and "one list of items" in ran.err, (words, ran)
    assert mpool(d, "map", "sys.echo", input=":::\n").out == ":::\n"

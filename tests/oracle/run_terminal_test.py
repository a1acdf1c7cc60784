"""tola run on a terminal: what a person types and sees. A pseudo-terminal, and as much of a VT100 as the editor uses.

Editing keys, several lines, paste, history, /commands, Ctrl-C while an answer comes and at the prompt, a session kept
and gone on with. Needs no packages but the small model among the data."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import common

tally = common.Tally("run, on a terminal")
TOLA = str(common.BUILD / "tola")
MODEL = common.DATA / "llm" / "stories260K" / "stories260Ktok512.gguf"
TEMPLATE = ("{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")
WIDTH = 50
signal.signal(signal.SIGINT, signal.default_int_handler)


class Screen:
    """Lines of text and a cursor. A line that is full waits with the break until another character comes."""

    def __init__(self):
        self.lines, self.row, self.column, self.rest = [""], 0, 0, ""

    def put(self, c):
        if self.column == WIDTH:
            self.row, self.column = self.row + 1, 0
        while len(self.lines) <= self.row:
            self.lines.append("")
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + c + line[self.column + 1:]
        self.column += 1

    def control(self, parameters, final):
        n = int(parameters) if parameters.isdigit() else 1
        if final == "A":
            self.row = max(0, self.row - n)
        elif final == "C":
            self.column = min(WIDTH - 1, self.column + n)
        elif final in "JK":
            self.lines[self.row] = self.lines[self.row][:self.column]
            if final == "J":
                del self.lines[self.row + 1:]

    def feed(self, text):
        text = self.rest + text
        self.rest = re.search(r"(\x1b(\[[?0-9;]*)?)?\Z", text).group()  # a sequence whose end is still to come
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.", text[:len(text) - len(self.rest)], re.S):
            if part[0] == "\x1b" and len(part) > 1:
                self.control(part[2:-1], part[-1])
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self.row += 1
                while len(self.lines) <= self.row:
                    self.lines.append("")
            elif part >= " ":
                self.put(part)


class Chat:
    def __init__(self, *arguments):
        self.screen = Screen()
        self.raw, self.decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", NO_COLOR="1")
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
            os.execv(TOLA, [TOLA, "run", *map(str, arguments)])

    def read(self, end):
        """Reads what there is, or what comes until then; False where nothing comes."""
        ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
        try:
            data = os.read(self.fd, 65536) if ready else b""
        except OSError:  # the program has ended
            data = b""
        text = self.decoder.decode(data)
        self.raw += text
        self.screen.feed(text)
        return data != b""

    def wait(self, what, seconds=60):
        """Reads until `what` (a pattern) is in what came since the last call; False where it does not come."""
        end = time.monotonic() + seconds
        while not re.search(what, self.raw, re.S):
            if not self.read(end):
                return False
        return True

    def prompt(self):
        """Waits for an empty prompt; what came before it."""
        good = self.wait(r"\x1b\[\?2004h\r\x1b\[J> ")
        before, self.raw = self.raw, ""
        return before if good else None

    def type(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def say(self, keys):
        self.type(keys + (b"\r" if isinstance(keys, bytes) else "\r"))
        return self.prompt()

    def end(self):
        """The exit code once it has ended."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not self.read(time.monotonic() + 0.05):
                time.sleep(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def shows(self, what, lines, cursor, seconds=60):
        """Checks that these come to be the last lines, and the cursor there: rows from the last, column."""
        end = time.monotonic() + seconds
        while True:
            s = self.screen
            there = [line.rstrip() for line in s.lines[-len(lines):]], (len(s.lines) - 1 - s.row, s.column)
            if there == (lines, cursor) or not self.read(end):
                break
        tally.equal(what, there, (lines, cursor))


def edits(chat_model):
    """Keys, and the message that they make: the session's note keeps it."""
    cases = [
        ("nothing to erase", "\x15\x17\x0b\x7f\x1b[3~Hello", "Hello"),
        ("plain", "Hello", "Hello"),
        ("left and insert", "Helo\x1b[Dl", "Hello"),
        ("an escape twice", "Helo\x1b\x1b[Dl", "Hello"),
        ("home, end", "ello\x01H\x05!", "Hello!"),
        ("home, end keys", "ello\x1b[HH\x1b[F!", "Hello!"),
        ("backspace over a character of two bytes", "Häx\x7f\x7fi", "Hi"),
        ("left over it", "äb\x1b[D\x1b[D.", ".äb"),
        ("delete", "abc\x1b[D\x1b[D\x1b[3~", "ac"),
        ("words", "one two three\x17\x17x\x1bb\x1bby ", "y one x"),
        ("word right", "one two\x01\x1b[1;5C!", "one! two"),
        ("rest of the line", "one two\x02\x02\x02\x0b", "one "),
        ("begin of the line", "one two\x02\x02\x02\x15", "two"),
        ("a new line by Alt-Enter", "one\x1b\rtwo", "one\ntwo"),
        ("by a backslash", "one\\\rtwo", "one\ntwo"),
        ("by Ctrl-J", "one\ntwo", "one\ntwo"),
        ("up within lines", "one\ntwo\x1b[A!", "one!\ntwo"),
        ("down again", "one\ntwo\x1b[A\x1b[B!", "one\ntwo!"),
        ("pasted lines", "\x1b[200~one\r\ntwo\rthree\nfour\tfive\x03\x1b[201~!", "one\ntwo\nthree\nfour\tfive!"),
        ("a slash", "//etc", "/etc"),
        ("unknown keys", "a\x1b[99~\x1b[1;7Pb", "ab"),
    ]
    with common.folder() as folder:
        c = Chat(chat_model, "-n", "1", "--seed", "1", "-q")
        tally.check("a prompt", c.prompt() is not None)
        for name, keys, message in cases:
            path = os.path.join(folder, "session")
            c.say("/reset")
            c.say(keys)
            c.say("/save " + path)
            data = open(path, "rb").read() if os.path.exists(path) else b""
            record = f"user {len(message.encode())}\n{message}\nassistant".encode()
            tally.check(f"keys: {name}", record in data, f"{data[-80:]}, expected {record}")
        c.type(b"\x04")
        tally.equal("Ctrl-D leaves", c.end(), 0)


def history(chat_model):
    with common.folder() as folder:
        path = os.path.join(folder, "session")
        c = Chat(chat_model, "-n", "1", "--seed", "1", "-q")
        c.prompt()
        c.say("first")
        c.say("second")
        c.say("/reset")
        c.say("typed\x1b[A\x1b[A\x1b[A!")  # past /reset and second
        c.say("not yet\x1b[A\x1b[B.")
        c.say("/save " + path)
        data = open(path, "rb").read()
        tally.check("the arrow up brings back", b"user 6\nfirst!\n" in data, data[-100:])
        tally.check("and down what was typed", b"user 8\nnot yet.\n" in data, data[-100:])
        c.type("/quit\r")
        tally.equal("/quit leaves", c.end(), 0)


def drawing(chat_model):
    c = Chat(chat_model, "-n", "1", "-q")
    c.prompt()
    long = "abcdefghij" * 12
    c.type(long)
    c.shows("long lines are broken", ["> " + long[:48], long[48:98], long[98:]], (0, 22))
    c.type("\x01X")
    c.shows("inserted in front", ["> X" + long[:47], long[47:97], long[97:]], (2, 3))
    c.type("\x05" + "\x7f" * 121 + "x" * 48)
    c.shows("a line that is just full", ["> " + "x" * 48, ""], (0, 0))
    c.type("\x15日本\nzwei\tdrei")
    c.shows("wide characters, lines, tabs", ["> 日本", "  zwei    drei"], (0, 14))
    c.type("\x03")
    c.prompt()
    c.type("\x04")
    tally.equal("leaves", c.end(), 0)


def commands(chat_model):
    c = Chat(chat_model, "-n", "4", "--temp", "0")
    tally.check("says what it is", "llama, 5 layers, context 128" in (c.prompt() or ""))
    tally.check("speeds", re.search(r"\[prompt: \d+ tokens read, .*; answer: 4 tokens, ", c.say("Hi") or ""))
    for keys, expected in (
            ("/tokens", r"\d+ of 128 tokens of the context, 2 messages"),
            ("/undo", "taken back"),
            ("/tokens", "0 messages"),
            ("/undo", "nothing to take back"),
            ("/regenerate", "no answer to make again"),
            ("/system Be brief.", "from the next message on"),
            ("/tokens", "1 messages"),
            ("/reset", "forgotten"),
            ("/tokens", "1 messages"),
            ("/system", "no system message"),
            ("/tokens", "0 messages"),
            ("/set temp 0.5", "temp is 0.5"),
            ("/set temp warm", "not a number"),
            ("/set temp -1", "must be between 0 and 1e6"),
            ("/set top-k 4294967297", "too large"),
            ("/set kv-type f32", "NAME is one of"),
            ("/nonsense", "unknown command /nonsense"),
            ("/regenrate", "did you mean /regenerate"),
            ("/save", "needs a file"),
            ("/load none", "none: No such file"),
            ("/help", "/regenerate")):
        tally.check(f"{keys} says: {expected}", re.search(expected, c.say(keys) or ""))
    c.say("/set max-tokens 60")
    c.say("/set temp 1.5")
    first = c.say("Tell me a story")
    second = c.say("/regenerate")
    tally.check("/regenerate answers anew", first and second and first.split("\r\n")[1:] != second.split("\r\n")[1:])
    full = c.say("word " * 200)
    tally.check("a message that does not fit", full and re.search(r"does not fit into the context of 128", full), full)
    tally.check("and is forgotten", "2 messages" in (c.say("/tokens") or ""))
    c.type("\x04")
    tally.equal("leaves", c.end(), 0)


def interrupts(chat_model):
    c = Chat(chat_model, "--context", "100000", "-q", "--logit-bias", "2=-inf", "--logit-bias", "1=-inf")
    c.prompt()
    c.type("Tell me a long story\r")
    tally.check("an answer begins", c.wait(r"story\r.*\r\n.*[a-z]{3}"))
    time.sleep(0.3)
    c.type("\x03")
    tally.check("Ctrl-C stops it", c.prompt() is not None)
    tally.check("what came is kept", "2 messages" in (c.say("/tokens") or ""))
    c.type("typed\x03")
    tally.check("Ctrl-C clears what was typed", c.prompt() is not None)
    c.type("\x03")
    tally.check("alone it says how to leave", "Ctrl-C again leaves" in (c.prompt() or ""))
    c.type("\x03")
    tally.equal("twice it leaves", c.end(), 0)

    c = Chat(chat_model, "--context", "100000", "-q", "--ignore-end")
    c.prompt()
    c.type("A story\r")
    c.wait(r"story\r.*\r\n.*[a-z]{3}")
    os.kill(c.pid, signal.SIGTERM)
    tally.equal("SIGTERM ends it", c.end(), -signal.SIGTERM)

    process = subprocess.Popen([TOLA, "run", str(MODEL), "--raw", "-p", "Once", "--ignore-end", "--context", "200000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(20)
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    tally.equal("one answer, interrupted", process.wait(), -signal.SIGINT)
    tally.check("says so", b"interrupted" in process.stderr.read())


def sessions(chat_model):
    with common.folder() as folder:
        path = os.path.join(folder, "s")
        c = Chat(chat_model, "-n", "8", "--temp", "0", "-q", "--session", path)
        c.prompt()
        c.say("Lily")
        c.type("\x04")
        tally.equal("leaves", c.end(), 0)
        c = Chat(chat_model, "-n", "8", "--temp", "0", "--session", path)
        c.prompt()
        said = c.say("And then?") or ""
        tally.check("what was said is at hand", re.search(r"and \d+ at hand", said), said)
        tally.check("four messages", "4 messages" in (c.say("/tokens") or ""))
        c.say("/save " + path + "2")
        open(path + "3", "w").close()
        tally.check("a file is not replaced unasked", "exists" in (c.say("/save " + path + "3") or ""))
        c.say("/reset")
        tally.check("/load goes back", "4 messages" in (c.say("/load " + path + "2") or ""))
        c.type("/quit\r")
        tally.equal("leaves again", c.end(), 0)
        tally.equal("nobody else may read it", os.stat(path).st_mode & 0o777, 0o600)
        os.chmod(path, 0o640)
        os.symlink(path, path + "4")
        for number, messages in ((signal.SIGHUP, 6), (signal.SIGTERM, 8)):
            c = Chat(chat_model, "-n", "8", "--temp", "0", "-q", "--session", path + "4")
            c.prompt()
            c.say("Go on")
            c.type("half a messa")
            c.shows(f"typed before signal {number}", ["> half a messa"], (0, 14))
            os.kill(c.pid, number)
            tally.equal(f"signal {number} at the prompt ends it", c.end(), -number)
            c = Chat(chat_model, "-q", "--session", path)
            c.prompt()
            tally.check("what was said is kept", f"{messages} messages" in (c.say("/tokens") or ""))
            c.type("\x04")
            c.end()
        tally.check("the link is one still", os.path.islink(path + "4"))
        tally.equal("and the file as open as it was", os.stat(path).st_mode & 0o777, 0o640)


def main():
    if not MODEL.exists():
        tally.skip("the data (llm/stories260K) is absent")
        tally.finish()
    with common.folder() as folder:
        model = os.path.join(folder, "chat")
        subprocess.run([TOLA, "convert", str(MODEL), model + "/", "-q"], check=True)
        with open(os.path.join(model, "chat_template.jinja"), "w", encoding="utf-8") as f:
            f.write(TEMPLATE)
        for part in (edits, history, drawing, commands, interrupts, sessions):
            part(model)
    tally.finish()


main()

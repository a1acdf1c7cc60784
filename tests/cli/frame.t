# The frame of the command line: version, help, wrong verbs, closed and full outputs.

$ tola --version
tola 0.1.0

$ tola -V
tola 0.1.0

$ tola --version > /dev/full
2> tola: writing to stdout: No space left on device
[exit 2]

$ tola --version >&-
2> tola: writing to stdout: Bad file descriptor
[exit 2]

$ tola help nothing
2> tola: unknown verb 'nothing'; 'tola help' lists the verbs
[exit 2]

$ tola inspct
2> tola: unknown verb 'inspct'; did you mean 'inspect'?
[exit 2]

$ tola --json inspect x
2> tola: a verb comes first, then its options; 'tola help' lists the verbs
[exit 2]

$ tola __complete-script tcsh
2> tola: __complete-script takes one of bash, zsh, fish
[exit 2]

$ tola help | true

# Nothing that is loaded may slow a start down: only these libraries (and those of the sanitizers).
$ ldd "$(readlink -f "$(command -v tola)")" | sed 's/ .*//; s/^[[:space:]]*//' | grep -Ev '^(linux-vdso|/lib64/ld-|lib(c|m|z|dl|pthread|asan|ubsan|tsan|gcc_s|stdc\+\+|rt)\.so)'
[exit 1]

# On a terminal: colours unless NO_COLOR or TERM=dumb says otherwise, and never an escape sequence out of a file.
$ cat > terminal.py <<'END'
> import os, pty, subprocess, sys
> master, slave = pty.openpty()
> subprocess.Popen(sys.argv[1:], stdout=slave)
> os.close(slave)
> out = data = b" "
> while data:
>     try:
>         data = os.read(master, 65536)
>     except OSError:  # the other end is closed
>         data = b""
>     out += data
> print("coloured" if b"\x1b[1m" in out else "plain", "raw" if b"\x1b[31mred" in out else "safe")
> END

$ TERM=xterm "$PYTHON" terminal.py tola inspect "$FIXTURES/bad/escapes.safetensors" --tensors
coloured safe

$ TERM=xterm NO_COLOR=1 "$PYTHON" terminal.py tola inspect "$FIXTURES/bad/escapes.safetensors" --tensors
plain safe

$ TERM=dumb "$PYTHON" terminal.py tola inspect "$FIXTURES/bad/escapes.safetensors" --tensors
plain safe

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

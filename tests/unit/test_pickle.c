/* The pickle machine: every protocol, exact stack and memo, and everything it must refuse, word for word. */
#include "unit.h"

#include <inttypes.h>

#include "base/err.h"
#include "formats/pickle.h"

typedef struct loaded {
    arena a;
    source *src;
    reader r;
    pickle_value *root;
} loaded;

static tola_status load(loaded *l, const void *data, size_t bytes, unsigned flags, tola_error *err) {
    arena_init(&l->a, 0);
    l->root = NULL;
    if (source_open_memory("x.pkl", data, bytes, &l->src, err) != TOLA_OK) abort();
    reader_init(&l->r, l->src, 0, bytes);
    return pickle_load(&l->r, flags, &l->a, &l->root, err);
}

static void unload(loaded *l) {
    reader_free(&l->r);
    source_close(l->src);
    arena_free(&l->a);
}

/* ---- values as text ---- */

static void show(buf *b, const pickle_value *v);

static void show_items(buf *b, const char *open, const pickle_value *v, const char *close) {
    buf_printf(b, "%s", open);
    for (size_t i = 0; i < v->as.list.count; i++) {
        if (i) buf_printf(b, v->kind == PICKLE_DICT && i % 2 ? ": " : ", ");
        show(b, v->as.list.items[i]);
    }
    buf_printf(b, "%s", close);
}

static void show_bytes(buf *b, const pickle_value *v) {
    for (size_t i = 0; i < v->as.text.length; i++) {
        uint8_t c = (uint8_t)v->as.text.data[i];
        buf_printf(b, c >= 32 && c < 127 ? "%c" : "<%02x>", c);
    }
}

static void show(buf *b, const pickle_value *v) {
    char name[420];
    switch ((pickle_kind)v->kind) {
    case PICKLE_NONE: buf_printf(b, "None"); break;
    case PICKLE_BOOL: buf_printf(b, v->as.boolean ? "True" : "False"); break;
    case PICKLE_INT: buf_printf(b, "%" PRId64, v->as.i64); break;
    case PICKLE_BIGINT: buf_printf(b, "big:"), show_bytes(b, v); break;
    case PICKLE_FLOAT: buf_printf(b, "%g", v->as.f64); break;
    case PICKLE_STR: buf_printf(b, "'"), show_bytes(b, v), buf_printf(b, "'"); break;
    case PICKLE_BYTES: buf_printf(b, "b'"), show_bytes(b, v), buf_printf(b, "'"); break;
    case PICKLE_LIST: show_items(b, "[", v, "]"); break;
    case PICKLE_TUPLE: show_items(b, "(", v, ")"); break;
    case PICKLE_SET: show_items(b, "set(", v, ")"); break;
    case PICKLE_DICT: show_items(b, "{", v, "}"); break;
    case PICKLE_GLOBAL: buf_printf(b, "%s", pickle_name(name, sizeof name, v->as.global)); break;
    case PICKLE_OBJECT:
        show(b, v->as.object.callee);
        show(b, v->as.object.args);
        if (v->as.object.state) buf_printf(b, "~"), show(b, v->as.object.state);
        if (v->as.object.entries) buf_printf(b, "+"), show(b, v->as.object.entries);
        break;
    case PICKLE_PERSISTENT: buf_printf(b, "@"), show(b, v->as.object.args); break;
    }
}

static void gives_n(const void *data, size_t bytes, unsigned flags, const char *expected) {
    loaded l;
    tola_error err = TOLA_ERROR_INIT;
    if (load(&l, data, bytes, flags, &err) != TOLA_OK) fail_msg("%s", err.message);
    buf b;
    buf_init(&b, 0);
    show(&b, l.root);
    buf_u8(&b, 0);
    assert_string_equal((const char *)b.data, expected);
    assert_int_equal(reader_left(&l.r), 0);
    buf_free(&b);
    unload(&l);
}

static void refuses_n(const void *data, size_t bytes, tola_status status, uint64_t offset, const char *message) {
    loaded l;
    tola_error err = TOLA_ERROR_INIT;
    tola_status got = load(&l, data, bytes, 0, &err);
    assert_string_equal(err.message, message);
    assert_int_equal(got, status);
    assert_int_equal(err.offset, offset);
    unload(&l);
}

#define gives(text, expected) gives_n(text, sizeof(text) - 1, 0, expected)
#define refuses(text, status, offset, message) refuses_n(text, sizeof(text) - 1, status, offset, message)
#define unsafe(text, offset, message) refuses(text, TOLA_E_UNSAFE, offset, message)

/* ---- what it reads ---- */

/* {'a': [1, -2, 2**40, 2**70, -(2**33), 3.5, True, None, 300, 70000], 'b': (b'x\xff', '\u00e9\n\\', frozenset([1])),
 *  'c': {}, 'd': (), 'e': <the list of 'a'>} by CPython, protocols 0 to 5 */
static const struct {
    size_t bytes;
    const char *data;
} protocols[] = {
    { 272,
      "\x28\x64\x70\x30\x0a\x56\x61\x0a\x70\x31\x0a\x28\x6c\x70\x32\x0a\x49\x31\x0a\x61\x49\x2d\x32\x0a\x61\x4c\x31\x30"
      "\x39\x39\x35\x31\x31\x36\x32\x37\x37\x37\x36\x4c\x0a\x61\x4c\x31\x31\x38\x30\x35\x39\x31\x36\x32\x30\x37\x31\x37"
      "\x34\x31\x31\x33\x30\x33\x34\x32\x34\x4c\x0a\x61\x4c\x2d\x38\x35\x38\x39\x39\x33\x34\x35\x39\x32\x4c\x0a\x61\x46"
      "\x33\x2e\x35\x0a\x61\x49\x30\x31\x0a\x61\x4e\x61\x49\x33\x30\x30\x0a\x61\x49\x37\x30\x30\x30\x30\x0a\x61\x73\x56"
      "\x62\x0a\x70\x33\x0a\x28\x63\x5f\x63\x6f\x64\x65\x63\x73\x0a\x65\x6e\x63\x6f\x64\x65\x0a\x70\x34\x0a\x28\x56\x78"
      "\xff\x0a\x70\x35\x0a\x56\x6c\x61\x74\x69\x6e\x31\x0a\x70\x36\x0a\x74\x70\x37\x0a\x52\x70\x38\x0a\x56\xe9\x5c\x75"
      "\x30\x30\x30\x61\x5c\x75\x30\x30\x35\x63\x0a\x70\x39\x0a\x63\x5f\x5f\x62\x75\x69\x6c\x74\x69\x6e\x5f\x5f\x0a\x66"
      "\x72\x6f\x7a\x65\x6e\x73\x65\x74\x0a\x70\x31\x30\x0a\x28\x28\x6c\x70\x31\x31\x0a\x49\x31\x0a\x61\x74\x70\x31\x32"
      "\x0a\x52\x70\x31\x33\x0a\x74\x70\x31\x34\x0a\x73\x56\x63\x0a\x70\x31\x35\x0a\x28\x64\x70\x31\x36\x0a\x73\x56\x64"
      "\x0a\x70\x31\x37\x0a\x28\x74\x73\x56\x65\x0a\x70\x31\x38\x0a\x67\x32\x0a\x73\x2e" },
    { 242,
      "\x7d\x71\x00\x28\x58\x01\x00\x00\x00\x61\x71\x01\x5d\x71\x02\x28\x4b\x01\x4a\xfe\xff\xff\xff\x4c\x31\x30\x39\x39"
      "\x35\x31\x31\x36\x32\x37\x37\x37\x36\x4c\x0a\x4c\x31\x31\x38\x30\x35\x39\x31\x36\x32\x30\x37\x31\x37\x34\x31\x31"
      "\x33\x30\x33\x34\x32\x34\x4c\x0a\x4c\x2d\x38\x35\x38\x39\x39\x33\x34\x35\x39\x32\x4c\x0a\x47\x40\x0c\x00\x00\x00"
      "\x00\x00\x00\x49\x30\x31\x0a\x4e\x4d\x2c\x01\x4a\x70\x11\x01\x00\x65\x58\x01\x00\x00\x00\x62\x71\x03\x28\x63\x5f"
      "\x63\x6f\x64\x65\x63\x73\x0a\x65\x6e\x63\x6f\x64\x65\x0a\x71\x04\x28\x58\x03\x00\x00\x00\x78\xc3\xbf\x71\x05\x58"
      "\x06\x00\x00\x00\x6c\x61\x74\x69\x6e\x31\x71\x06\x74\x71\x07\x52\x71\x08\x58\x04\x00\x00\x00\xc3\xa9\x0a\x5c\x71"
      "\x09\x63\x5f\x5f\x62\x75\x69\x6c\x74\x69\x6e\x5f\x5f\x0a\x66\x72\x6f\x7a\x65\x6e\x73\x65\x74\x0a\x71\x0a\x28\x5d"
      "\x71\x0b\x4b\x01\x61\x74\x71\x0c\x52\x71\x0d\x74\x71\x0e\x58\x01\x00\x00\x00\x63\x71\x0f\x7d\x71\x10\x58\x01\x00"
      "\x00\x00\x64\x71\x11\x29\x58\x01\x00\x00\x00\x65\x71\x12\x68\x02\x75\x2e" },
    { 209,
      "\x80\x02\x7d\x71\x00\x28\x58\x01\x00\x00\x00\x61\x71\x01\x5d\x71\x02\x28\x4b\x01\x4a\xfe\xff\xff\xff\x8a\x06\x00"
      "\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x05\x00\x00\x00\x00\xfe\x47\x40\x0c\x00\x00"
      "\x00\x00\x00\x00\x88\x4e\x4d\x2c\x01\x4a\x70\x11\x01\x00\x65\x58\x01\x00\x00\x00\x62\x71\x03\x63\x5f\x63\x6f\x64"
      "\x65\x63\x73\x0a\x65\x6e\x63\x6f\x64\x65\x0a\x71\x04\x58\x03\x00\x00\x00\x78\xc3\xbf\x71\x05\x58\x06\x00\x00\x00"
      "\x6c\x61\x74\x69\x6e\x31\x71\x06\x86\x71\x07\x52\x71\x08\x58\x04\x00\x00\x00\xc3\xa9\x0a\x5c\x71\x09\x63\x5f\x5f"
      "\x62\x75\x69\x6c\x74\x69\x6e\x5f\x5f\x0a\x66\x72\x6f\x7a\x65\x6e\x73\x65\x74\x0a\x71\x0a\x5d\x71\x0b\x4b\x01\x61"
      "\x85\x71\x0c\x52\x71\x0d\x87\x71\x0e\x58\x01\x00\x00\x00\x63\x71\x0f\x7d\x71\x10\x58\x01\x00\x00\x00\x64\x71\x11"
      "\x29\x58\x01\x00\x00\x00\x65\x71\x12\x68\x02\x75\x2e" },
    { 165,
      "\x80\x03\x7d\x71\x00\x28\x58\x01\x00\x00\x00\x61\x71\x01\x5d\x71\x02\x28\x4b\x01\x4a\xfe\xff\xff\xff\x8a\x06\x00"
      "\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x05\x00\x00\x00\x00\xfe\x47\x40\x0c\x00\x00"
      "\x00\x00\x00\x00\x88\x4e\x4d\x2c\x01\x4a\x70\x11\x01\x00\x65\x58\x01\x00\x00\x00\x62\x71\x03\x43\x02\x78\xff\x71"
      "\x04\x58\x04\x00\x00\x00\xc3\xa9\x0a\x5c\x71\x05\x63\x62\x75\x69\x6c\x74\x69\x6e\x73\x0a\x66\x72\x6f\x7a\x65\x6e"
      "\x73\x65\x74\x0a\x71\x06\x5d\x71\x07\x4b\x01\x61\x85\x71\x08\x52\x71\x09\x87\x71\x0a\x58\x01\x00\x00\x00\x63\x71"
      "\x0b\x7d\x71\x0c\x58\x01\x00\x00\x00\x64\x71\x0d\x29\x58\x01\x00\x00\x00\x65\x71\x0e\x68\x02\x75\x2e" },
    { 116,
      "\x80\x04\x95\x69\x00\x00\x00\x00\x00\x00\x00\x7d\x94\x28\x8c\x01\x61\x94\x5d\x94\x28\x4b\x01\x4a\xfe\xff\xff\xff"
      "\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x05\x00\x00\x00\x00\xfe\x47\x40"
      "\x0c\x00\x00\x00\x00\x00\x00\x88\x4e\x4d\x2c\x01\x4a\x70\x11\x01\x00\x65\x8c\x01\x62\x94\x43\x02\x78\xff\x94\x8c"
      "\x04\xc3\xa9\x0a\x5c\x94\x28\x4b\x01\x91\x94\x87\x94\x8c\x01\x63\x94\x7d\x94\x8c\x01\x64\x94\x29\x8c\x01\x65\x94"
      "\x68\x02\x75\x2e" },
    { 116,
      "\x80\x05\x95\x69\x00\x00\x00\x00\x00\x00\x00\x7d\x94\x28\x8c\x01\x61\x94\x5d\x94\x28\x4b\x01\x4a\xfe\xff\xff\xff"
      "\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x05\x00\x00\x00\x00\xfe\x47\x40"
      "\x0c\x00\x00\x00\x00\x00\x00\x88\x4e\x4d\x2c\x01\x4a\x70\x11\x01\x00\x65\x8c\x01\x62\x94\x43\x02\x78\xff\x94\x8c"
      "\x04\xc3\xa9\x0a\x5c\x94\x28\x4b\x01\x91\x94\x87\x94\x8c\x01\x63\x94\x7d\x94\x8c\x01\x64\x94\x29\x8c\x01\x65\x94"
      "\x68\x02\x75\x2e" },
};

static void test_protocols(void **state) {
    (void)state;
    for (size_t i = 0; i < 6; i++)
        gives_n(
            protocols[i].data, protocols[i].bytes, 0,
            "{'a': [1, -2, 1099511627776, big:<00><00><00><00><00><00><00><00>@, -8589934592, 3.5, True, None, 300, "
            "70000], 'b': (b'x<ff>', '<c3><a9><0a>\\', set(1)), 'c': {}, 'd': (), 'e': [1, -2, 1099511627776, "
            "big:<00><00><00><00><00><00><00><00>@, -8589934592, 3.5, True, None, 300, 70000]}");
}

static void test_values(void **state) {
    (void)state;
    gives("ccollections\nOrderedDict\n)R(S'a'\nI1\nu.", "{'a': 1}");
    gives("ccollections\nOrderedDict\n((lp0\n(S'a'\nI1\ntatR.", "{'a': 1}");
    gives("ccollections\ndefaultdict\n(c__builtin__\nlist\ntR(S'a'\nI1\nu.", "{'a': 1}");
    gives("c__builtin__\nset\n((lI1\natR.", "set(1)");
    gives("cargparse\nNamespace\n)\x81}(S'lr'\nF0.5\nub.", "argparse.Namespace()~{'lr': 0.5}");
    gives("ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR}(S'x'\nI1\nub.",
          "argparse.Namespace()~{'x': 1}");
    gives("(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ.",
          "@('storage', torch.FloatStorage, '0', 'cpu', 4)");
    gives("Pabc\n.", "@'abc'");
    gives("(cargparse\nNamespace\nI1\no.", "argparse.Namespace(1)");
    gives("(I1\niargparse\nNamespace\n.", "argparse.Namespace(1)");
    gives("cdatetime\ntimedelta\n(I1\nt}S'x'\nI2\ns\x92.", "datetime.timedelta(1, {'x': 2})");
    gives("S'\\x41\\101\\n\\\\\\''\n.", "'AA<0a>\\''");
    gives("V\\u00e9\\U0001F600\xe9\n.", "'<c3><a9><f0><9f><98><80><c3><a9>'");
    gives("L-12345678901234567890L\n.", "big:.<f5><e0><14>sV<ab>T<ff>");
}

/* Stack and memo as CPython has them, where a scanner that only looks at opcodes goes astray. */
static void test_machine(void **state) {
    (void)state;
    gives("(I1\n(I2\n0I3\nt0t.", "(1)"); /* POP takes values; the inner tuple is thrown away */
    gives("I1\n(0.", "1");               /* POP right after MARK takes the mark */
    gives("I1\n(I2\nI3\n1.", "1");       /* POP_MARK */
    gives("I7\n2\x86.", "(7, 7)");       /* DUP */
    gives("]p5\n(g5\nI1\nt.", "([], 1)");
    gives("I1\nq\x05I2\nq\x05h\x05.", "2"); /* the memo's last word */
    gives("\x80\x04I1\n\x94I2\n\x94h\x01h\x00\x86.", "(2, 1)");
    gives("I1\nq\x07I2\n\x94h\x01.", "2"); /* MEMOIZE counts entries, whatever their numbers */
    gives("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x01K\x02\x86.", "(1, 2)");
}

static void test_broken(void **state) {
    (void)state;
    refuses("", TOLA_E_FORMAT, 0, "truncated: 1 bytes are wanted here but only 0 are left (1 missing)");
    refuses("I1\n", TOLA_E_FORMAT, 3, "truncated: 1 bytes are wanted here but only 0 are left (1 missing)");
    refuses(".", TOLA_E_FORMAT, 0, "the pickle takes a value from an empty stack");
    refuses("(I1\n\x86.", TOLA_E_FORMAT, 4, "the pickle takes a value from an empty stack");
    refuses("I1\nt.", TOLA_E_FORMAT, 3, "the pickle uses a mark that it did not set");
    refuses("h\x03.", TOLA_E_FORMAT, 0, "the pickle uses memo entry 3, which it never set");
    refuses("q\x03.", TOLA_E_FORMAT, 0, "the pickle takes a value from an empty stack");
    refuses("(I1\nd.", TOLA_E_FORMAT, 4, "a dictionary with a key and no value");
    refuses("I1\nI2\na.", TOLA_E_FORMAT, 6, "the pickle puts items into something that is no container");
    refuses("I1\n}b.", TOLA_E_FORMAT, 4, "the pickle gives a state to something that has none");
    refuses("\xff.", TOLA_E_FORMAT, 0, "0xff is no pickle opcode");
    refuses("\x80\x06N.", TOLA_E_UNSUPPORTED, 0, "pickle protocol 6; 0 to 5 are known");
    refuses("X\xff\xff\xff\x7fN.", TOLA_E_FORMAT, 0, "truncated: a string of 2147483647 bytes, 2 are left");
    refuses("\x8e\xff\xff\xff\xff\xff\xff\xff\xffN.", TOLA_E_FORMAT, 0,
            "truncated: a string of 18446744073709551615 bytes, 2 are left");
    refuses("T\xff\xff\xff\xffN.", TOLA_E_FORMAT, 0, "a string of negative length");
    refuses("\x8b\xff\xff\xff\x7fN.", TOLA_E_LIMIT, 0, "an integer of 2147483647 bytes");
    refuses("\x95\x02\x00\x00\x00\x00\x00\x00\x00J\x01\x00\x00\x00.", TOLA_E_FORMAT, 9,
            "an opcode straddles the end of a frame");
    refuses("\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00NN.", TOLA_E_FORMAT, 9,
            "a frame inside a frame");
    refuses("\x95\x0b\x00\x00\x00\x00\x00\x00\x00N.", TOLA_E_FORMAT, 0, "truncated: a frame of 11 bytes, 2 are left");
    refuses("I12x\n.", TOLA_E_FORMAT, 0, "an integer with something that is no digit");
    refuses("F1.5.2\n.", TOLA_E_FORMAT, 0, "a number that cannot be read");
    refuses("S'abc\n.", TOLA_E_FORMAT, 0, "a string without its quotes");
    refuses("S'\\xzz'\n.", TOLA_E_FORMAT, 0, "a string with a damaged escape");
    refuses("V\\u12\n.", TOLA_E_FORMAT, 0, "a string with a damaged escape");
    refuses("\x97.", TOLA_E_UNSUPPORTED, 0, "the pickle keeps data outside itself (an out-of-band buffer)");
    refuses("ccollections\nOrderedDict\n(I1\ntR.", TOLA_E_FORMAT, 30,
            "the arguments of collections.OrderedDict are not the ones it takes");
}

/* ---- what it must never run ---- */

static void test_calls(void **state) {
    (void)state;
    unsafe("cos\nsystem\n(S'id'\ntR.", 19, "the pickle calls os.system (offset 19); nothing was run");
    unsafe("\x80\x02" "cposix\nsystem\nX\x02\x00\x00\x00id\x85R.", 24,
           "the pickle calls posix.system (offset 24); nothing was run");
    unsafe("cnt\nsystem\n(S'calc'\ntR.", 21, "the pickle calls nt.system (offset 21); nothing was run");
    unsafe("\x80\x02" "c__builtin__\neval\nq\x00X\x03\x00\x00\x00" "1+1\x85R.", 31,
           "the pickle calls __builtin__.eval (offset 31); nothing was run");
    unsafe("cbuiltins\nexec\n(S'1'\ntR.", 22, "the pickle calls builtins.exec (offset 22); nothing was run");
    unsafe("cbuiltins\ngetattr\n(c__builtin__\n__import__\nS'x'\ntR.", 49,
           "the pickle calls builtins.getattr (offset 49); nothing was run");
    unsafe("(S'id'\nios\nsystem\n.", 7, "the pickle calls os.system (offset 7); nothing was run");
    unsafe("(cos\nsystem\nS'id'\no.", 18, "the pickle calls os.system (offset 18); nothing was run");
    unsafe("csubprocess\nPopen\n)\x81.", 19, "the pickle calls subprocess.Popen (offset 19); nothing was run");
    unsafe("csubprocess\nPopen\n)}\x92.", 20, "the pickle calls subprocess.Popen (offset 20); nothing was run");
    unsafe("ccopy_reg\n_reconstructor\n(cos\nsystem\nc__builtin__\nobject\nNtR.", 59,
           "the pickle calls os.system (offset 59); nothing was run");
    unsafe("ctorch.storage\n_load_from_bytes\n(S'x'\ntR.", 39,
           "the pickle calls torch.storage._load_from_bytes (offset 39); nothing was run");
    unsafe("cpickle\nloads\n(S'cos'\ntR.", 23, "the pickle calls pickle.loads (offset 23); nothing was run");
    unsafe("ctorch\nfloat32\n)R.", 16, "the pickle calls torch.float32 (offset 16); nothing was run");
    unsafe("ctorch\nFloatStorage\n)R.", 21, "the pickle calls torch.FloatStorage (offset 21); nothing was run");
    unsafe("cdatetime\ndate\n(I1\ntR)R.", 22,
           "the pickle calls something that it computed (offset 22); nothing was run");
    unsafe("c__torch__\nModule\n)\x81.", 19, "the pickle calls __torch__.Module (offset 19); nothing was run");
    /* the first call counts, and nothing after it is looked at */
    unsafe("cos\nsystem\n(S'id'\ntR\xff\xff", 19, "the pickle calls os.system (offset 19); nothing was run");
}

static void test_names(void **state) {
    (void)state;
    unsafe("cos\nsystem\n.", 0, "the pickle refers to os.system (offset 0); nothing was run");
    unsafe("cos\nsystem\n0N.", 0, "the pickle refers to os.system (offset 0); nothing was run");
    unsafe("I1\ncos\nsystem\n}(S'x'\nI1\nub.", 25, "the pickle changes os.system (offset 25); nothing was run");
    unsafe("ccollections\nOrderedDict\n}(S'x'\nI1\nub.", 36,
           "the pickle changes collections.OrderedDict (offset 36); nothing was run");
    unsafe("csys\nmodules\nS'os'\nNs.", 20, "the pickle changes sys.modules (offset 20); nothing was run");
    unsafe("\x82\x01.", 0, "the pickle refers to the extension registry (EXT1, offset 0); nothing was run");
    unsafe("\x83\x01\x00.", 0, "the pickle refers to the extension registry (EXT2, offset 0); nothing was run");
    unsafe("\x84\x01\x00\x00\x00.", 0, "the pickle refers to the extension registry (EXT4, offset 0); nothing was run");
    /* names put together on the stack: from the memo, duplicated, dotted */
    unsafe("\x80\x04\x8c\x06system\x94\x8c\x02os\x94" "0" "0" "h\x01h\x00\x93\x8c\x02id\x85R.", 28,
           "the pickle calls os.system (offset 28); nothing was run");
    unsafe("\x80\x04\x8c\x02os2\x93.", 7, "the pickle refers to os.os (offset 7); nothing was run");
    unsafe("\x80\x04\x8c\x0b" "collections\x8c\x1bOrderedDict.__class__.mro__\x93)R.", 46,
           "the pickle calls collections.OrderedDict.__class__.mro__ (offset 46); nothing was run");
    unsafe("\x80\x04K\x01K\x02\x93.", 6, "the pickle refers to a name that is no text (offset 6); nothing was run");
    unsafe("\x80\x04\x8c\x03o\x00s\x8c\x01x\x93.", 10,
           "the pickle refers to a name that is no text (offset 10); nothing was run");
    unsafe("cos\x1b[31m\nsystem\n)R.", 17, "the pickle calls os\\x1b[31m.system (offset 17); nothing was run");
}

/* A class of a TorchScript archive's code is data there, and only there. */
static void test_script(void **state) {
    (void)state;
    static const char data[] = "\x80\x02" "c__torch__.m\nNet\n)\x81}(X\x01\x00\x00\x00wK\x01" "ub.";
    gives_n(data, sizeof data - 1, PICKLE_TORCHSCRIPT, "__torch__.m.Net()~{'w': 1}");
    static const char ints[] = "ctorch.jit._pickle\nbuild_intlist\n](K\x01K\x02" "e\x85R.";
    gives_n(ints, sizeof ints - 1, PICKLE_TORCHSCRIPT, "[1, 2]");
    unsafe("ctorch.jit._pickle\nbuild_intlist\n]\x85R.", 35,
           "the pickle calls torch.jit._pickle.build_intlist (offset 35); nothing was run");
}

/* Memory stays in proportion to the file: lists copied again and again are stopped. */
static void test_memory(void **state) {
    (void)state;
    buf b;
    buf_init(&b, 0);
    buf_printf(&b, "c__builtin__\nlist\np0\n((");
    for (int i = 0; i < 200000; i++) buf_u8(&b, 'N');
    buf_printf(&b, "ltp1\n");
    for (int i = 0; i < 200; i++) buf_printf(&b, "g0\ng1\nR");
    buf_u8(&b, '.');
    loaded l;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(load(&l, b.data, b.length, 0, &err), TOLA_E_LIMIT);
    assert_string_equal(err.message, "the pickle's values take more than 32 times its size in memory");
    unload(&l);
    buf_free(&b);
}

/* Every allocation fails in turn. */
static void test_faults(void **state) {
    (void)state;
    for (size_t p = 0; p < 6; p++)
        for (uint64_t n = 0;; n++) {
            loaded l;
            tola_error err = TOLA_ERROR_INIT;
            source *src;
            if (source_open_memory("x", protocols[p].data, protocols[p].bytes, &src, &err) != TOLA_OK) abort();
            arena_init(&l.a, 0);
            reader_init(&l.r, src, 0, protocols[p].bytes);
            fault_arm(FAULT_ALLOC, n, true);
            tola_status status = pickle_load(&l.r, 0, &l.a, &l.root, &err);
            fault_disarm();
            reader_free(&l.r);
            source_close(src);
            arena_free(&l.a);
            if (status == TOLA_OK) break;
            assert_int_equal(status, TOLA_E_NOMEM);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols), cmocka_unit_test(test_values), cmocka_unit_test(test_machine),
        cmocka_unit_test(test_broken),    cmocka_unit_test(test_calls),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_script),    cmocka_unit_test(test_memory), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

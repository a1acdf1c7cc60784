"""Small templates for chat_oracle.py: what Jinja and Python's values do, one thing each."""
import itertools
import random

MESSAGES = [{"role": "user", "content": "Hello World"}, {"role": "assistant", "content": "hi"},
            {"role": "tool", "content": ["a", {"b": None}], "n": 3}]
VARIABLES = {
    "s": "Hello, World", "e": "",
    "u": "Straße ΑΣΑΣ ﬁn ǆ İ ñ\u00a0\u2028x", "m": "  a\tb \n c  ",
    "q": "it's \"q\" \\ \n\t\x7f\u00ad\U0001f600",
    "i": 7, "z": 0, "neg": -7, "f": 2.5, "g": 1e22, "h": 1e-7, "big": 12345678901234567890, "t": True, "n": None,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "el": [], "d": {"x": 1, "B": [2], "a": {"k": "v"}}, "ed": {},
    "objs": [{"n": "b", "v": 2, "k": {"z": 1}}, {"n": "A", "v": 1, "k": {"z": 3}}, {"n": "c", "v": 2},
             {"n": "a", "v": None}],
    "nested": [[1, [2, 3]], [], [None, True, 1.0, "x"]],
    "lines": "one\ntwo\r\n\n three\u2028four\n", "dk": {"items": 1, "get": 2, "1": "one"},
    "html": "<a href=\"x\">&'</a>", "num": "42", "hex": "0x1F", "fl": "3.75", "sp": " 12 ",
    "dash": "a-b_c d(e)[f]{g}<h>",
}
EXPRESSIONS = """
s|e|u|m|q|i|z|neg|f|g|h|big|t|n|l|ls|el|d|ed|objs|nested|lines|missing|1_000|0x_1f|0b101|0o17|1.5e3|1e5|12.50|.5|007
1__0
'a' 'b'|'a\\nb\\x41\\u00e9\\101\\q\\é'|"it's"|'say "x"'|(1,)|()|(1, 2)|[1, 'a', None, 2.0]|{'a': 1, 2: [3]}|{}|[[]]
{1: 'a', True: 'b', 1.0: 'c'}
1 + 2|1 - 2|3 * 4|7 / 2|7 // 2|-7 // 2|7 % 3|-7 % 3|7 % -3|7.5 % 2|-7.5 % 2|7.5 // 2|-7.5 // 2|2 ** 10|2 ** -1
2 ** 0.5|2 ** 3 ** 2|-2 ** 2|1 / 0|1 // 0|1 % 0|1.0 / 0
1 + 1.5|t + 1|t * 3|'a' + 'b'|'a' + 1|1 + 'a'|'ab' * 3|3 * 'ab'|'ab' * -1|[1] + [2]|[1] * 2|(1,) + (2,)|[1] + (2,)
n + 1|missing + 1|'a' ~ 1 ~ n ~ missing ~ [1]|1 ~ 2|s ~ 'x' + 'y'|-i|+i|-f|--i|-'a'|-n
9223372036854775807 + 1|9223372036854775807 * 2|big + 1|big == 12345678901234567890|2 ** 62|2 ** 64
-9223372036854775807 - 1
1 < 2|1 < 2 < 3|1 < 3 < 2|3 > 2 >= 2|1 == 1.0|1 == true|'a' == 'a'|'a' < 'b'|[1, 2] < [1, 3]|[1] == [1.0]
{'a': 1} == {'a': 1.0}|1 < 'a'|n == none|n is none|missing == missing|missing == none|1 != 2|(1, 2) == [1, 2]|n < 1
missing < 1|'a' < missing
1 in l|4 in l|4 not in l|'ell' in s|'' in s|'x' in d|'y' not in d|1 in s|n in l|'a' in n|1 in missing|missing in s
missing in l|[1] in d|'k' in d.a|3 in (1, 2, 3)|2 in range(5)|not 1 in l|not t|not missing|not not s|not el
t and f|z and 1|z or 'x'|e or n or el|n and missing.x|1 if t else 2|1 if z else 2|1 if z|(1 if z) is defined
'a' if t and not z else 'b'|1 if 0 else 2 if 0 else 3|t or 1 / 0|(t and z) or 5
s[0]|s[-1]|s[100]|s[1:3]|s[:-2]|s[::2]|s[::-1]|s[5:1]|s[5:1:-2]|s[-3:]|s[:100]|s[::0]|u[0:5]|u[::-1]|u[4]|u[-2]|l[0]
l[-1]|l[9]|l[1:]|l[::-1]|l[:1]|l['a']|d['x']|d['nope']|d.x|d.nope|d.a.k|d['a']['k']|d.nope.x|n.x|n['x']|i.x
missing.x|missing['x']|missing[0]|s.x|(1, 2, 3)[1:]|d[1:2]|n[1:]|missing[1:]|range(10)[2:5]|range(10)[-1]|l[true]
l[1.0]|s['upper']()|d['items']|dk.items|dk['items']|dk.get|dk['1']|dk.1|dk[1]|d.__class__|s.__class__|d['__class__']
l.append|l.append(1)|d.update({})|d.pop('x')|ed.clear
s.upper()|s.lower()|u.upper()|u.lower()|u.title()|u.capitalize()|u.swapcase()|u.casefold()|s.title()
'they\\'re bill\\'s'.title()|s.swapcase()|'hELLO wORLD'.capitalize()|e.capitalize()
m.strip()|m.lstrip()|m.rstrip()|s.strip('Hd')|s.lstrip('He')|s.rstrip('dl')|u.strip()|s.strip(n)|s.strip(1)
'xxaxx'.strip('x')|m.split()|s.split(',')|s.split(', ', 1)|s.split('')|m.split(none, 1)|s.split('l')|s.split('l', 1)
s.split('l', maxsplit=1)|s.split(sep='o')|s.rsplit('l', 1)|m.rsplit(none, 1)|e.split()|e.split(',')
lines.splitlines()|lines.splitlines(true)|s.partition(', ')|s.partition('zz')|s.rpartition('o')|'a,b,,c'.split(',')
s.startswith('Hell')|s.startswith(('x', 'H'))|s.endswith('ld')|s.startswith('e', 1)|s.endswith('o', 0, 5)
s.startswith('')|s.startswith(1)|s.removeprefix('Hell')|s.removesuffix('x')|s.replace('l', 'L')
s.replace('l', 'L', 1)|s.replace('', '-')|s.replace('', '-', 3)|e.replace('', 'x')|s.replace('o', '')|s.find('o')
s.find('o', 5)|s.find('zz')|s.rfind('o')|s.index('W')|s.index('zz')|s.count('l')|s.count('')|u.find('ñ')|s.find('')
s.rfind('')
','.join(ls)|', '.join([])|''.join(['a', 1])|'-'.join('abc')|','.join(d)|s.center(20, '*')|s.center(21)
s.ljust(15, '.')|s.rjust(15)|'5'.zfill(3)|'-5'.zfill(4)|'+5'.zfill(2)|'a\\tb'.expandtabs(4)|s.isalpha()
'abc'.isalpha()|'12'.isdigit()|'²'.isdigit()|'²'.isdecimal()|'½'.isnumeric()|'a1'.isalnum()|' \\n'.isspace()
e.isspace()|'Ab'.istitle()|'ab'.islower()|'AB1'.isupper()|'1'.isupper()|'a_1'.isidentifier()|'1a'.isidentifier()
'é'.isascii()|q.isprintable()
'{} {}'.format(1, 'a')|'{0}{1}{0}'.format('a', 'b')|'{x}'.format(x=1)|'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:05d}'.format(42)|'{:.2f}'.format(3.14159)|'{:,}'.format(1234567)|'{:x} {:#x} {:b} {:o}'.format(255, 255, 5, 8)
'{:e}'.format(12345.678)|'{:g}'.format(0.00001)|'{:%}'.format(0.25)|'{:+d}'.format(5)|'{!r}'.format('a')
'{{}}'.format()|'{'.format()|'{} {0}'.format(1)|'{}'.format()|'{a[k]}'.format(a=d.a)|'{a.k}'.format(a=d.a)
'{:*^9}'.format('x')|'{:8.3f}'.format(2.5)|'{:<08}'.format(-5)|'{:=+8}'.format(5)|'{}'.format(none)
'{:5}'.format(none)|'{}'.format(l)|'{:>{w}}'.format('a', w=4)|'{:.3}'.format('abcdef')|'{:.3}'.format(3.14159)
'{:}'.format(1.0)|'{:10}'.format(1.5)|'{}'.format(t)|'{:d}'.format(t)|'{:_}'.format(1234567)
'{:,.2f}'.format(1234567.891)
'%s' % 'a'|'%s %s' % (1, 'b')|'%d' % 3.7|'%05d' % 42|'%-5s|' % 'a'|'%5s' % 'a'|'%.2f' % 2.345|'%x' % 255|'%#x' % 255
'%o' % 8|'%e' % 1234.5|'%g' % 1e10|'%r' % 'a'|'%c' % 65|'%c' % 'x'|'%%' % ()|'%(a)s' % {'a': 1}|'%s' % (1, 2)
'%s %s' % 1|'%d' % 'a'|'%s' % none|'%s' % l|'%+d' % 5|'% d' % 5|'%*d' % (5, 42)|'%.3s' % 'abcdef'|'%i' % 5|'%5.1f
' % 3.14159|'a' % 1|'a' % l|'%' % 1|'%q' % 1
d.items()|d.keys()|d.values()|d.items()|list|d.keys()|list|d.get('x')|d.get('nope')|d.get('nope', 5)|d.get(1)
d.copy()|l.index(1)|l.index(9)|l.count(1)|(1, 1).count(1)|d.get()|s.upper(1)|s.nope()|i.bit()|n()|missing()|1()|s()
range(3)|range(1, 4)|range(5, 0, -2)|range(0)|range(3)|list|range(1, 2, 0)|range(200000)|range('a')|dict(a=1)
dict([['a', 1]])|dict(d, y=2)|namespace(a=1)|namespace(a=1).a|namespace(a=1).b|namespace(_a=1)|namespace({'a': 1})
dict|range|namespace
f.is_integer()|2.0.is_integer()|1.0|1e16|1e15|123456789.123|0.1 + 0.2|1e-4|1e-5|100000000000000000000.0|-0.0|1.0 * 3
5 / 1|2.5 // 1|3.0 % 2
"""
FILTERS = """
s|upper;s|lower;i|upper;u|upper;u|lower;s|title;dash|title;u|title;s|capitalize;u|capitalize;n|upper;missing|upper
m|trim;s|trim('Hd');i|trim
s|length;l|length;d|length;u|length;i|length;n|length;missing|length;range(4)|length;s|count;d.items()|length
l|first;l|last;s|first;s|last;el|first;el|last;d|first;d|last;n|first;missing|first;missing|last;range(3)|last
d.keys()|last
l|join;l|join(', ');ls|join('-');objs|join(',', attribute='n');objs|join(',', 'v');d|join(',');s|join(',');n|join
missing|join('x');[1, none, missing]|join(';');nested|join
ls|sort;ls|sort(reverse=true);ls|sort(case_sensitive=true);l|sort;objs|sort(attribute='n')|map(attribute='n')|list
objs[:3]|sort(attribute='v,n')|map(attribute='n')|list;objs|sort(attribute='v');[1, 'a']|sort;s|sort;d|sort
[[2, 1], [1, 2]]|sort;el|sort
ls|unique|list;['a', 'A', 'b']|unique|list;['a', 'A']|unique(case_sensitive=true)|list
objs|unique(attribute='v')|map(attribute='n')|list;[1, 1.0, true]|unique|list
l|min;l|max;ls|min;ls|max;el|max;objs[:3]|max(attribute='v');ls|max(case_sensitive=true);[1, 'a']|max;l|sum
[1.5, 2]|sum;objs[:3]|sum(attribute='v');['a']|sum;el|sum;l|sum(start=10);nested|sum(start=[])
l|list;s|list;d|list;n|list;missing|list;i|list;u|list;l|reverse|list;s|reverse;u|reverse;d|reverse|list;n|reverse
range(3)|reverse|list
l|batch(2)|list;l|batch(2, 'x')|list;range(7)|slice(3)|list;range(7)|slice(3, 'x')|list;s|batch(3)|list
l|batch(5, 0)|list
d|items|list;missing|items|list;l|items|list;d|dictsort;d|dictsort(true);d|dictsort(by='value')
{'b': 2, 'a': 3}|dictsort(by='value', reverse=true);d|dictsort(by='x');l|dictsort
objs|map(attribute='n')|list;objs|map(attribute='k.z')|list;objs|map(attribute='k.z', default=0)|list
objs|map(attribute='nope')|list;ls|map('upper')|list;ls|map('replace', 'a', 'z')|join;l|map('nope')|list;l|map|list
nested|map('length')|list;nested|map(attribute=0)|list;nested|map('first')|list;objs|map('attr', 'n')|list
n|map('upper')|list;missing|map('upper')|list;[1, 2]|map('string')|join('+')
objs|selectattr('v')|map(attribute='n')|list;objs|selectattr('v', 'equalto', 2)|map(attribute='n')|list
objs|rejectattr('v')|map(attribute='n')|list;objs|selectattr('k.z', 'defined')|list|length
objs|selectattr('v', '==', 1)|list;objs|selectattr('v', 'none')|map(attribute='n')|first
objs|selectattr('n', 'in', ['a', 'b'])|map(attribute='n')|list;l|select|list;l|select('odd')|list
l|reject('odd')|list;l|select('gt', 1)|list;l|select('nope')|list;[0, '', none, 1]|select|list
[0, '', none, 1]|reject|list;objs|selectattr|list;messages|selectattr('role', 'equalto', 'user')|list|length
ls|select('in', 'ab')|list
objs|groupby('v')|list|length;objs[:3]|groupby('v');objs[:3]|groupby('v')|map(attribute='grouper')|list
ls|groupby(0);[{'a': 'X'}, {'a': 'x'}, {'b': 1}]|groupby('a', default='q');(objs[:3]|groupby('v'))[0].list|length
missing|default('x');n|default('x');n|default('x', true);e|default('x', boolean=true);missing|d(1);missing|default
z|default(5, true);d.nope|default('y');missing.x|default('y')
num|int;hex|int;hex|int(base=16);hex|int(5, 'a');'5.5'|int(1, l);'12'|int(1, none);'12'|int(1, true);hex|int(0, 16);fl|int;s|int;s|int(9);f|int;n|int;sp|int;t|int;neg|int;l|int
missing|int;'1_000'|int;'1__0'|int;'-5'|int;'1e3'|int;''|int;'0b11'|int(base=0);'nan'|int
fl|float;s|float;s|float(1.5);i|float;n|float;'inf'|float;'1e3'|float;missing|float;'1_0.5'|float;sp|float
'-nan'|float;'.5'|float;'5.'|float;'.'|float
f|round;2.567|round(2);2.5|round;3.5|round;-2.5|round;2.675|round(2);i|round;i|round(1);15|round(-1);25|round(-1)
1234.5|round(-2);2.1|round(method='ceil');2.9|round(method='floor');2.123|round(2, 'ceil');s|round
i|round(0, 'floor');2.5|round(0, 'x');1e300|round(2);2.5|round(none);t|round(none);2.5|round(none, 'ceil');0.5|round;1.5|round;1250.0|round(-2);1350.0|round(-2)
neg|abs;-2.5|abs;s|abs;t|abs;missing|abs;n|string;i|string;l|string;missing|string;f|string;t|string;d|string
s|replace('l', 'L');s|replace('l', 'L', 1);i|replace('7', '8');s|replace(n, 'x');l|replace('[', '(');s|replace('o')
missing|replace('a', 'b')
lines|indent;lines|indent(2);lines|indent(2, true);lines|indent(2, true, true);lines|indent('>> ')
lines|indent(first=true);e|indent;n|indent;'a\\n\\nb'|indent(width=2, blank=true);lines|indent(0)
s|center(20);s|truncate(5);s|truncate(5, true);s|truncate(8, false, '!');s|truncate(5, true, '', 0);s|truncate(2)
s|wordcount;dash|wordcount;u|wordcount;'%s-%s'|format(1, 'a');'%(a)s'|format(a=5);s|format(1);'%s'|format(1, a=2)
html|escape;html|e;html|safe;html|safe + '<b>';'<b>' + html|safe;html|e|e;html|forceescape;html|e|forceescape
html|escape ~ '<b>';(html|safe)|upper;(html|safe).replace('a', '<');[html|safe];i|e;n|e;html|safe|tojson
(html|safe)[1:3] + '<';'%s'|safe|format('<');'{}<'|safe ~ '';(html|safe) * 2 + '<';html|safe is escaped
html is escaped;(html|safe).join(['<', 'b']);'<'.join([html|safe]);(html|safe).split('h')|first + '<'
(html|safe)|replace('a', '<') + '<';(html|safe)|trim + '<';(html|safe)|string + '<';(html|safe)|indent + '<'
d|tojson;l|tojson;s|tojson;q|tojson;u|tojson;html|tojson;n|tojson;t|tojson;f|tojson;g|tojson;h|tojson;big|tojson
nested|tojson;d|tojson(indent=2);nested|tojson(indent=4);el|tojson(indent=2);ed|tojson(indent=2)
d|tojson(sort_keys=true);u|tojson(ensure_ascii=true);d|tojson(separators=(',', ':'));d|tojson(indent='--')
d|tojson(indent=0);d|tojson(true);missing|tojson;range(3)|tojson;(1, 2)|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson;{(1, 2): 3}|tojson;d.items()|tojson;namespace()|tojson;d|tojson(indent=none)
d|tojson(2);messages|tojson;d|tojson(nope=1);[1.0, 1e16, 0.1]|tojson;'</script>'|tojson
s|nope;1|nope(2);s|upper(1);s|default(1, 2, 3);d|attr('x');s|attr('upper');d|attr('items')
s|urlencode;u|urlencode;q|urlencode;i|urlencode;f|urlencode;n|urlencode;missing|urlencode;d|urlencode;dk|urlencode
'a b/c?d=e&f'|urlencode;{'a b': 'c/d', 1: none}|urlencode;[('a', 1), ['b', 'x y']]|urlencode;'ab'|list|urlencode
[('a',)]|urlencode;[('a', 1, 2)]|urlencode;[1]|urlencode;['ab', 'cd']|urlencode;el|urlencode;html|safe|urlencode
{'class': 'a "b"', 'id': none, 'n': 5, 'u': missing}|xmlattr;ed|xmlattr;{'a': 1}|xmlattr(false);{'a b': 1}|xmlattr
{'a/b': 1}|xmlattr;{'a': 1, 'b': html|safe}|xmlattr;{1: 2}|xmlattr;l|xmlattr;missing|xmlattr;{'a>': none}|xmlattr
{'<': html}|xmlattr(autospace=true);{'a\\x1f': 1}|xmlattr;{'\u00a0': 1}|xmlattr;n|xmlattr;s|xmlattr;{'a=': 1}|xmlattr
0|filesizeformat;1|filesizeformat;999|filesizeformat;1000|filesizeformat;1024|filesizeformat;1023|filesizeformat(true)
1024|filesizeformat(true);13000|filesizeformat;4100000|filesizeformat;'1e9'|filesizeformat;1e27|filesizeformat
1e24|filesizeformat;1e25|filesizeformat(binary=true);1e300|filesizeformat;-5|filesizeformat;-1.5|filesizeformat
999.9|filesizeformat;true|filesizeformat;n|filesizeformat;'x'|filesizeformat;l|filesizeformat;missing|filesizeformat
'nan'|filesizeformat;'inf'|filesizeformat;'-inf'|filesizeformat;999950|filesizeformat
'1208925819614629174706176'|filesizeformat(true)
f|filesizeformat;num|filesizeformat;'12_3'|filesizeformat;1e21|filesizeformat;999999999999999983222784.0|filesizeformat
s|wordwrap(5);s|wordwrap;lines|wordwrap(4);m|wordwrap(3);u|wordwrap(6);dash|wordwrap(4);q|wordwrap(2);html|wordwrap(7)
'aaaa bbbbbbbbbb cc'|wordwrap(5, false);'aaaa bbbbbbbbbb cc'|wordwrap(5, true, '|');e|wordwrap;s|wordwrap(0)
e|wordwrap(0);s|wordwrap(-1);s|wordwrap('5');i|wordwrap;n|wordwrap;missing|wordwrap
s|wordwrap(width=3, wrapstring='| ')
'well-known self-made a--b -- c---d e-f-g 1-2 x-1y'|wordwrap(6);'well-known self-made'|wordwrap(6, true, none, false)
'   leading   and   trailing   '|wordwrap(8);'a\n\nb  \n c'|wordwrap(3);'aa-bb-cc-dd'|wordwrap(4);'----a----'|wordwrap(3)
l|pprint;s|pprint;d|pprint;messages|pprint;objs|pprint;nested|pprint;n|pprint;missing|pprint;u|pprint;q|pprint;i|pprint
(s ~ ' ')*10|pprint;((s ~ ' ')*10)|pprint;[(s ~ ' ')*10]|pprint;{'k': (s ~ ' ')*10, 'a': [1]}|pprint;lines*6|pprint
(lines*6)|pprint;[lines*6, 1]|pprint;(objs*3)|pprint;{'x': objs, 'y': nested, 'b': (1,)}|pprint;range(40)|list|pprint
((s*20),)|pprint;(s*30, s)|pprint;{'long': [u*6, {'z': 1, 'y': s*8}]}|pprint;[[]]*30|pprint;('x'*100)|pprint
('x'*100 ~ ' ' ~ 'y'*100)|pprint;[html|safe]|pprint;((html|safe)*20)|pprint;{2: 'b', 1: 'a'}|pprint
d.items()|pprint;range(3)|pprint;{}|pprint;[{}, [], ()]|pprint;objs|groupby('n')|first|pprint;[s*5, s*5, s*5]|pprint
s|upper if t else s|nope;s|nope if z else s
"""
TESTS = """
defined undefined none string mapping number integer float boolean true false iterable sequence
callable lower upper odd even escaped test filter
"""
TEST_VALUES = ["s", "i", "z", "f", "t", "n", "l", "d", "missing", "(1, 2)", "range(3)", "d.items()", "d.nope",
               "'ABC'", "'abc'", "big", "namespace()", "s.upper", "range", "'upper'", "html|safe", "ed"]
MORE_TESTS = """
1 is divisibleby 1;6 is divisibleby(4);6 is divisibleby 0;i is eq 7;i is equalto(7);i is ne 7;i is gt 5;i is lt 5
i is ge 7;i is le 6;i is sameas 7;n is sameas none;t is sameas true;'a' is in 'abc';1 is in l;1 is not in l
i is greaterthan 3;i is lessthan 3;s is not string;s is not defined;not s is string;i is odd and t;i is even or z
i is nope;i is not nope;s is string is string;i is == 7;i is defined(1);i is divisibleby
i is defined if t else 1;(1 is defined) ~ 'x';s is string and d is mapping;missing is defined or n is none
l is sequence and l is not mapping;s|length is gt 3;i is in [7, 8];- i is odd;i + 1 is even
"""
STATEMENTS = r"""
{% for x in l %}{{ x }},{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{% endfor %}
{% for x in l %}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth0 }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }}{{ loop.last }};{% endfor %}
{% for x in l if x > 1 %}{{ loop.last }}{% endfor %}
{% for k, v in d.items() if k != 'x' %}{{ k }}={{ v }}{% if not loop.last %},{% endif %}{% endfor %}
{% for k, v in d.items() %}{{ k }}{{ v }}{{ loop.last }}{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for k, v in d %}{{ k }}{% endfor %}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }};{% endfor %}
{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [[1]] %}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for x in el %}x{% else %}empty{% endfor %}
{% for x in missing %}x{% else %}none{% endfor %}
{% for x in n %}x{% endfor %}
{% for x in i %}x{% endfor %}
{% for c in u %}[{{ c }}]{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% continue %}{% else %}E{% endfor %}
{% break %}
{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}|{% endfor %}
{% for x in l %}{% for y in [1] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in l %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}
{% for x in [1, 2] %}{% for y in [3] if loop.index == 1 %}{{ y }}{% endfor %}{% endfor %}
{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=0) %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}
{% for y in l %}{{ x }}{% set x = y %}{{ x }}{% endfor %}
{% for y in l %}{% if y == 1 %}{% set s = 'changed' %}{% endif %}{{ s }};{% endfor %}
{% for y in l %}{% set s = y %}{{ s }}{% endfor %}{{ s }}
{% if t %}{% set k = 1 %}{% endif %}{{ k }}
{% if z %}{% set s = 1 %}{% endif %}{{ s }}
{% if z %}{% set s = 1 %}{% else %}{{ s }}{% endif %}
{% set s = s ~ '!' %}{{ s }}
{{ s }}{% set s = 1 %}{{ s }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set (a, b) = [1, 2] %}{{ a + b }}
{% set a.b = 1 %}
{% set d.x = 5 %}{{ d }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set ns = namespace(a=1) %}{% set ns.a, ns.b = 2, 3 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns['a'] }}
{% set true = 1 %}
{% set 1 = 2 %}
{% set x %}a{{ i }}b{% endset %}[{{ x }}]
{% set x | upper %}abc{% endset %}{{ x }}
{% set x | replace('a', 'b') | trim %} aaa {% endset %}[{{ x }}]
{% set ns = namespace() %}{% set ns.t %}in{% endset %}{{ ns.t }}
{% set x %}{% set y = 5 %}{{ y }}{% endset %}{{ x }}{{ y }}
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter replace('a', 'b') | trim %} aaa {% endfilter %}.
{% filter upper %}{% set y = 1 %}x{{ y }}{% endfilter %}{{ y }}
{% with %}{% set w = 1 %}{{ w }}{% endwith %}{{ w }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with a = i, i = 3 %}{{ a }}{{ i }}{% endwith %}{{ i }}
{% macro m(a, b='x', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m() }}{{ m(b=1, a=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}
{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body {{ i }}{% endcall %}
{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}{% if caller %}y{% else %}n{% endif %}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}
{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}
{% macro m() %}{{ i }}{% endmacro %}{% set i = 5 %}{{ m() }}
{% macro m() %}{% set i = 1 %}{{ i }}{% endmacro %}{{ m() }}{{ i }}
{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}
{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{{ m() }}{% macro m() %}x{% endmacro %}
{% macro m(x, y=x) %}{{ y }}{% endmacro %}{{ m(1) }}
{% macro m(x=y, y=1) %}{{ x }}{{ y }}{% endmacro %}{{ m() }}
{% macro m(a, b) %}{{ b is defined }}{% endmacro %}{{ m(1) }}{{ m(1, none) }}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}{{ m.name }}{{ m.arguments }}
{% macro m(x) %} {{ x }} {% endmacro %}{{ m(1)|trim }}{{ m(2)|length }}{{ m(3) is string }}
{% macro outer() %}{% macro inner() %}I{% endmacro %}{{ inner() }}{{ inner() }}{% endmacro %}{{ outer() }}
{% if t %}{% macro c() %}C{% endmacro %}{% endif %}{{ c() }}
{% if z %}{% macro c() %}C{% endmacro %}{% endif %}{{ c() }}
{% generation %}x{{ i }}{% endgeneration %}
{% generation %}{% set gg = 1 %}{{ gg }}{% endgeneration %}{{ gg }}
{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}
{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{% if i > 5 %}a{% elif i > 3 %}b{% else %}c{% endif %}
{% if z %}a{% elif n %}b{% elif i %}d{% else %}c{% endif %}
{% if z %}a{% endif %}
{% if missing %}a{% else %}b{% endif %}
{% if s, 1 %}a{% endif %}
{% if %}a{% endif %}
{% if i %}a
{% endif %}
{% for x in l %}
{% endif %}
{% nope %}
{% if i %}{% else %}{% else %}{% endif %}
{% if i %}{% endfor %}
{{ }}
{{ i
{% if
{# comment
{% raw %}{{ x }}
{{ i }} }}
{{ i }}}
{{ {'a': {'b': 1}}['a'] }}
{{ {'a': {'b': 1}}}}
{{ (1 }}
{{ 1) }}
{{ [1, 2}}
{{ 'abc }}
{{ i @ 2 }}
{{ i ? 1 }}
{{ 1 2 }}
{{ i, s }}
{{ i; }}
{{ a.b.c }}
{{ a..b }}
{{ a. }}
{{ a[ }}
{{ |upper }}
{{ i| }}
{{ i|upper| lower }}
{{ i is }}
{{ f(a=1, 2) }}
{{ f(a=1, a=2) }}
{{ f(**a, *b) }}
{{ dict(**{'a': 1}, b=2) }}
{{ dict(*[[['a', 1]]]) }}
{% print i, s %}
{% do 1 %}
{% include 'x' %}
{% if z %}{% include 'x' %}{% endif %}ok
{% if z %}{% import 'x' as y %}{% endif %}ok
{% if z %}{% from 'x' import y %}{% endif %}ok
{% extends 'x' %}
{{ raise_exception('no') }}
{% if z %}{{ raise_exception('no') }}{% endif %}ok
{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %j %p %I %y %U %W %w %u %V %G %d %e %-d') }}
{{ strftime_now('%-m %D %F %T %R %C %h %n%t%% %c %x %X %k %l %s %_d %-H %r %P %g') }}
{{ strftime_now('Today: %d %B %Y.') }}{{ strftime_now('') }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}
{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j() }}
{% set j = joiner() %}{{ j() }}{{ j() }}
{{ cycler() }}
{% set x = objs|map(attribute='n') %}{{ x|list }}{{ x|list }}
{% set x = objs|map(attribute='n') %}{% for y in x %}{{ y }}{{ loop.last }}{{ loop.length }}{% endfor %}
{% set x = objs|map(attribute='n') %}{{ x is iterable }}{{ x is sequence }}{{ x is defined }}
{% for x in objs|selectattr('v') %}{{ loop.index }}{{ loop.revindex }}{{ x.n }}{% endfor %}
{{ (l|map('string'))[0] }}
{{ l|map('string')|length }}
{{ 'a' if l|map('string') else 'b' }}
{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}
{% for m in messages[::-1] %}{{ m['role'] }}{% endfor %}{{ messages[-1].n }}{{ messages[1:]|length }}
{{ messages[0]['content']|length }}{{ messages[2].content[1].b }}{{ messages[2].content }}
{% set messages = messages[1:] %}{{ messages|length }}
{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ bos_token }}{{ eos_token }}
{% if tools is defined %}d{% endif %}{% if tools %}t{% endif %}{% if tools is not none %}n{% endif %}
{{ loop }}
{% set loop = 1 %}{{ loop }}
{% for x in l %}{% set loop = 1 %}{% endfor %}
{% for loop in l %}{% endfor %}
{% for x in range(3) %}{% set y = x %}{% for z2 in range(2) %}{{ y }}{% set y = 9 %}{% endfor %}{{ y }}{% endfor %}
{% for x in l %}{{ x }}{% endfor %}{{ x }}
{% for i in l %}{{ i }}{% endfor %}{{ i }}
{% for i in [i, i + 1] %}{{ i }}{% endfor %}
{% set a = 'x' * 300 %}{% set b = a ~ '1' %}{% set c = a ~ '22' %}{% set d = b ~ c %}{{ a }}{{ b }}{{ c }}{{ d }}
{% set a = 'x' * 300 %}{% set b = a + ('y' ~ (a + 'z')) + (a ~ 'w') %}{{ a }},{{ b }}
{% set ns = namespace(t='x' * 200) %}{% for c in s %}{% set o = ns.t %}{% set ns.t = ns.t ~ c * 40 %}{{ o[-2:] }}{% endfor %}{{ ns.t }}
{% set ns = namespace(t='') %}{% for c in s * 30 %}{% set ns.t = ns.t + c ~ loop.index %}{% endfor %}{{ ns.t }}{{ ns.t|length }}
{% for x in l recursive %}{{ x }}{% endfor %}
{% for x in nested recursive %}[{{ loop.depth }}{% if x is sequence and x is not string %}{{ loop(x) }}{% else %}{{ x }}{% endif %}{{ loop.depth0 }}{{ loop.index }}/{{ loop.length }}]{% else %}-{% endfor %}
{% for k, v in d.items() recursive %}{{ k }}:{% if v is mapping %}({{ loop(v.items()) }}){% else %}{{ v }}{% endif %}{{ ';' if not loop.last }}{% endfor %}
{% for x in nested recursive %}{% set y = loop.index %}{% if x is iterable and x is not string %}{{ loop(x)|upper }}{% endif %}{{ y }}{{ x }}{{ loop.previtem }},{% endfor %}{{ y }}
{% for x in [1, [2, [3, 0]], 0] if x recursive %}{{ loop.depth }}:{{ x }}{{ loop.last }}{% if x is not number %}({{ loop(x) }}){% endif %}{{ loop.nextitem }};{% endfor %}
{% for x in nested recursive %}{% if loop.index > 2 %}{% break %}{% endif %}{% if x is number %}{{ x }}{% continue %}{% endif %}<{{ loop(x) }}>{% else %}none{% endfor %}
{% for x in nested recursive %}{% set o = loop %}{% for y in [x] %}{{ loop.index }}{% if y is not string and y is iterable %}{{ o(y) }}{% else %}{{ y }}{% endif %}{% endfor %}{{ o.index }}{% endfor %}
{% macro m(z) %}{% for x in z recursive %}{{ x }}{% if x is sequence %}({{ loop(x) }}){% endif %}{{ z|length }}{% endfor %}{% endmacro %}{{ m([[1, [2]], 3]) }}{{ m([]) }}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% for x in nested recursive %}{% for y in x %}{{ loop([y]) }}{% endfor %}{% endfor %}
{% for x in l recursive %}{{ loop() }}{% endfor %}
{% for x in l recursive %}{{ loop(l, l) }}{% endfor %}
{% for x in [[1]] recursive %}{{ loop(iterable=x) if x is iterable else x }}{% endfor %}
{% for x in l recursive %}{{ loop(5) }}{% endfor %}
{% for x in l recursive %}{{ loop(l) }}{% endfor %}
{% for x in l recursive %}{{ loop(missing) }}{{ x }}{% else %}e{% endfor %}
{% set ns = namespace(f=none, n=0) %}{% for x in [1, 2] recursive %}{% set ns.f = loop %}{% set ns.n = ns.n + x %}{% if ns.n < 9 %}{{ loop([3]) }}{% endif %}{{ x }}{{ ns.n }}{% endfor %}{{ ns.f([7]) }}{{ ns.n }}
{% for x in ['<a>'] recursive %}{% set t = loop([]) %}{{ t is string }}{{ (t ~ '<')|length }}{% else %}<&{% endfor %}
{% for x in [[1, 2], 3] recursive %}{% generation %}{{ loop(x) if x is sequence else x }};{% endgeneration %}{% endfor %}
{% for recursive in [1] recursive %}{{ recursive }}{% endfor %}
{% for x in [messages] recursive %}{% if x is mapping %}{{ x.role }}{% else %}{{ loop(x) }}{% endif %}{% endfor %}
"""
WHITESPACE = [
    "a{% if t %}\nb\n{% endif %}\nc", "  {% if t %}  b  {% endif %}  c", "a\n  {%- if t -%}\n b \n {%- endif %}\n c",
    "a\n  {%+ if t +%}\nb{% endif %}", "a {# x #} b", "a\n  {# x #}\nb", "a {#- x -#} b", "  {{ i }}  ",
    "\n {{- i -}} \n x", "a\n  {{ i }}\n", "a\n\n", "a\n", "\n", "", "{{ i }}\n", "{% if t %}x{% endif %}\n",
    "{% raw %}{{ x }}{% if %}{% endraw %}", " {%- raw -%} {{ a }} {%- endraw -%} b",
    "a\n  {% raw %}\n x\n  {% endraw %}\nb", "x {% raw %} {% endraw +%}\ny", "{#\n multi\n#}\nx", "{##}x",
    "a\r\nb\rc\n{% if t %}\r\nd{% endif %}\r\n", "{{ 'a\r\nb' }}", "{%if t%}a{%endif%}",
    "{%- if t %} a{% endif -%}  \n b", "{{i}}{{s}}", "{ % x % } { { y } }", "{{ '{{' }} {{ '%}' }}",
    "{% set x = '%}' %}{{ x }}", "x\n   \n  {% if t %}\n   y\n  {% endif %}\n z",
    "{% for x in l %}\n  - {{ x }}\n{% endfor %}\nend", "{% for x in l -%}\n  - {{ x }}\n{%- endfor %}\nend",
    "a {%- set x = 1 %} b", "\t{% if t %}\t{% endif %}\t|", "\u00e9  {%- if t %}\u00a0 {%- endif %}",
    "{{ i -}}\n\n{{ s }}", "{{ i }}{#- c #}  {{ s }}", "  {#+ c +#}\n x", "{% if t %}\n\n\nx{% endif %}", "{{- i }}",
    "{{ i -}}", "{%- if t -%}{%- endif -%}", "a{#b#}c{#d", "{%-set x=1-%} {{-x-}} ", "{%\nif\nt\n%}\nx{%\nendif\n%}",
    "{{\ni\n}}", "x{{ '\\\n' }}y", "{% if t %}{# c #}\n{% endif %}z", "a {#", "a {#-", "a\n {#- ",
]


def snippets():
    out = []
    for line in EXPRESSIONS.strip().splitlines():
        for text in line.split("|"):
            out.append("{{ " + text + " }}")
    # those in which a bar is a filter were split; whole ones follow here
    out += ["{{ " + text + " }}" for line in FILTERS.strip().splitlines() for text in line.split(";")]
    out += ["{{ %s is %s }}" % (value, test) for value, test in itertools.product(TEST_VALUES, TESTS.split())]
    out += ["{{ " + text + " }}" for line in MORE_TESTS.strip().splitlines() for text in line.split(";")]
    out += STATEMENTS.strip("\n").split("\n")
    out += WHITESPACE
    binary = ["not in", *"+ - * / // % ** == != < <= > >= in and or ~".split()]
    values = ["1", "0", "-7", "2.5", "-0.5", "true", "none", "'a'", "'%s'", "[1]", "(1,)", "{'a': 1}", "missing"]
    out += ["{{ %s %s %s }}" % (a, op, b) for a, op, b in itertools.product(values, binary, values)]
    indices = ["", "0", "1", "-1", "2", "-3", "9", "-9", "none"]
    out += ["{{ s[%s:%s] }}{{ l[%s:%s] }}{{ u[%s:%s] }}" % ((a, b) * 3) for a, b in itertools.product(indices, indices)]
    out += ["{{ s[%s:%s:%s] }}{{ l[%s:%s:%s] }}" % ((a, b, c) * 2)
            for a, b, c in itertools.product(indices, indices, ["2", "-1", "-3", "100"])]
    return out


# ---- at random ----

WRAPPED = ["a", "bb", "ccc", "word", "hyphen-ated", "a-b", "x--y", "--", "-", "---", " ", "  ", "\\n", "\\t", ".", ",",
           "é", "日本", "_", "1", "long" * 6, "\u00a0", "'", "\u2028", "q-", "-q", "A-b-c", "²-ab", "ab-²c"]


def random_layout(r):
    """Texts to wrap, and values to print."""
    text = "'" + "".join(r.choice(WRAPPED) + r.choice(["", "", " "]) for _ in range(r.randrange(1, 40))).replace(
        "'", "\\'") + "'"
    if r.random() < 0.6:
        arguments = [str(r.randrange(1, 30)), r.choice(["true", "false"]), r.choice(["none", "'|'"]),
                     r.choice(["true", "false"])]
        return "{{ " + text + "|wordwrap(" + ", ".join(arguments[:r.randrange(1, 5)]) + ") }}"

    def value(depth):
        kind = r.randrange(7 if depth else 4)
        if kind < 2:
            return f"({text}[:{r.randrange(120)}])"
        if kind < 4:
            return r.choice(["1", "none", "true", "2.5", "s", "lines", "e"])
        items = [value(depth - 1) for _ in range(r.randrange(6))]
        if kind == 4:
            return "[" + ", ".join(items) + "]"
        if kind == 5:
            return "(" + "".join(i + ", " for i in items) + ")"
        return "{" + ", ".join(f"'{r.choice('abcxyz') * r.randrange(1, 20)}': {i}" for i in items) + "}"
    return "{{ " + value(3) + "|pprint }}"


ATOMS = ["s", "e", "u", "m", "q", "i", "z", "neg", "f", "t", "n", "l", "ls", "el", "d", "ed", "objs", "nested", "lines",
         "dk", "html", "num", "missing", "messages", "1", "2", "-1", "0", "3.5", "'a'", "'l'", "''", "' '", "'%s|%s'",
         "'{}-{}'", "true", "none", "[1, 2]", "('a', 'b')", "{'k': 1}", "range(4)", "(html|safe)", "d.items()", "'ß'"]
METHODS = """
upper lower title strip lstrip rstrip split rsplit splitlines startswith endswith replace join format find count
center ljust zfill partition rpartition get items keys values index capitalize swapcase casefold removeprefix
removesuffix isdigit isalpha isupper istitle expandtabs rjust rfind
""".split()
FILTER_NAMES = """
upper lower title capitalize trim length first last join sort unique min max sum list reverse batch slice items
dictsort map select reject selectattr rejectattr groupby default int float round abs string replace indent
center truncate wordcount format escape safe forceescape tojson attr wordwrap urlencode xmlattr filesizeformat pprint
""".split()
NAMES = ["'upper'", "'v'", "'n'", "'k.z'", "'length'", "'defined'", "'string'", "'equalto'", "'odd'", "0", "'first'"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]


def random_expression(r, depth):
    if depth == 0:
        return r.choice(ATOMS)
    a = random_expression(r, depth - 1)
    arguments = ", ".join(random_expression(r, r.randrange(depth)) for _ in range(r.choice([0, 0, 1, 1, 2])))
    kind = r.randrange(12)
    if kind < 3:
        return f"({a}).{r.choice(METHODS)}({arguments})"
    if kind < 6:
        if r.random() < 0.3:
            arguments = ", ".join(r.sample(NAMES, r.choice([1, 1, 2])))
        text = f"({a})|{r.choice(FILTER_NAMES)}({arguments})"
        return text + "|list" if r.random() < 0.3 else text
    if kind < 8:
        return f"({a} {r.choice(OPERATORS)} {random_expression(r, r.randrange(depth))})"
    if kind == 8:
        return f"({a})[{random_expression(r, 0)}]"
    if kind == 9:
        return f"({a})[{r.choice(['', '1', '-2', '0'])}:{r.choice(['', '2', '-1'])}{r.choice(['', ':2', ':-1'])}]"
    if kind == 10:
        return f"({a} is {r.choice(['', 'not '])}{r.choice(TESTS.split())})"
    return f"({a} if {random_expression(r, r.randrange(depth))} else {random_expression(r, r.randrange(depth))})"


def random_body(r, depth):
    """Statements that set, read, loop and branch over a few names, for the rules of scopes."""
    out = ""
    for _ in range(r.randrange(1, 4)):
        name, other = r.choice("xyzi"), r.choice("xyzi")
        kind = r.randrange(9 if depth else 4)
        if kind < 2:
            out += "{% set " + name + " = " + r.choice([other, "1", f"{other} ~ 'a'", "loop.index", "[x, y]"]) + " %}"
        elif kind < 4:
            out += "{{ " + r.choice([name, f"{name} is defined", f"{name}|default('-')"]) + " }},"
        elif kind < 6:
            inner = random_body(r, depth - 1)
            out += "{% for " + name + " in " + r.choice(["[1, 2]", "'ab'", "range(3) if " + name + " != 1"]) + " %}"
            out += inner + r.choice(["", "{% if loop.first %}{% continue %}{% endif %}", "{{ loop.last }}"])
            out += r.choice(["", "{% else %}" + random_body(r, depth - 1)]) + "{% endfor %}"
        elif kind < 8:
            out += "{% if " + r.choice([name, "true", "false"]) + " %}" + random_body(r, depth - 1)
            out += r.choice(["", "{% else %}" + random_body(r, depth - 1)]) + "{% endif %}"
        else:
            macro = r.choice("mg")
            out += "{% macro " + macro + "(" + r.choice(["", name, name + "=" + other]) + ") %}"
            out += random_body(r, depth - 1) + "{% endmacro %}{{ " + macro + "(" + r.choice(["", "5"]) + ") }}"
    return out


def random_snippets(count, seed=1):
    r = random.Random(seed)
    return (["{{ " + random_expression(r, r.choice([1, 2, 2, 3])) + " }}" for _ in range(count)] +
            [random_body(r, 3) for _ in range(count // 2)] + [random_layout(r) for _ in range(count)])

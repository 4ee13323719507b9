import BSON
import Rules
import Testing

/// Every type's methods, and the functions of the namespaces.
@Suite struct MethodTests {
    @Test(arguments: [
        ("'Abc'.lower()", "\"abc\""), ("'Abc'.upper()", "\"ABC\""), ("' a '.trim()", "\"a\""),
        ("'É'.lower()", "\"É\""), ("'abc'.size()", "3"),
        ("'a,b,,c'.split(',')", "[\"a\", \"b\", \"\", \"c\"]"),
        ("'a1b22c'.split('[0-9]+')", "[\"a\", \"b\", \"c\"]"),
        ("'abc'.split('')", "[\"a\", \"b\", \"c\"]"),
        ("''.split(',')", "[\"\"]"), ("'aaa'.replace('a', 'b')", "\"bbb\""),
        ("'john smith'.replace('(\\\\w+) (\\\\w+)', '\\\\2 \\\\1')", "\"smith john\""),
        ("'abc'.matches('b')", "false"), ("'abc'.matches('a.c')", "true"),
        ("'abc'.matches('a|abc')", "true"), ("'abc'.matches('^abc$')", "true"),
        ("'abc\\n'.matches('abc$')", "false"), ("'a\\nb'.matches('a.b')", "false"),
        ("'ABC'.matches('(?i)abc')", "true"), ("'x]'.matches('[]x]+')", "true"),
        (
            "'a)'.matches('a)|(?:b')",
            "error: Invalid regular expression pattern: Regular expression is invalid: unmatched closing parenthesis at offset 1"
        ),
        (
            "'aa'.matches('(a)\\\\1')",
            "error: Invalid regular expression pattern: Rules' regular expressions (RE2) have no back references and \\C"
        ),
        (
            "'ab'.matches('a(?=b)b')",
            "error: Invalid regular expression pattern: Rules' regular expressions (RE2) have no looking around, atomic groups and conditions"
        ),
        ("'1.2'.matches('[[:digit:]]\\\\.\\\\d')", "true"), ("'é'.toUtf8().size()", "2"),
        ("'a'.size(1)", "error: Incorrect number of arguments. Received: 1. Expected: 0."),
        ("'a'.nothing()", "error: Function not found error: Name: [nothing]."),
    ])
    func strings(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }

    @Test(arguments: [
        ("[1, 2].size()", "2"), ("[1].concat([2, 1])", "[1, 2, 1]"),
        ("[1, 2, 3].hasAll([1, 3])", "true"), ("[1].hasAll([])", "true"),
        ("[1].hasAll([2])", "false"),
        ("[1, 2].hasAny([2, 5])", "true"), ("[1].hasAny([])", "false"),
        ("[1].hasAny([1.0])", "false"),
        ("[].hasOnly(['a'])", "true"), ("['a'].hasOnly(['a', 'b'])", "true"),
        ("['a', 'c'].hasOnly(['a', 'b'])", "false"), ("[1, 2, 1].removeAll([1])", "[2]"),
        ("[1, 'a', true, null].join('-')", "\"1-a-true-null\""), ("[1, 1, 2].toSet().size()", "2"),
        (
            "[1].hasAny([1].toSet())",
            "error: Unsupported operation error. Received: list.hasAny(set). Expected: list.hasAny(list)."
        ),
        (
            "[1] + [2]",
            "error: Unsupported operation error. Received: list + list. Expected: int + int, float + float, string + string, timestamp + duration, duration + duration."
        ),
        ("[1].toSet().hasAll([1.0])", "true"), ("[1, 2].toSet().hasAny([2])", "true"),
        ("[1].toSet().hasOnly([1, 2].toSet())", "true"),
        ("[1, 2].toSet().difference([1].toSet())", "set[2]"),
        ("[1].toSet().union([2].toSet()) == [2, 1].toSet()", "true"),
        ("[1, 2].toSet().intersection([2].toSet())", "set[2]"),
        (
            "[1].toSet().union([2])",
            "error: Unsupported operation error. Received: set.union(list). Expected: set.union(set)."
        ),
        ("1 in [1].toSet()", "true"), ("[1].toSet().size()", "1"),
        ("[1, 2].all(x, x > 0)", "true"), ("[1, 2].any(x, x > 1)", "true"),
        ("[1, 2].filter(x, x > 1)", "[2]"), ("[1, 2].map(x, x * 2)", "[2, 4]"),
        ("[].all(x, false)", "true"), ("[].any(x, true)", "false"),
        ("[1, 'a'].any(x, x + 1 == 2)", "true"),
        ("['a', 0].all(x, x + 1 == 2)", "false"),
        (
            "['a'].all(x, x > 1)",
            "error: Unsupported operation error. Received: string > int. Expected: int > int, float > float, string > string, timestamp > timestamp, duration > duration."
        ),
        ("[1].all(x, x)", "error: Unsupported operation error. Received: int. Expected: bool."),
    ])
    func listsAndSets(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }

    @Test(arguments: [
        ("{'b': 1, 'a': 2}.keys()", "[\"a\", \"b\"]"), ("{'b': 1, 'a': 2}.values()", "[1, 2]"),
        ("{'a': 1}.size()", "1"), ("{'a': 1}.get('a', 2)", "1"), ("{'a': 1}.get('b', 2)", "2"),
        ("{'a': {'b': 1}}.get(['a', 'b'], 2)", "1"), ("{'a': {'b': 1}}.get(['a', 'c'], 2)", "2"),
        ("{'a': 1}.get(['a', 'b'], 2)", "2"), ("{'a': null}.get('a', 2)", "null"),
        ("{'a': 1, 'b': 2}.diff({'b': 3, 'c': 4}).addedKeys()", "set[\"a\"]"),
        ("{'a': 1, 'b': 2}.diff({'b': 3, 'c': 4}).removedKeys()", "set[\"c\"]"),
        ("{'a': 1, 'b': 2}.diff({'b': 3, 'c': 4}).changedKeys()", "set[\"b\"]"),
        ("{'a': 1, 'b': 2}.diff({'a': 1.0}).unchangedKeys()", "set[\"a\"]"),
        ("{'a': 1, 'b': 2}.diff({'b': 3, 'c': 4}).affectedKeys().size()", "3"),
        ("{'a': 1}.hasAll(['a'])", "error: Function not found error: Name: [hasAll]."),
        ("{'a': 1, 'a': 2}.a", "2"), ("{a: 1}.a", "1"), ("{'a': 1,}.size()", "1"),
    ])
    func maps(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }

    @Test(arguments: [
        // 2023-06-15T12:30:45.678Z, a Thursday.
        ("request.time.year()", "2023"), ("request.time.month()", "6"),
        ("request.time.day()", "15"),
        ("request.time.hours()", "12"), ("request.time.minutes()", "30"),
        ("request.time.seconds()", "45"), ("request.time.nanos()", "678000000"),
        ("request.time.dayOfWeek()", "4"), ("request.time.dayOfYear()", "166"),
        ("request.time.toMillis()", "1686832245678"),
        ("request.time.date() == timestamp.date(2023, 6, 15)", "true"),
        ("request.time.time() == duration.time(12, 30, 45, 678000000)", "true"),
        ("timestamp.value(-1).year()", "1969"), ("timestamp.value(-1).nanos()", "999000000"),
        ("timestamp.date(2023, 2, 29)", "error: There is no date 2023-2-29."),
        ("timestamp.date(0, 1, 1)", "error: There is no date 0-1-1."),
        (
            "timestamp.value(9223372036854775807)",
            "error: Timestamp out of range: the years 1 to 9999."
        ),
        ("timestamp.value(0) + duration.value(1, 'w') == timestamp.date(1970, 1, 8)", "true"),
        ("(timestamp.value(2000) - timestamp.value(500)).seconds()", "1"),
        ("(timestamp.value(2000) - timestamp.value(500)).nanos()", "500000000"),
        ("duration.value(-1500, 'ms').seconds()", "-1"),
        ("duration.value(-1500, 'ms').nanos()", "-500000000"),
        ("duration.abs(duration.value(-5, 'h')) == duration.value(5, 'h')", "true"),
        ("duration.value(1, 'y')", "error: The units of durations are w, d, h, m, s, ms and ns."),
        ("duration.value(9223372036854775807, 'w')", "error: Duration out of range: 10,000 years."),
        ("duration.value(3, 'd') - duration.value(1, 'd') == duration.value(48, 'h')", "true"),
    ])
    func times(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }

    @Test(arguments: [
        ("math.abs(-5)", "5"), ("math.abs(-5.5)", "5.5"),
        ("math.abs(-9223372036854775808)", "-9223372036854775808"), ("math.ceil(1.2)", "2.0"),
        ("math.floor(-1.2)", "-2.0"), ("math.round(2.5)", "3"), ("math.round(-2.5)", "-2"),
        ("math.round(float('NaN'))", "0"), ("math.round(1e30)", "9223372036854775807"),
        ("math.sqrt(9)", "3.0"), ("math.pow(2, 10)", "1024.0"),
        ("math.isNaN(float('NaN'))", "true"),
        ("math.isInfinite(1.0)", "error: Function not found error: Name: [math.isInfinite]."),
        (
            "math.abs('a')",
            "error: Unsupported operation error. Received: math.abs(string). Expected: math.abs(number)."
        ),
        ("int('42')", "42"), ("int('+7')", "7"), ("int(-1.9)", "-1"),
        ("int(1e30)", "9223372036854775807"),
        (
            "int(' 1')",
            "error: Type conversion error. Argument: [ 1], From type: [string], To type: [int]."
        ),
        (
            "int('99999999999999999999')",
            "error: Type conversion error. Argument: [99999999999999999999], From type: [string], To type: [int]."
        ),
        ("float('1.5e3')", "1500.0"), ("float(2)", "2.0"), ("float('-Infinity')", "-inf"),
        (
            "float('x')",
            "error: Type conversion error. Argument: [x], From type: [string], To type: [float]."
        ),
        ("string(2.0)", "\"2.0\""), ("string(true)", "\"true\""), ("string(null)", "\"null\""),
        ("string(/a/b)", "\"/a/b\""), ("string(b'hi')", "\"hi\""),
        (
            "string([])",
            "error: Type conversion error. Argument: [list], From type: [list], To type: [string]."
        ),
        ("path('a/b') == /a/b", "true"), ("path('/a/b')[0]", "\"a\""), ("/a/$('b')/$(1)", "/a/b/1"),
        (
            "path(/a/b)",
            "error: Unsupported operation error. Received: path(path). Expected: path(string)."
        ),
        ("/a/{x}.bind({'x': 'y'})", "/a/y"),
        ("/a/{x}.bind({})", "error: Property x is undefined on object."),
        ("latlng.value(1, 2.5).longitude()", "2.5"),
        ("latlng.value(0, 0).distance(latlng.value(0, 1)) > 111000", "true"),
        ("latlng.value(0, 0).distance(latlng.value(0, 1)) < 112000", "true"),
        (
            "latlng.value(91, 0)",
            "error: Latitude should be in [-90,90] range and longitude should be in [-180,180] range. latitude: 91.0, longitude: 0.0."
        ),
        ("b'\\x00\\377'.toHexString()", "\"00FF\""), ("b'hi'.toBase64()", "\"aGk=\""),
        ("b'\\xfb\\xff'.toBase64()", "\"-_8=\""), ("b'é'.size()", "2"),
        ("hashing.md5('').toHexString()", "\"D41D8CD98F00B204E9800998ECF8427E\""),
        (
            "hashing.sha256('').toHexString()",
            "\"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\""
        ),
        (
            "hashing.sha256('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq').toHexString()",
            "\"248D6A61D20638B8E5C026930C3E6039A33CE45964FF2167F6ECEDD419DB06C1\""
        ),
        ("hashing.crc32('123456789').toHexString()", "\"2639F4CB\""),
        ("hashing.crc32c('123456789').toHexString()", "\"839206E3\""), ("debug(5)", "5"),
    ])
    func functions(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }
}

import BSON
import Rules
import Testing

/// Operators, literals and the semantics of errors.
@Suite struct OperatorTests {
    @Test(arguments: [
        // Arithmetic.
        ("7 / 2", "3"), ("-7 / 2", "-3"), ("7 % -3", "1"), ("-7 % 3", "-1"), ("7 / 2.0", "3.5"),
        ("1 + 2 * 3 - 4", "3"), ("(1 + 2) * 3", "9"), ("1 / 0", "error: Divide by zero error."),
        ("1 % 0", "error: Divide by zero error."), ("1.0 / 0", "error: Divide by zero error."),
        ("9223372036854775807 + 1", "error: Integer overflow error."),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775808 / -1", "error: Integer overflow error."),
        ("-9223372036854775808 % -1", "0"),
        ("-(-9223372036854775808)", "error: Integer overflow error."),
        ("9223372036854775807 * 2", "error: Integer overflow error."),
        ("'a' + 'b'", "\"ab\""), ("0x1F + 1e2", "131.0"), (".5 + 1", "1.5"), ("--5", "5"),
        // Comparison.
        ("1 == 1.0", "true"), ("[1] == [1.0]", "false"), ("[1] == [1]", "true"),
        ("{'a': 1} == {'a': 1}", "true"), ("{'a': 1} == {'a': 1.0}", "false"),
        ("1 == 'a'", "false"), ("null == null", "true"), ("1 != 'a'", "true"),
        ("9007199254740993 == 9007199254740992.0", "false"),
        ("9007199254740993 > 9007199254740992.0", "true"), ("1 < 1.5", "true"),
        ("'a' < 'b'", "true"), ("'B' < 'a'", "true"), ("2 >= 2", "true"), ("3 <= 2", "false"),
        ("float('NaN') == float('NaN')", "false"), ("float('NaN') < 1", "false"),
        ("timestamp.date(2020, 1, 1) < request.time", "true"),
        ("duration.value(1, 'm') == duration.value(60, 's')", "true"),
        // Logic, and errors in it.
        ("true && false", "false"), ("true || 1 / 0 == 1", "true"), ("1 / 0 == 1 || true", "true"),
        ("1 / 0 == 1 && false", "false"),
        ("1 / 0 == 1 || false", "error: Divide by zero error."),
        ("!(1 / 0 == 1)", "error: Divide by zero error."),
        ("true ? 1 : 1 / 0", "1"), ("false ? 1 : true ? 2 : 3", "2"), ("!true", "false"),
        // in, is.
        ("2 in [1, 2]", "true"), ("1.0 in [1]", "false"), ("1.0 in [1].toSet()", "true"),
        ("'a' in {'a': null}", "true"), ("'b' in {'a': 1}", "false"),
        ("'a' in 'abc'", "error: Function not found error: Name: [in]."),
        ("'a' in null", "error: Null value error."), ("[1] in [[1], 2]", "true"),
        ("1 is int", "true"), ("1 is number", "true"), ("1.0 is float", "true"),
        ("1.0 is number", "true"), ("1 is float", "false"), ("'a' is string", "true"),
        ("null is null", "true"), ("b'a' is bytes", "true"), ("/a/b is path", "true"),
        ("[] is list", "true"), ("{} is map", "true"), ("request.time is timestamp", "true"),
        ("duration.value(1, 's') is duration", "true"), ("true is bool", "true"),
        ("latlng.value(1, 2) is latlng", "true"), ("[1].toSet() is set", "true"),
        ("[1].toSet() is list", "false"), ("{}.diff({}) is map_diff", "true"),
        ("'a' in {'a': 1} == true", "true"), ("request.auth is map", "true"),
        // Indexes and ranges.
        ("[1, 2, 3][1]", "2"), ("'abc'[1]", "\"b\""), ("{'a': 5}['a']", "5"),
        ("/a/b[1]", "\"b\""), ("[1, 2, 3][1:3]", "[2, 3]"), ("'abcd'[1:3]", "\"bc\""),
        ("[1][1]", "error: Index out of bound error. Index: [1] , size: [1]."),
        ("[1][-1]", "error: Index out of bound error. Index: [-1] , size: [1]."),
        ("[1, 2][0:0]", "error: Index out of bound error. Index: [-1] , size: [2]."),
        ("[1, 2][1:1]", "[]"),
        ("[1, 2, 3][2:1]", "error: Illegal range error. From index: [2] , To index: [1]."),
        ("{'a': 5}['b']", "error: Property b is undefined on object."),
        ("{'a': 1}.a", "1"), ("null.a", "error: Null value error."),
        ("'é'.size()", "1"), ("'😀'.size()", "2"), ("'\\u00e9' == 'é'", "true"),
        // Types are strict.
        (
            "1 + '1'",
            "error: Unsupported operation error. Received: int + string. Expected: int + int, float + float, string + string, timestamp + duration, duration + duration."
        ),
        (
            "[1] < [2]",
            "error: Unsupported operation error. Received: list < list. Expected: int < int, float < float, string < string, timestamp < timestamp, duration < duration."
        ),
        ("1 && true", "error: Unsupported operation error. Received: int. Expected: bool."),
        ("nothing", "error: Variable not found error: Name: [nothing]."),
        ("nothing()", "error: Function not found error: Name: [nothing]."),
        ("bool('true')", "error: Function not found error: Name: [bool]."),
    ])
    func value(_ expression: String, _ expected: String) throws {
        #expect(try evaluated(expression) == expected)
    }

    @Test(arguments: [
        ("f(1)", "3"), ("f(f(1))", "5"), ("g()", "\"one/alice\""),
        ("f()", "error: Incorrect number of arguments. Received: 0. Expected: 1."),
        ("unused(1)", "error: Divide by zero error."), ("shadow('x')", "\"x\""),
        ("[1, 2].map(x, [3].map(y, x + y))", "[[4], [5]]"), ("h([1, 2, 3])", "[12, 13]"),
    ])
    func functions(_ expression: String, _ expected: String) throws {
        let functions = """
            function f(x) { let two = 2; return x + two }
            function g() { let id = path('a/one')[1]; return id + '/' + request.auth.uid; }
            function unused(x) { let wrong = x / 0; return 1; }
            function shadow(request) { return request; }
            function h(list) { let ten = 10; let big = list.filter(x, x > 1); return big.map(x, x + ten); }
            """
        #expect(try evaluated(expression, functions: functions) == expected)
    }

    /// What requests and documents show.
    @Test(arguments: [
        ("request.method", "\"create\""),
        ("request.path", "/databases/(default)/documents/things/one"),
        ("request.auth.uid", "\"alice\""), ("request.auth.token.role", "\"admin\""),
        ("request.auth.token.get('none', 7)", "7"), ("resource", "null"), ("id", "\"one\""),
        ("database", "\"(default)\""), ("request.resource.id", "\"one\""),
        ("request.resource.__name__ == request.path", "true"),
        (
            "request.resource.data.keys()",
            "[\"bin\", \"date\", \"dec\", \"doc\", \"id\", \"list\", \"n\", \"place\", \"x\"]"
        ),
        ("request.resource.data._id", "error: Property _id is undefined on object."),
        ("'_id' in request.resource.data", "false"), ("request.resource.data.size()", "9"),
        ("request.resource.data.n is int", "true"), ("request.resource.data.x", "1.5"),
        ("request.resource.data.date.year()", "2020"), ("request.resource.data.dec", "2.5"),
        ("request.resource.data.id", "\"0123456789abcdef01234567\""),
        ("request.resource.data.place.latitude()", "2.0"),
        ("request.resource.data.bin.size()", "2"),
        ("request.resource.data.list[1].a", "\"z\""), ("request.resource.data.list.size()", "2"),
        ("request.resource.data.doc.b.c", "true"), ("1 in request.resource.data.list", "true"),
        ("request.resource.data.doc", "{\"b\": {\"c\": true}}"),
        ("request.query", "error: Property query is undefined on object."),
        ("resource.data", "error: Null value error."),
    ])
    func request(_ expression: String, _ expected: String) throws {
        let data: Document = [
            "_id": "one", "n": 1, "x": 1.5, "date": .date(1_577_836_800_000),
            "dec": try #require(try ExtendedJSON.parse(#"{"d": {"$numberDecimal": "2.5"}}"#)["d"]),
            "id": .objectID(try #require(ObjectID("0123456789abcdef01234567"))),
            "place": ["type": "Point", "coordinates": [1, 2]], "bin": .binary(subtype: 0, [1, 2]),
            "list": [1, ["a": "z"]], "doc": ["b": ["c": true]],
        ]
        #expect(try evaluated(expression, data: data) == expected)
    }
}

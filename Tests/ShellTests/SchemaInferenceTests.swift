// The schema that is proposed for documents.

import BSON
import Testing

@testable import RoostCLI

@Suite struct SchemaInferenceTests {
    private static let cases: [(documents: [Document], schema: String)] = [
        (
            [["_id": 1, "a": "x"], ["_id": 2, "a": nil, "b": [1, "t"]]],
            #"{"bsonType":"object","required":["_id","a"],"properties":{"_id":{"bsonType":"int"},"#
                + #""a":{"bsonType":["null","string"]},"b":{"bsonType":"array","#
                + #""items":{"bsonType":["int","string"]}}}}"#
        ),
        (
            (0..<20).map { ["s": .string($0 % 2 == 0 ? "open" : "paid"), "o": ["n": .int32($0)]] },
            #"{"bsonType":"object","required":["s","o"],"properties":{"s":{"bsonType":"string","#
                + #""enum":["open","paid"]},"o":{"bsonType":"object","required":["n"],"#
                + #""properties":{"n":{"bsonType":"int"}}}}}"#
        ),
    ]

    @Test(arguments: cases.indices)
    func isWhatTheDocumentsHaveInCommon(_ index: Int) {
        var inference = SchemaInference()
        for document in Self.cases[index].documents { inference.add(document.view) }
        #expect(ExtendedJSON.string(of: inference.schema.view) == Self.cases[index].schema)
    }
}

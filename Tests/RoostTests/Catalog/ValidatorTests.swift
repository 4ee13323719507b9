import BSON
import Query
import Testing

@testable import Roost

@Suite struct ValidatorTests {
    private static let names = Namespace("test", "checked")

    private static func refusal(
        of document: Document, by options: Document, replacing old: Document? = nil
    ) throws -> DBError? {
        let validator = try #require(try CollectionTraits(options).validator)
        var scratch = MatchScratch()
        do throws(DBError) {
            if let old {
                try validator.check(document.view, replacing: old.view, in: names, &scratch)
            } else {
                try validator.check(document.view, in: names, &scratch)
            }
            return nil
        } catch {
            return error
        }
    }

    @Test(
        arguments: [
            (["validator": ["a": ["$gt": 1]]], ["a": 2], nil, true),
            (["validator": ["a": ["$gt": 1]]], ["a": 1], nil, false),
            (["validator": ["$expr": ["$lt": ["$a", "$b"]]]], ["a": 1, "b": 2], nil, true),
            (["validator": ["$expr": ["$lt": ["$a", "$b"]]]], ["a": 2, "b": 1], nil, false),
            (["validator": ["a": 1], "validationLevel": "off"], ["a": 2], nil, true),
            (["validator": ["a": 1], "validationAction": "warn"], ["a": 2], nil, true),
            (["validator": ["a": 1], "validationLevel": "moderate"], ["a": 2], ["a": 3], true),
            (["validator": ["a": 1], "validationLevel": "moderate"], ["a": 2], ["a": 1], false),
            (["validator": ["a": 1]], ["a": 2], ["a": 3], false),
        ] as [(Document, Document, Document?, Bool)])
    func levelsAndActions(
        options: Document, document: Document, old: Document?, isTaken: Bool
    ) throws {
        let refusal = try Self.refusal(of: document, by: options, replacing: old)
        #expect((refusal == nil) == isTaken)
        if let refusal { #expect(refusal.code == .documentValidationFailure) }
    }

    @Test func errorSaysWhatIsWrong() throws {
        let schema: Document = [
            "validator": [
                "$jsonSchema": [
                    "bsonType": "object", "required": ["name", "age"],
                    "properties": ["name": ["bsonType": "string"]],
                ]
            ]
        ]
        let refusal = try #require(try Self.refusal(of: ["_id": 7, "name": 1], by: schema))
        #expect(
            refusal.details == [
                "errInfo": [
                    "failingDocumentId": 7,
                    "details": [
                        "operatorName": "$jsonSchema",
                        "schemaRulesNotSatisfied": [
                            [
                                "operatorName": "required",
                                "specifiedAs": ["required": ["name", "age"]],
                                "missingProperties": ["age"],
                            ],
                            [
                                "operatorName": "properties",
                                "propertiesNotSatisfied": [
                                    [
                                        "propertyName": "name",
                                        "details": [
                                            [
                                                "operatorName": "bsonType",
                                                "specifiedAs": ["bsonType": "string"],
                                                "reason": "type did not match",
                                                "consideredValue": 1, "consideredType": "int",
                                            ]
                                        ],
                                    ]
                                ],
                            ],
                        ],
                    ],
                ]
            ])
        let plain = try #require(
            try Self.refusal(of: ["_id": 1, "a": ["b": 1]], by: ["validator": ["a.b": ["$gt": 3]]]))
        #expect(
            plain.details == [
                "errInfo": [
                    "failingDocumentId": 1,
                    "details": [
                        "operatorName": "$gt", "specifiedAs": ["a.b": ["$gt": 3]],
                        "reason": "comparison failed", "consideredValue": 1,
                    ],
                ]
            ])
    }

    @Test(
        arguments: [
            (["validationLevel": "none"], 2), (["validationAction": "shout"], 2),
            (["validator": ["$where": "1"]], 2), (["validator": ["a": ["$nope": 1]]], 2),
            (["capped": true], 72), (["size": 100], 72), (["capped": true, "size": 0], 2),
            (["capped": true, "size": 1, "max": 2_147_483_647], 2),
        ] as [(Document, Int32)])
    func badOptions(options: Document, code: Int32) {
        #expect {
            _ = try CollectionTraits(options)
        } throws: { ($0 as? DBError)?.code.rawValue == code }
    }

    @Test func writesAreCheckedUnlessBypassed() async throws {
        let fixture = try ReadFixture()
        try await fixture.create(Self.names, ["validator": ["a": ["$gt": 0]]])
        #expect(
            try await fixture.insert(Self.names, [["_id": 1, "a": 1], ["_id": 2, "a": 0]]) == 1)
        #expect(
            try await fixture.update(Self.names, ["_id": 1], ["$set": ["a": 0]])
                == .documentValidationFailure)
        #expect(
            try await fixture.update(
                Self.names, ["_id": 3], ["$set": ["a": 0]], isUpsert: true)
                == .documentValidationFailure)
        #expect(
            try await fixture.update(
                Self.names, ["_id": 1], ["$set": ["a": 0]], bypassesValidation: true) == nil)
        #expect(try fixture.find(fixture.request(Self.names)) == [["_id": 1, "a": 0]])
        var change = CollectionModification()
        change.validator = ["b": 1]
        try await fixture.modify(Self.names, change)
        #expect(try await fixture.insert(Self.names, [["_id": 4, "a": 1]]) == 0)
        change.validator = [:]
        try await fixture.modify(Self.names, change)
        #expect(try await fixture.insert(Self.names, [["_id": 4, "a": 1]]) == 1)
    }
}

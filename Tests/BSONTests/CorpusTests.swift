import Testing

@testable import BSON

@Suite struct CorpusTests {
    @Test func corpusIsComplete() throws {
        #expect(try Corpus.cases("valid").count >= 700)
        #expect(try Corpus.cases("decodeErrors").count >= 60)
        #expect(try Corpus.cases("parseErrors").count >= 170)
    }

    @Test(arguments: try Corpus.cases("valid"))
    func validDocuments(_ test: Corpus.Case) throws {
        let canonical = try #require(test.bytes("canonical_bson"))
        let canonicalJSON = try #require(test["canonical_extjson"])
        try validate(document: canonical.span.bytes)
        let document = Document(unchecked: canonical)
        let isLossy = test["lossy"] != nil

        // Through owned values and the writer.
        #expect(rewritten(document).bytes == canonical)
        // To JSON and back.
        let text = ExtendedJSON.string(of: document.view, canonical: true)
        #expect(try normalized(text) == normalized(canonicalJSON))
        if !isLossy { #expect(try ExtendedJSON.parse(canonicalJSON).bytes == canonical) }
        if let relaxed = test["relaxed_extjson"] {
            let text = ExtendedJSON.string(of: document.view)
            #expect(try normalized(text) == normalized(relaxed))
            // What the relaxed form leaves out is the type only.
            let parsed = try ExtendedJSON.parse(relaxed)
            #expect(try normalized(ExtendedJSON.string(of: parsed.view)) == normalized(relaxed))
        }
        if let degenerate = test["degenerate_extjson"] {
            #expect(try ExtendedJSON.parse(degenerate).bytes == canonical)
        }
        if let degenerate = test.bytes("degenerate_bson") {
            try validate(document: degenerate.span.bytes)
            let text = ExtendedJSON.string(
                of: Document(unchecked: degenerate).view, canonical: true)
            #expect(try ExtendedJSON.parse(text).bytes == canonical)
        }
    }

    @Test(arguments: try Corpus.cases("decodeErrors"))
    func refusedBytes(_ test: Corpus.Case) throws {
        let bytes = try #require(test.bytes("bson"))
        let error = #expect(throws: DBError.self) { try validate(document: bytes.span.bytes) }
        #expect(error?.code == .invalidBSON)
    }

    @Test(arguments: try Corpus.cases("parseErrors"))
    func refusedTexts(_ test: Corpus.Case) throws {
        let text = try #require(test["string"])
        if test.bsonType == "0x13" {
            #expect(Decimal128(text) == nil)
        } else {
            let error = #expect(throws: DBError.self) { try ExtendedJSON.parse(text) }
            #expect(error?.code == .failedToParse)
        }
    }

    private func rewritten(_ document: Document) -> Document {
        Document { writer in
            var elements = document.view.makeIterator()
            while let element = elements.next() {
                writer.append(element.nameString, Value(element.value))
            }
        }
    }
}

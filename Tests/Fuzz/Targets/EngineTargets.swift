// Fuzz targets of what the engine reads: specifications of indexes, options of collections.

import BSON
import Query
import Roost

extension FuzzTarget {
    static let engineTargets = [index]

    /// A specification as createIndexes takes it, and the keys that documents have in it.
    private static let index = FuzzTarget(
        documents: "index",
        seeds: [
            #"{"index": {"key": {"a": 1, "b.c": -1}, "name": "n", "unique": true}}"#,
            #"{"index": {"key": {"a": "hashed", "b": 1}, "name": "n", "sparse": true}}"#,
            #"{"index": {"key": {"$**": 1}, "name": "n", "wildcardProjection": {"a.b": 0}}}"#,
            #"{"index": {"key": {"a.$**": 1, "b": -1}, "name": "n"}}"#,
            """
            {"index": {"key": {"c": "text", "a.c": "text", "b": 1}, "name": "n", "weights": \
            {"c": 5}, "default_language": "german"}, "on": [{"c": "die Häuser", "language": "en"}]}
            """,
            """
            {"index": {"key": {"a": 1}, "name": "n", "partialFilterExpression": {"b": {"$gte": 1}}, \
            "collation": {"locale": "en", "strength": 2}, "hidden": true}}
            """,
            #"{"index": {"key": {"d": 1}, "name": "n", "expireAfterSeconds": 60}}"#,
            #"{"index": {"key": {"g": "2d"}, "name": "n", "bits": 20, "min": -100, "max": 100}}"#,
            #"{"index": {"key": {"c": "2dsphere"}, "name": "n", "2dsphereIndexVersion": 3}}"#,
        ]
    ) { input in
        guard let document = input.value("index")?.document else { return }
        let specification = try IndexSpecification(document)
        let again: IndexSpecification
        do throws(DBError) {
            again = try IndexSpecification(specification.document.view)
        } catch {
            throw FuzzFault("a stored specification can't be read: \(error.message)")
        }
        try check(
            again.document == specification.document,
            "a specification changes: \(specification.document) to \(again.document)")
        var keys = IndexKeys()
        guard let list = input.value("on")?.array else { return }
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let sample = element.value.document else { continue }
            try again.pattern.keys(of: sample, sparse: false, into: &keys)
            for key in 0..<keys.count where keys[key].byteCount == 0 {
                throw FuzzFault("an empty key")
            }
        }
    }
}

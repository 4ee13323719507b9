// Paths of rules and namespaces of collections.
//
// `/databases/DB/documents/users/7` is the document `7` of the collection `users`;
// `users/7/posts/9` is the document `7/9` of `users.posts`. `(default)` is the database `default`.

import BSON
import Query
import Rules
import Storage

/// A collection as rules name it.
struct CollectionPath {
    /// The database as rules name it.
    let database: String
    /// The names of the collection, from the outermost.
    let names: [String]

    /// Nil for what no rule can be about: the server's own databases and collections.
    init?(_ namespace: Namespace) {
        guard !["admin", "local", "config"].contains(namespace.database) else { return nil }
        let names = namespace.collection.split(separator: ".", omittingEmptySubsequences: false)
        guard names.allSatisfy({ !$0.isEmpty }), names.first != "system" else { return nil }
        database = namespace.database == "default" ? "(default)" : namespace.database
        self.names = names.map(String.init)
    }

    /// The path of the document with that `_id`: names and ids by turns; nil for one without.
    func segments(of id: ValueView) -> [String]? {
        guard let ids = DocumentSegments.segments(of: id, count: names.count) else { return nil }
        return zip(names, ids).flatMap { [$0, $1] }
    }

    /// The collection and the `_id`s that a path may mean, likeliest first.
    static func target(
        of segments: [String], in database: String
    ) -> (namespace: Namespace, ids: [OwnedValue]) {
        let names = stride(from: 0, to: segments.count, by: 2).map { segments[$0] }
        let ids = stride(from: 1, to: segments.count, by: 2).map { segments[$0] }
        let namespace = Namespace(
            database == "(default)" ? "default" : database, names.joined(separator: "."))
        let text = ids.joined(separator: "/")
        var values: [OwnedValue] = [OwnedValue(.string(text))]
        if ids.count == 1 {
            if let id = ObjectID(hex: text.utf8Span.span.bytes), id.hexString == text {
                values.append(OwnedValue(.objectID(id)))
            }
            if let number = Int64(text), String(number) == text {
                values.append(OwnedValue(.int64(number)))
            }
        }
        return (namespace, values)
    }
}

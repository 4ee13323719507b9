internal import BSON
package final class JSONSchema: Sendable, Hashable {
    static func parse(_ d: DocumentView) throws(DBError) -> JSONSchema { JSONSchema() }
    func accepts(_ v: ValueView, _ scratch: inout MatchScratch) throws(DBError) -> Bool { true }
    package static func == (left: JSONSchema, right: JSONSchema) -> Bool { left === right }
    package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

package import BSON
package struct FilterOptions: Sendable { package init() {} }
package struct MatchScratch: ~Copyable { package init() {} }
package final class Filter: Sendable {
    package static func parse(_ d: DocumentView, _ o: FilterOptions) throws(DBError) -> Filter {
        Filter()
    }
    package func matches(_ d: DocumentView, _ s: inout MatchScratch) throws(DBError) -> Bool {
        false
    }
}

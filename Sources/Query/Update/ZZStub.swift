package import BSON
package enum FilterContext: Sendable { case find, arrayFilter }
package struct FilterOptions: Sendable {
    package var placeholder: String?; package init(context: FilterContext = .find) {}
}
package struct MatchScratch: ~Copyable { package init() {}; package var arrayPosition: Int? }
package final class Filter: Sendable {
    package static func parse(_ d: DocumentView, _ o: FilterOptions = FilterOptions())
        throws(DBError) -> Filter
    { Filter() }
    package static func parse(condition: ValueView, _ o: FilterOptions = FilterOptions())
        throws(DBError) -> Filter
    { Filter() }
    package func matches(_ d: DocumentView, _ s: inout MatchScratch) throws(DBError) -> Bool {
        false
    }
    package func matches(value: ValueView, _ s: inout MatchScratch) throws(DBError) -> Bool {
        false
    }
}

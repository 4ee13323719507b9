// Collations: the order of strings that a language has, by ICU.
//
// A collation is made from MongoDB's document of options, compared by its completed form, and kept
// in a small cache, since opening ICU's collators reads tables. `locale: "simple"` is the order of
// bytes, which is no collation at all: nil. Filters, sorts, groups and index keys hold a collation
// or nil; what they compare under one goes through `TextOrder`.
//
// Threads: ICU's collators may be used by several threads at once as long as nobody sets anything
// on them. All options are set before the collator leaves `parse`, none afterwards.

package import BSON
import CICU
import Synchronization

/// An order of strings.
package final class Collation: Sendable, TextOrder {
    /// The options with all fields filled in, as MongoDB lists them.
    package let document: Document
    private let collator: Collator

    /// The version that MongoDB's collations bear, which is all that clients may ask for.
    package static let version = "57.1"

    /// The version of ICU's data behind all sort keys. Keys on disk that were made under another
    /// one are in another order.
    package static let keyVersion = Int64(cicu_key_version())

    private init(_ collator: Collator, _ options: CollationOptions) {
        self.collator = collator
        document = options.document(as: collator)
    }

    /// Reads a collation; nil for `simple`.
    ///
    /// Errors: 40414 without a locale, 40415 unknown fields, 14 wrong types, 2 for an unknown
    /// locale or value and for options that exclude each other, 161 for another version.
    package static func parse(_ document: DocumentView) throws(DBError) -> Collation? {
        let key = [UInt8](copying: document.bytes)
        if let known = cache.withLock({ $0[key] }) { return known }
        let options = try CollationOptions(document)
        if options.locale == "simple" { return nil }
        let collator = try Collator(options.locale)
        try options.apply(to: collator)
        let collation = Collation(collator, options)
        // Different documents of one meaning give one collation, so that comparing them is short.
        let completed = collation.document.bytes
        return cache.withLock { known in
            if known.count >= cacheCountMax { known.removeAll() }
            let shared = known[completed] ?? collation
            known[completed] = shared
            known[key] = shared
            return shared
        }
    }

    /// Collations by the documents that they were read from.
    private static let cache = Mutex<[[UInt8]: Collation]>([:])
    private static let cacheCountMax = 256

    /// Whether two collations, or none, give all strings the same order.
    package static func areSame(_ left: Collation?, _ right: Collation?) -> Bool {
        if left === right { return true }
        guard let left, let right else { return false }
        return left.document == right.document
    }

    /// Order of two strings of UTF-8: negative, zero or positive.
    package func compare(_ left: RawSpan, _ right: RawSpan) -> Int {
        collator.compare(left, right)
    }

    /// Appends ICU's sort key, which holds no zero.
    package func appendSortKey(of utf8: RawSpan, to key: inout [UInt8]) {
        collator.appendSortKey(of: utf8, to: &key)
    }
}

/// ICU's collator.
final class Collator: @unchecked Sendable {
    // Unchecked: ICU's functions on a collator that nobody changes may run at once. `set` is called
    // by CollationOptions alone, before anyone else has the collator.

    private let handle: OpaquePointer

    /// Opens a locale's collator. Errors: 2 for a locale that ICU doesn't know.
    init(_ locale: String) throws(DBError) {
        var canonical = [CChar](repeating: 0, count: Int(CICU_LOCALE_BYTES))
        var opened: OpaquePointer?
        // A zero would end the name for ICU.
        let status =
            locale.utf8.contains(0) ? CICU_UNKNOWN_LOCALE : cicu_open(locale, &opened, &canonical)
        if status == CICU_NOT_CANONICAL {
            let length = canonical.firstIndex(of: 0) ?? 0
            let name = String(
                decoding: canonical[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw DBError(
                .badValue,
                "Field 'locale' is invalid in: { locale: \"\(locale)\" }. Did you mean '\(name)'?")
        }
        // ICU also fails at names that can't be one, such as those with a part of many letters.
        guard status == CICU_OK, let opened else {
            throw DBError(
                .badValue, "Field 'locale' is invalid in: { locale: \"\(locale)\" }")
        }
        handle = opened
    }

    deinit {
        cicu_close(handle)
    }

    func set(_ option: cicu_option, _ value: Int32) throws(DBError) {
        guard cicu_set(handle, option, value) else {
            throw DBError(.badValue, "ICU refuses an option of the collation")
        }
    }

    func value(_ option: cicu_option) -> Int32 { cicu_get(handle, option) }

    func compare(_ left: RawSpan, _ right: RawSpan) -> Int {
        // SAFETY: the spans' owners keep the bytes for the closures' duration.
        left.withUnsafeBytes { left in
            right.withUnsafeBytes { right in
                Int(
                    cicu_compare(
                        handle, left.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(clamping: left.count),
                        right.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(clamping: right.count)))
            }
        }
    }

    func appendSortKey(of utf8: RawSpan, to key: inout [UInt8]) {
        // The empty string has a key of its own: that of all strings without weight.
        let count = max(utf8.byteCount, 1)
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { scratch in
            // Most keys are not longer than this.
            let guess = 2 * count + 32
            let size = write(utf8, scratch, &key, capacity: guess)
            if size > guess { _ = write(utf8, scratch, &key, capacity: size) }
        }
    }

    /// Appends the key where it fits, else nothing; returns its size.
    private func write(
        _ utf8: RawSpan, _ scratch: UnsafeMutableBufferPointer<UInt16>, _ key: inout [UInt8],
        capacity: Int
    ) -> Int {
        // One more for the zero that ICU writes behind the key.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity + 1) { target in
            // SAFETY: the span's owner keeps its bytes for the closures' duration; the scratch has
            // as many units as there are bytes of UTF-8.
            let size = utf8.withUnsafeBytes { source in
                Int(
                    cicu_sort_key(
                        handle, source.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(clamping: source.count), scratch.baseAddress, target.baseAddress,
                        Int32(clamping: capacity + 1)))
            }
            if size <= capacity {
                key.append(contentsOf: UnsafeBufferPointer(rebasing: target[..<size]))
            }
            return size
        }
    }
}

// The options of create that say how MongoDB stores a collection. Roost stores it in its own way,
// so nothing follows from them; they are checked as MongoDB checks them, so that a mistake shows.

import BSON
import Roost

enum CreateChecks {
    /// Checks `idIndex`, `storageEngine`, `indexOptionDefaults` and
    /// `changeStreamPreAndPostImages`.
    static func check(_ call: borrowing CommandCall) throws(DBError) {
        if let index = call.document("idIndex") {
            guard call.value("viewOn") == nil else {
                throw DBError(.invalidOptions, "'idIndex' is not allowed with 'viewOn'")
            }
            try IDIndexCheck.check(index)
        }
        try checkReadConcern(call)
        try check(
            call.string("validationLevel"), of: "validationLevel", ["off", "strict", "moderate"])
        try check(
            call.string("validationAction"), of: "validationAction",
            ["error", "warn", "errorAndLog"])
        if let engine = call.document("storageEngine") { try check(engine: engine) }
        if let defaults = call.document("indexOptionDefaults") {
            let place = "create.indexOptionDefaults"
            try StatementReader.check(defaults, place, [FieldSpec("storageEngine", .document)])
            if let engine = defaults.value("storageEngine")?.document { try check(engine: engine) }
        }
        if let images = call.document("changeStreamPreAndPostImages") {
            if try showsImages(images, "create.changeStreamPreAndPostImages"),
                call.value("viewOn") != nil
            {
                throw DBError(
                    .invalidOptions,
                    "changeStreamPreAndPostImages cannot be enabled on a view")
            }
        }
    }

    /// Outside transactions create knows only the read concern that it has anyhow.
    private static func checkReadConcern(_ call: borrowing CommandCall) throws(DBError) {
        guard call.special.transaction == nil,
            let level = call.document("readConcern")?.value("level")?.string
        else { return }
        guard level == "local" else {
            throw DBError(
                .invalidOptions, "create does not support the read concern level '\(level)'")
        }
    }

    private static func check(
        _ value: String?, of option: String, _ known: [String]
    ) throws(DBError) {
        guard let value, !known.contains(value) else { return }
        throw DBError(
            .badValue,
            "Enumeration value '\(value)' for field 'create.\(option)' is not a valid value.")
    }

    /// Reads the option `changeStreamPreAndPostImages`.
    static func showsImages(
        _ images: DocumentView, _ place: String
    ) throws(DBError) -> Bool {
        try StatementReader.check(images, place, [FieldSpec("enabled", .bool, required: true)])
        return images.value("enabled")?.bool == true
    }

    /// Checks the options for WiredTiger, the one engine whose name drivers and tools send.
    private static func check(engine: DocumentView) throws(DBError) {
        var engines = engine.makeIterator()
        while let engine = engines.next() {
            guard let options = engine.value.document else {
                throw DBError(
                    .badValue,
                    "'storageEngine.\(engine.nameString)' has to be an embedded document.")
            }
            guard engine.name.equals("wiredTiger") else {
                throw DBError(
                    .invalidOptions,
                    "\(engine.nameString) is not a registered storage engine for this server")
            }
            var fields = options.makeIterator()
            while let field = fields.next() {
                guard field.name.equals("configString"), let text = field.value.string else {
                    throw DBError(
                        .invalidOptions,
                        "'\(field.nameString)' is not a supported option of wiredTiger")
                }
                try check(configuration: text)
            }
        }
    }

    /// Checks that each part of WiredTiger's `name=value,…` has a known name.
    private static func check(configuration text: String) throws(DBError) {
        guard !text.utf8.contains(0) else {
            throw DBError(
                .failedToParse, "malformed 'configString' value: it contains a null byte")
        }
        for part in text.split(separator: ",") {
            let name = part.prefix { $0 != "=" }.trimmingSpaces
            guard wiredTigerNames.contains(name) else {
                throw DBError(.badValue, "unknown configuration key '\(name)' for wiredTiger")
            }
        }
    }

    /// What WiredTiger knows for a table, as far as people set it.
    private static let wiredTigerNames: Set<String> = [
        "access_pattern_hint", "allocation_size", "app_metadata", "block_allocation",
        "block_compressor", "cache_resident", "checksum", "dictionary", "encryption",
        "format", "huffman_key", "huffman_value", "ignore_in_memory_cache_size",
        "internal_item_max", "internal_key_max", "internal_key_truncate", "internal_page_max",
        "leaf_item_max", "leaf_key_max", "leaf_page_max", "leaf_value_max", "log",
        "memory_page_image_max", "memory_page_max", "os_cache_dirty_max", "os_cache_max",
        "prefix_compression", "prefix_compression_min", "split_deepen_min_child",
        "split_deepen_per_child", "split_pct", "type",
    ]
}

/// The option `idIndex`, which can only say what the `_id` index is anyhow.
private enum IDIndexCheck {
    static func check(_ index: DocumentView) throws(DBError) {
        var fields = index.makeIterator()
        while let field = fields.next() {
            switch field.nameString {
            case "key":
                try demand(field, .document)
            case "name":
                try demand(field, .string)
            case "v": try check(version: field)
            case "ns": break
            case "collation":
                // Which one, the collection's own check says.
                try demand(field, .document)
            default:
                throw DBError(
                    .invalidIndexSpecificationOption,
                    "The field '\(field.nameString)' is not valid for an _id index specification")
            }
        }
        guard let key = index.value("key")?.document, let name = index.value("name")?.string else {
            throw DBError(
                .failedToParse,
                "The 'key' and 'name' fields are required properties of an index specification")
        }
        guard key.count == 1, let part = key.first, part.name.equals("_id"),
            part.value.truncatedInteger == 1
        else {
            throw DBError(
                .badValue, "The field 'key' for an _id index must be {_id: 1}")
        }
        guard !name.isEmpty else {
            throw DBError(.cannotCreateIndex, "index name cannot be empty")
        }
    }

    private static func demand(_ field: ElementView, _ type: BSONType) throws(DBError) {
        guard field.value.type == type else {
            throw DBError(
                .typeMismatch,
                "The field '\(field.nameString)' must be of type \(type.alias), but got "
                    + field.value.type.alias)
        }
    }

    private static func check(version field: ElementView) throws(DBError) {
        guard field.value.isNumeric else {
            throw DBError(
                .typeMismatch, "The field 'v' must be a number, but got \(field.value.type.alias)")
        }
        guard let version = field.value.truncatedInteger,
            field.value.double.map({ $0 == $0.rounded() }) ?? true
        else {
            throw DBError(.badValue, "Index version must be representable as a 32-bit integer")
        }
        guard version == 1 || version == 2 else {
            throw DBError(
                .cannotCreateIndex,
                "Invalid index specification; cannot create an index with v=\(version)")
        }
    }
}

extension Substring {
    /// Without spaces at either end.
    fileprivate var trimmingSpaces: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}

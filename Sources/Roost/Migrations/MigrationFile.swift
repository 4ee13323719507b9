// Migration files: `0001_add_orders.roost`, with sections `up { … }` and `down { … }` of statements
// of the text language. Migrations.md describes the format.

public import BSON
import Crypto
import Glibc
import Query

/// A numbered file of a folder of migrations.
public struct MigrationFile: Sendable {
    /// From 1, without gaps in a folder.
    public let number: Int
    /// The file's name without its suffix.
    public let name: String
    /// What it holds.
    public let text: String
    /// The texts of the files that `deploy rules file` names, by their names.
    public let attachments: [String: String]
    /// SHA-256 of all texts, in hexadecimal digits.
    public let checksum: String

    /// The suffix of migration files.
    public static let suffix = ".roost"

    /// A file by its name and content; nothing is parsed yet.
    /// - Throws: `badValue` for a name that doesn't begin with a number, or is too long.
    public init(
        name: String, text: String, attachments: [String: String] = [:]
    ) throws(DBError) {
        let digits = name.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), number > 0, number < 1_000_000_000,
            name.dropFirst(digits.count).first.map({ $0 == "_" || $0 == "-" }) ?? true,
            name.utf8.count <= 200
        else {
            throw DBError(
                .badValue,
                "'\(name)\(Self.suffix)' is no migration's name: it begins with a number from 1 "
                    + "and goes on with '_', such as 0001_add_orders\(Self.suffix)")
        }
        self.number = number
        self.name = name
        self.text = text
        self.attachments = attachments
        var hash = SHA256()
        hash.update(data: Array(text.utf8))
        for (file, content) in attachments.sorted(by: { $0.key < $1.key }) {
            hash.update(data: [0] + Array(file.utf8) + [0] + Array(content.utf8))
        }
        checksum = hash.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// The migrations of a folder, by number. Other files than `*.roost` are left alone.
    /// - Throws: `badValue` for a folder or file that can't be read, a number that occurs twice or
    ///   is left out; `failedToParse` with the file's name, line and column.
    public static func folder(_ path: String) throws(DBError) -> [MigrationFile] {
        guard let directory = opendir(path) else {
            throw DBError(.badValue, "cannot read the folder '\(path)': \(reason(errno))")
        }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = entryName(entry)
            if name.hasSuffix(suffix), !name.hasPrefix(".") { names.append(name) }
        }
        closedir(directory)
        var files: [MigrationFile] = []
        for name in names.sorted() {
            let text = try content(path + "/" + name)
            let stem = String(name.dropLast(suffix.count))
            let plain = try MigrationFile(name: stem, text: text)
            var attachments: [String: String] = [:]
            for file in try MigrationScript(plain).rulesFiles {
                guard !file.contains("/") else {
                    throw DBError(
                        .badValue, "'\(name)': rules lie beside the migration, not in '\(file)'")
                }
                attachments[file] = try content(path + "/" + file)
            }
            files.append(try MigrationFile(name: stem, text: text, attachments: attachments))
        }
        try check(&files)
        return files
    }

    /// Sorts files by number and checks that none is left out or there twice.
    /// - Throws: `badValue`.
    static func check(_ files: inout [MigrationFile]) throws(DBError) {
        files.sort { $0.number < $1.number }
        for (index, file) in files.enumerated() where file.number != index + 1 {
            if index > 0, files[index - 1].number == file.number {
                throw DBError(
                    .badValue,
                    "two migrations have the number \(file.number): '\(files[index - 1].name)' and "
                        + "'\(file.name)'. Give one of them the next number")
            }
            throw DBError(
                .badValue,
                "there is no migration \(index + 1), but '\(file.name)'. Numbers begin with 1 and "
                    + "leave none out")
        }
    }

    private static func content(_ path: String) throws(DBError) -> String {
        guard let file = fopen(path, "r") else {
            throw DBError(.badValue, "cannot read '\(path)': \(reason(errno))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes += buffer[..<count]
            guard bytes.count <= TextLimits.queryBytesMax else {
                throw DBError(
                    .badValue, "'\(path)' is larger than \(TextLimits.queryBytesMax) bytes")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DBError(.badValue, "'\(path)' is no UTF-8 text")
        }
        return text
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    private static func entryName(_ entry: UnsafeMutablePointer<dirent>) -> String {
        // SAFETY: readdir's entry ends with a zero byte and lives until the next call.
        withUnsafePointer(to: &entry.pointee.d_name) { name in
            name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
    }
}

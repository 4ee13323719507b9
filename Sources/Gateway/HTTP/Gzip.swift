// gzip of answers, and raw deflate of WebSocket messages (RFC 7692), both over zlib.

import CZlib
import NIOHTTP1

/// Compresses answers for clients that ask.
enum Gzip {
    /// Smaller answers are sent as they are.
    static let bytesMin = 1_024

    /// Whether a client takes gzip.
    static func isAccepted(_ headers: HTTPHeaders) -> Bool {
        guard headers.contains(name: "Accept-Encoding") else { return false }
        for value in headers[canonicalForm: "Accept-Encoding"] {
            let parts = value.split(separator: ";", maxSplits: 1)
            guard let name = parts.first?.lowercased().filter({ $0 != " " }) else { continue }
            let isRefused = parts.count > 1 && parts[1].filter { $0 != " " } == "q=0"
            if name == "gzip" || name == "*" { return !isRefused }
        }
        return false
    }

    /// Compresses an answer's body where that is worth it.
    static func compress(_ answer: inout HTTPAnswer) {
        answer.headers.append(("Vary", "Accept-Encoding"))
        guard answer.body.count >= bytesMin,
            let deflater = Deflater(windowBits: 15 + 16),
            let bytes = deflater.compress(answer.body, ends: true)
        else { return }
        answer.body = bytes
        answer.headers.append(("Content-Encoding", "gzip"))
    }
}

/// One stream of compressed bytes.
final class Deflater {
    /// Fast: what is compressed is sent once.
    private static let level: Int32 = 1

    private var stream = z_stream()

    /// - Parameter windowBits: as deflateInit2 has them: negative without a header, plus 16 for
    ///   gzip's.
    init?(windowBits: Int32) {
        let status = deflateInit2_(
            &stream, Self.level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { return nil }
    }

    deinit {
        deflateEnd(&stream)
    }

    /// The compressed bytes: whole with `ends`, else up to a point from which more may follow.
    func compress(_ input: [UInt8], ends: Bool) -> [UInt8]? {
        let bound = Int(deflateBound(&stream, UInt(input.count))) + 16
        var input = input
        // SAFETY: zlib reads and writes within the buffers that are lent for the call.
        return input.withUnsafeMutableBufferPointer { source -> [UInt8]? in
            let output = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(target.count)
                let status = deflate(&stream, ends ? Z_FINISH : Z_SYNC_FLUSH)
                let isDone = ends ? status == Z_STREAM_END : status == Z_OK
                count = isDone && stream.avail_in == 0 ? bound - Int(stream.avail_out) : 0
            }
            return output.isEmpty ? nil : output
        }
    }
}

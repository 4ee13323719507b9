// swift-tools-version: 6.2
import PackageDescription

// One folder a target. Arrows point one way (checked by TidyTests); the C targets wrap Debian's
// libraries, which README lists.

let swift: [SwiftSetting] = [
    .enableExperimentalFeature("Lifetimes"),
    .enableExperimentalFeature("SuppressedAssociatedTypes"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "roost",
    products: [
        .library(name: "Roost", targets: ["Roost"]),
        .library(name: "RoostClient", targets: ["Client"]),
        .executable(name: "roost", targets: ["RoostCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
        .target(
            name: "CDecimal",
            linkerSettings: [.linkedLibrary("bidgcc000"), .linkedLibrary("m")]),
        .target(
            name: "CICU",
            linkerSettings: [.linkedLibrary("icui18n"), .linkedLibrary("icuuc")]),
        .target(
            name: "CS2", linkerSettings: [.linkedLibrary("s2")]),
        .target(name: "CStemmer", linkerSettings: [.linkedLibrary("stemmer")]),
        .target(name: "CChecksum"),
        .target(name: "CPlatform"),
        .target(name: "CEditLine", linkerSettings: [.linkedLibrary("edit")]),
        .systemLibrary(
            name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),

        .target(name: "BSON", dependencies: ["CDecimal"], swiftSettings: swift),
        .target(
            name: "Storage", dependencies: ["CLMDB", "CChecksum", "CPlatform"], swiftSettings: swift
        ),
        .target(
            name: "Query",
            dependencies: ["BSON", "CPCRE2", "CICU", "CS2", "CStemmer"],
            exclude: ["Text/Grammar.md"],
            swiftSettings: swift),
        .target(
            name: "Rules", dependencies: ["Query", "BSON"], exclude: ["Rules.md"],
            swiftSettings: swift),
        .target(
            name: "Roost",
            dependencies: [
                "Storage", "Query", "Rules", "BSON", "CArgon2", "CChecksum", "CZlib",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            exclude: [
                "Access/Access.md", "Backup/Backup.md", "Live/Events.md",
                "Migrations/Migrations.md", "Trash/SoftDeletes.md",
            ],
            swiftSettings: swift),
        .target(
            name: "Wire",
            dependencies: [
                "BSON", "CICU", "CZlib", "CChecksum",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .target(
            name: "Server",
            dependencies: [
                "Roost", "Query", "Wire", "BSON", "CPlatform",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            exclude: ["Authentication/Authentication.md"],
            swiftSettings: swift),
        .target(
            name: "Client",
            dependencies: [
                "Wire", "BSON",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: swift),
        .executableTarget(
            name: "RoostCLI",
            dependencies: [
                "Server", "Roost", "Rules", "Query", "Client", "BSON", "CEditLine", "CZlib",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: swift),

        .target(
            name: "TestSupport", dependencies: ["BSON"], path: "Tests/TestSupport",
            swiftSettings: swift),
        .testTarget(
            name: "BSONTests", dependencies: ["BSON", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "StorageTests", dependencies: ["Storage"], swiftSettings: swift),
        .testTarget(
            name: "QueryTests", dependencies: ["Query", "BSON", "TestSupport"],
            // Data that the tests read where it lies.
            exclude: [
                "accumulators", "expressions", "filters", "projections", "stages", "updates",
                "windows",
            ].map { "ManualExamples/\($0).jsonl" },
            swiftSettings: swift),
        .testTarget(
            name: "RulesTests",
            dependencies: [
                "Rules", "RoostCLI", "Query", "BSON",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            // Data that the tests read where it lies.
            exclude: ["Resources"], swiftSettings: swift),
        .testTarget(
            name: "RoostTests",
            dependencies: [
                "Roost", "Rules", "Client", "Query", "Storage", "BSON", "TestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swift),
        .testTarget(name: "WireTests", dependencies: ["Wire", "BSON"], swiftSettings: swift),
        .testTarget(
            name: "ServerTests",
            dependencies: ["Server", "Client", "Roost", "Wire", "BSON", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "ShellTests",
            dependencies: ["RoostCLI", "Client", "Query", "BSON", "TestSupport"],
            swiftSettings: swift),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "BSON", "Query", "Rules", "Roost", "Wire", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/Fuzz/Targets", swiftSettings: swift),
        .testTarget(
            name: "FuzzTests", dependencies: ["FuzzTargets", "RoostCLI", "BSON", "TestSupport"],
            swiftSettings: swift),
        .testTarget(name: "TidyTests", swiftSettings: swift),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

// libFuzzer brings its own main and needs its own flags: only tools/fuzz builds this.
if Context.environment["ROOST_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "FuzzDriver", dependencies: ["FuzzTargets", "BSON"], path: "Tests/Fuzz/Driver",
            swiftSettings: swift + [.unsafeFlags(["-parse-as-library"])]))
}

// What the tests of power loss look into folders with: only tools/powerloss builds it.
if Context.environment["ROOST_POWERLOSS"] != nil {
    package.targets.append(
        .executableTarget(
            name: "FolderDump",
            dependencies: [
                "Roost", "Query", "Storage", "BSON", "CZlib",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/FolderDump", swiftSettings: swift))
}

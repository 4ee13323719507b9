// Whether a folder can be a database's, before it is opened: what is wrong is said in plain words.

import BSON
import Glibc
import Roost

enum FolderCheck {
    /// Does nothing where `folder` holds a database.
    /// - Throws: `DBError` where it doesn't, or can't be looked into.
    static func holdsDatabase(_ folder: String) throws(DBError) {
        if RoostEngine.exists(at: folder) { return }
        if access(folder, R_OK | X_OK) == 0 {
            throw DBError(.operationFailed, "'\(folder)' holds no database")
        }
        if errno == ENOENT { throw DBError(.operationFailed, "there is no folder '\(folder)'") }
        throw DBError(
            .operationFailed, "cannot look into '\(folder)': \(String(cString: strerror(errno)))")
    }
}

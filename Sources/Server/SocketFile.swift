// The socket file beside a TCP port.

import Glibc

/// Removes the file, if it is there.
func unlinkSocket(_ path: String) {
    unlink(path)
}

/// Lets only the owner connect, as MongoDB does: who may connect may read everything.
func restrictSocket(_ path: String) {
    chmod(path, 0o700)
}

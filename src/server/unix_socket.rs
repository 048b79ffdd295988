//! A Unix socket, and the file that stands for it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket as Unbound, UnixStream};

/// The owner and the group may connect: Envoy shares the relay's group.
const MODE: u32 = 0o660;

/// Connections that wait to be accepted: as many as the standard library has it.
const BACKLOG: u32 = 128;

/// A socket that is bound. Its file is removed with it.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: File,
}

/// Device and inode.
type File = (u64, u64);

impl UnixSocket {
    /// Takes the place of a socket that nobody answers at, such as a relay leaves that was killed.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        make_room(path).await?;
        let socket = Unbound::new_stream()?;
        socket.bind(path)?;
        // Nobody can connect before it listens, whatever mode the file has until here.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self { listener, path: path.to_owned(), file: file(path)? })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another relay may have its own there by now.
        if file(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file(path: &Path) -> io::Result<File> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A remark on a folder where everybody can make and remove files: whoever does can answer in the relay's place. Where it is sticky,
/// as `/tmp` is, nobody removes what is somebody else's. One that only the containers of a pod have looks like that too.
pub(super) fn remark(path: &Path) -> Option<String> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(folder).ok()?.mode();
    (mode & (STICKY | OTHERS_WRITE) == OTHERS_WRITE).then(|| {
        format!(
            "listen: everybody on this machine can put another socket into {}, and answer in the relay's place",
            folder.display()
        )
    })
}

async fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let message = "expected no file or a socket, but found something else";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) => {}
    }
    let probe = Unbound::new_stream()?.connect(path).await;
    match probe.map_err(|error| error.kind()) {
        // It may have no time for one more.
        Ok(_) | Err(io::ErrorKind::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another program answers there"))
        }
        Err(io::ErrorKind::ConnectionRefused) => fs::remove_file(path),
        Err(kind) => Err(kind.into()),
    }
}

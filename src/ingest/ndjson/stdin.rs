//! Standard input as something that can be waited for without a thread, wherever its kind allows.
//! Imports nothing from the crate.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;

use tokio::io::AsyncRead;
use tokio::net::unix::pipe;

/// Opens a duplicate of standard input. A pipe or socket is set to non-blocking.
pub(super) fn open() -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    let input: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let input = File::from(input);
    let kind = input.metadata()?.file_type();
    if kind.is_fifo() {
        return Ok(Box::new(pipe::Receiver::from_file(input)?));
    }
    if kind.is_socket() {
        let socket = UnixStream::from(OwnedFd::from(input));
        socket.set_nonblocking(true)?;
        return Ok(Box::new(tokio::net::UnixStream::from_std(socket)?));
    }
    if kind.is_file() {
        return Ok(Box::new(tokio::fs::File::from_std(input)));
    }
    Ok(Box::new(tokio::io::stdin()))
}

//! The property mailbox of the Raspberry Pi's firmware, `/dev/vcio`. Imports `tree` only.
//!
//! Messages as the firmware's wiki has them (raspberrypi/firmware, "Mailbox property interface"):
//! words of 32 bits, the size in bytes first, then 0 for a request, then tags, then a 0.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::tree;

const DEVICE: &str = "dev/vcio";
/// "Get throttled", which other sources of the bits have the same layout as.
const GET_THROTTLED: u32 = 0x0003_0046;
const SUCCESS: u32 = 0x8000_0000;
/// The tag's own answer: this bit and the length in bytes.
const ANSWERED: u32 = 0x8000_0000;
/// `_IOWR(100, 0, char *)`: the size of a pointer is part of the number.
const PROPERTY: u64 = 0xC000_6400 | (size_of::<usize>() as u64) << 16;

/// A way to the firmware.
#[derive(Debug)]
pub enum Mailbox {
    /// The device itself.
    Device(File),
    /// A regular file in its place that holds the bits in hexadecimal: tests raise them there.
    Plain(PathBuf),
}

impl Mailbox {
    /// `None` where there is no mailbox, or the service may not open it.
    pub fn open(root: &Path) -> Option<Self> {
        let path = tree::below(root, DEVICE);
        let kind = std::fs::metadata(&path).ok()?.file_type();
        if kind.is_char_device() {
            File::open(&path).ok().map(Mailbox::Device)
        } else {
            kind.is_file().then_some(Mailbox::Plain(path))
        }
    }

    /// The bits of `get_throttled`; those since boot are left as they are.
    pub fn throttled(&self) -> Option<u32> {
        match self {
            Mailbox::Device(device) => ask(device),
            Mailbox::Plain(path) => hexadecimal(&tree::text(Path::new("/"), path)?),
        }
    }
}

/// `50005`, `0x50005`.
pub fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // from_str_radix would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The buffer the kernel copies from and to.
#[repr(C, align(16))]
struct Message([u32; 7]);

impl Message {
    fn request() -> Self {
        let size = size_of::<[u32; 7]>() as u32;
        // Size, request, tag, room for its value, its length, the value, end. A value of 0 resets
        // none of the bits since boot.
        Message([size, 0, GET_THROTTLED, 4, 0, 0, 0])
    }

    fn answer(&self) -> Option<u32> {
        let [_, status, tag, _, length, value, _] = self.0;
        let sound = status == SUCCESS && tag == GET_THROTTLED && length == ANSWERED | 4;
        sound.then_some(value)
    }
}

fn ask(device: &File) -> Option<u32> {
    let mut message = Message::request();
    // SAFETY: the descriptor is open as long as `device` is borrowed. The driver reads the size
    // from the first word and copies that many bytes from and to the buffer: the size is that of
    // `message`, which is writable, and nothing else refers to it. Any other driver behind the
    // path refuses a number that it does not know.
    let result = unsafe {
        nix::libc::ioctl(
            device.as_raw_fd(),
            PROPERTY as _,
            std::ptr::from_mut(&mut message),
        )
    };
    if result < 0 {
        return None;
    }
    message.answer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::made_up;

    #[test]
    fn the_request_is_the_one_that_the_kernel_knows() {
        #[cfg(target_pointer_width = "64")]
        assert_eq!(PROPERTY, 0xC008_6400);
        assert_eq!(Message::request().0[0], 28);
        assert_eq!(Message::request().answer(), None, "not answered yet");
        let answered = Message([28, SUCCESS, GET_THROTTLED, 4, ANSWERED | 4, 0x5_0005, 0]);
        assert_eq!(answered.answer(), Some(0x5_0005));
        let refused = Message([28, 0x8000_0001, GET_THROTTLED, 4, 0, 0, 0]);
        assert_eq!(refused.answer(), None);
    }

    #[test]
    fn a_regular_file_takes_the_devices_place() {
        let root = made_up(&[("dev/vcio", "0x50005\n")]);
        let mailbox = Mailbox::open(root.path()).unwrap();
        assert_eq!(mailbox.throttled(), Some(0x5_0005));
        std::fs::write(root.path().join("dev/vcio"), "0\n").unwrap();
        assert_eq!(mailbox.throttled(), Some(0));
        std::fs::remove_file(root.path().join("dev/vcio")).unwrap();
        assert_eq!(mailbox.throttled(), None);
        assert!(Mailbox::open(root.path()).is_none());
    }

    #[test]
    fn another_device_refuses_and_is_no_reading() {
        let null = Mailbox::Device(File::open("/dev/null").unwrap());
        assert_eq!(null.throttled(), None);
    }

    proptest::proptest! {
        #[test]
        fn only_hexadecimal_is_read(bits: u32, bytes: Vec<u8>) {
            proptest::prop_assert_eq!(hexadecimal(&format!("{bits:x}")), Some(bits));
            proptest::prop_assert_eq!(hexadecimal(&format!("{bits:#x}")), Some(bits));
            let _ = hexadecimal(&String::from_utf8_lossy(&bytes));
            let signed = format!("+{bits:x}");
            proptest::prop_assert_eq!(hexadecimal(&signed), None);
        }
    }
}

//! The C library's comparison, which goes byte by byte, replaced by one that goes by words: every comparison of two
//! texts that are not of a constant length calls it.

#![allow(unsafe_code)]

/// As the C library has it: the sign tells which of the two has the lesser byte where they first differ.
// SAFETY, of the name: the linker takes the C library's only where there is no other.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, size: usize) -> i32 {
    let mut at = 0;
    while at + 8 <= size {
        // SAFETY: the caller says that both have `size` bytes, and these eight are among them.
        let (left, right) =
            unsafe { (one.add(at).cast::<u64>().read_unaligned(), other.add(at).cast::<u64>().read_unaligned()) };
        if left != right {
            break;
        }
        at += 8;
    }
    while at < size {
        // SAFETY: as above, of one byte.
        let (left, right) = unsafe { (*one.add(at), *other.add(at)) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        at += 1;
    }
    0
}
